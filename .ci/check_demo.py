"""Fails unless every goal of the demo ended as the simulator's truth says: `check_demo.py out/demo/result.json`.

The tracked object must have been where the truth says, too: `tracked.json` beside that file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

MIN_IOU = 0.85
MIN_TRACKED_IOU, MAX_TRACKED_METRES = 0.8, 0.03
MIN_TRACKED = 5


def complaints(goals: list[dict[str, Any]]) -> list[str]:
    """Faults of the demo's goals, one sentence each."""
    found = [] if goals else ["The demo sent no goal."]
    for goal in goals:
        ending = f"{goal['instruction']!r} ended as {goal['outcome']}"
        if goal["outcome"] != goal["expected"]:
            found.append(f"{ending}; {goal['expected']} was expected.")
        elif goal["outcome"] == "found" and not (goal["iou"] or 0.0) >= MIN_IOU:
            found.append(f"{ending} with IoU {goal['iou']}; at least {MIN_IOU} was expected.")
    return found


def track_complaints(tracked: dict[str, Any]) -> list[str]:
    """Faults of the tracked goal, one sentence each."""
    name = f"{tracked['instruction']!r}, tracked with a moving camera,"
    found = []
    if tracked["masks"] < MIN_TRACKED or tracked["lost"]:
        found.append(f"{name} has {tracked['masks']} masks, {tracked['lost']} of them lost.")
    if not tracked["median_iou"] >= MIN_TRACKED_IOU:
        found.append(f"{name} has a median IoU of {tracked['median_iou']}; {MIN_TRACKED_IOU} was expected.")
    if tracked["median_metres"] is None or tracked["median_metres"] > MAX_TRACKED_METRES:
        found.append(f"{name} is off by {tracked['median_metres']} m; at most {MAX_TRACKED_METRES} m was expected.")
    return found


if __name__ == "__main__":
    result = Path(sys.argv[1])
    wrong = complaints(json.loads(result.read_text(encoding="utf-8")))
    tracked = result.with_name("tracked.json")
    wrong += track_complaints(json.loads(tracked.read_text(encoding="utf-8"))) if tracked.is_file() else []
    wrong += [] if tracked.is_file() else [f"{tracked} is not there: the demo tracked nothing."]
    sys.exit("\n".join(wrong) or None)
