"""Fails unless every goal of the demo ended as the simulator's truth says: `check_demo.py out/demo/result.json`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

MIN_IOU = 0.85


def complaints(goals: list[dict[str, Any]]) -> list[str]:
    """What is wrong with the demo's goals, one sentence each."""
    found = [] if goals else ["The demo sent no goal."]
    for goal in goals:
        said = f"{goal['instruction']!r} ended as {goal['outcome']}"
        if goal["outcome"] != goal["expected"]:
            found.append(f"{said}; {goal['expected']} was expected.")
        elif goal["outcome"] == "found" and not (goal["iou"] or 0.0) >= MIN_IOU:
            found.append(f"{said} with IoU {goal['iou']}; at least {MIN_IOU} was expected.")
    return found


if __name__ == "__main__":
    wrong = complaints(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    sys.exit("\n".join(wrong) or None)
