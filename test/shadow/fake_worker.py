"""The worker of a comparison with fake models, as a program."""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from shadow_cases import load_fakes

from rsagent_ros.backends import Choice, Models
from rsagent_ros.shadow.worker import main


def load(choice: Choice) -> Models:
    os.write(1, b"a library says hello\n")  # as native code does, past Python
    return load_fakes(choice)


if __name__ == "__main__":
    sys.exit(main(load=load))
