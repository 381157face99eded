"""What tests do on the labelling page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from browser import Page
from labelling import write_goal

from rsagent_ros.agent.mask import Mask

READY = "!document.querySelector('[data-judgement=reject]').disabled"


def goals(folder: Path, count: int) -> list[Path]:
    """So many goals, called "thing 0" and so on, in the order of the list."""
    return [write_goal(folder, f"g{number}", instruction=f"thing {number}") for number in range(count)]


def shows(page: Page, instruction: str) -> None:
    """Wait until a goal is open and can be judged."""
    page.wait(f"document.querySelector('#asked h2')?.textContent === {json.dumps(f'“{instruction}”')} && {READY}")


def click_on(page: Page, x: float, y: float, button: str = "left", to: tuple[float, float] | None = None) -> None:
    """Click on a pixel of the image of 320 x 240; `to` drags."""
    x0, y0, x1, _ = page.box("#frame")
    scale = (x1 - x0) / 320
    end = None if to is None else (x0 + to[0] * scale, y0 + to[1] * scale)
    page.click_at(x0 + x * scale, y0 + y * scale, button, end)


def middle(mask: Mask) -> tuple[float, float]:
    rows, columns = np.nonzero(mask)
    return float(columns.mean()), float(rows.mean())


def drawn(page: Page) -> None:
    """Wait until the mask for all clicks is there."""
    page.wait(
        "document.querySelector('#said').textContent.includes('pixels') && !document.querySelector('#picture.busy')"
    )
