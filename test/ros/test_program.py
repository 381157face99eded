"""The program of the node, as a process of its own."""

from __future__ import annotations

import subprocess
import sys


def test_an_idle_robot_loads_no_library_that_only_models_and_reports_need() -> None:
    heavy = ("matplotlib", "openai", "pandas", "scipy", "sklearn", "torch", "transformers")
    code = f"import sys, rsagent_ros.ros.program; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
