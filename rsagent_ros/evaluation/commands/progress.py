"""The line that grows on the terminal while a run goes on."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from rsagent_ros.scoring.score import Score


class ProgressBar:
    """Examples done, time left, and the gIoU so far. A context manager; drawn from the first example on."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._sum = 0.0

    def __call__(self, score: Score, total: int | None) -> None:
        """One more."""
        if self._bar is None:
            self._bar = tqdm(unit=" samples", disable=self._quiet, mininterval=0.5, dynamic_ncols=True)
        self._sum += score.iou
        self._bar.total = total
        self._bar.update()
        self._bar.set_postfix_str(f"gIoU {self._sum / self._bar.n:.3f}" if self._bar.n else "", refresh=False)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
