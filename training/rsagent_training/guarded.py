"""Exit codes of the commands: 1 and one sentence for what a user can mend; a fault of ours keeps its traceback."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from rsagent_ros.agent.errors import RunFailed
from rsagent_training.runs import TrainingStopped

EXTRA = "pip install 'rsagent[training]'"


def guarded(run: Callable[[argparse.Namespace], str | None]) -> Callable[[argparse.Namespace], int]:
    """The command that runs this, and prints the sentence that it may return."""

    def command(arguments: argparse.Namespace) -> int:
        try:
            said = run(arguments)
        except ImportError as error:
            sys.stderr.write(f"rsagent: training needs packages that are not installed ({error}); {EXTRA}\n")
            return 1
        except (RunFailed, TrainingStopped, OSError, ValueError) as error:
            sys.stderr.write(f"rsagent: {error}\n")
            return 1
        if said is not None:
            sys.stdout.write(f"{said}\n")
        return 0

    return command
