"""Trackers that a run reports to, beside its own curve."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from rsagent_training.recipe_parts import Tracker

_PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "trackio": ("trackio",)}


def report_to(tracker: Tracker) -> list[str]:
    """The tracker as transformers wants it named; where `auto` finds none, a line on stderr says so.

    Raises:
        ValueError: It is not installed.
    """
    if tracker == "none":
        return []
    if tracker == "auto":
        if _installed("tensorboard"):
            return ["tensorboard"]
        sys.stderr.write("no tracker: pip install tensorboard for one; curve.json has the same figures\n")
        return []
    if not _installed(tracker):
        raise ValueError(
            f"report_to is {tracker}, which is not installed: pip install {tracker}, or set optimisation.report_to=none"
        )
    return [tracker]


def _installed(tracker: str) -> bool:
    return any(find_spec(package) is not None for package in _PACKAGES[tracker])
