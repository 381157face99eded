"""The soak in short: half a minute of goals with random faults, with the bounds of the long one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ros_support import ROOT

SECONDS = 20
"""Before which it takes about ten more to fill what is bounded."""


def test_nothing_leaks_in_half_a_minute(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    command = [sys.executable, str(ROOT / "benchmarks/soak.py"), "--seconds", str(SECONDS), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert figures["wrong"] == []
    assert figures["goals"] > 50
