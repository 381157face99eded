"""The second half of the demo: the robot's log is the test set.

The node's records and a bag are replayed without ROS: records repeat to the bit, the bag gives the same masks, and the
goals with a verdict become an evaluation with a report.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

RSAGENT = [sys.executable, "-m", "rsagent_ros.cli"]
SKIPPED = 3
"""Exit code of a command that left something out: here the goal that was cancelled."""


def from_the_log(out: Path) -> list[str]:
    """Replay and evaluate the records of a demo; returns what is wrong, one sentence each."""
    print("\nthe robot's log, without ROS:", flush=True)
    complaints = []
    again = _run("replay the records", [*RSAGENT, "replay", "--recorded", str(out / "records")])
    if again.returncode != 0:
        complaints.append("The records did not repeat to the bit.")
    bag = _run("replay the goals of the bag", [*RSAGENT, "replay", str(out / "bag"), "--out", str(out / "replay")])
    if bag.returncode not in (0, SKIPPED):
        complaints.append("The bag could not be replayed.")
    else:
        complaints += _other_masks(out / "replay" / "results.jsonl")
    report = out / "evaluation"
    judged = _run(
        "evaluate the judged goals",
        [*RSAGENT, "evaluate", "records", str(out / "records"), "--out", str(report), "--quiet"],
    )
    if judged.returncode not in (0, SKIPPED) or not (report / "index.html").is_file():
        complaints.append("The records could not be evaluated.")
    return complaints


def _run(what: str, command: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines()
    print(f"  {what}: {lines[-1] if lines else done.stderr.strip()}", flush=True)
    if done.returncode not in (0, SKIPPED):
        sys.stderr.write(done.stdout + done.stderr)
    return done


def _other_masks(results: Path) -> list[str]:
    """Goals whose mask in the replay is not the one that the robot had found."""
    rows = [json.loads(line) for line in results.read_text(encoding="utf-8").splitlines()]
    found = [row for row in rows if row.get("recorded") and row["recorded"]["outcome"] == "found"]
    complaints = [] if found else ["The bag holds no goal that was found."]
    for row in found:
        if row["recorded"]["iou"] != 1.0:
            complaints.append(f"{row['instruction']!r}: another mask in the replay, IoU {row['recorded']['iou']}.")
    return complaints
