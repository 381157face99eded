"""`rsagent`: the agent from the command line, without ROS.

Exit codes: 0 whatever the outcome of the goal, 1 when it could not be run or failed, 2 for bad usage. The training
package adds its own subcommands through the entry-point group `rsagent.commands`: each names a function that takes the
subparsers and adds one.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros import __version__
from rsagent_ros.agent.accounting import counted
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.daemon_threads import DaemonThreads
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.agent.policy import BatchPolicy, Policy
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.agent.voting import vote
from rsagent_ros.backends import Models, add_arguments, chosen, open_models
from rsagent_ros.budget_arguments import add_budget_arguments, add_vote_arguments, budget_of
from rsagent_ros.confidence.command import add_command as add_calibrate
from rsagent_ros.evaluation.commands.compare import add_command as add_compare
from rsagent_ros.evaluation.commands.evaluate import add_command as add_evaluate
from rsagent_ros.evaluation.commands.score import add_command as add_score
from rsagent_ros.label.command import add_command as add_label
from rsagent_ros.mcp_server.command import add_command as add_mcp
from rsagent_ros.model_server.program import add_command as add_serve
from rsagent_ros.records.commands.export import add_command as add_export
from rsagent_ros.records.commands.replay import add_command as add_replay
from rsagent_ros.records.commands.view import add_command as add_view
from rsagent_ros.segmenters.one_at_a_time import one_at_a_time
from rsagent_ros.shadow.command import add_command as add_shadow
from rsagent_ros.viewer.folder import write_folder
from rsagent_ros.viewer.page import Shown
from rsagent_ros.weights.command import add_commands as add_models

MAX_IMAGE_BYTES = 200_000_000


class UsageError(Exception):
    """The command line asks for something that can't be: exit code 2."""


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are one line, the last and alone: the usage above it would be looked through for it."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong on stderr, and exit with code 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; returns the exit code."""
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except UsageError as error:
        print(f"rsagent: {error}", file=sys.stderr)
        return 2
    except (RunFailed, OSError) as error:
        print(f"rsagent: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """The parser of all subcommands: `arguments.command` is the function that runs one."""
    parser: argparse.ArgumentParser = CommandParser(
        prog="rsagent", description="Find what an instruction names in an image, and answer with a checked mask."
    )
    parser.add_argument("--version", action="version", version=f"rsagent {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="find what an instruction names in one image",
        description="Find what an instruction names in one image; writes result.json, mask.png (if found), "
        "overlay.png, trace.json and index.html.",
    )
    run.add_argument("image", type=Path, metavar="IMAGE", help="any format that OpenCV reads")
    run.add_argument("instruction", metavar="INSTRUCTION", help='what to look for, such as "the red mug"')
    run.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    add_budget_arguments(run)
    add_vote_arguments(run)
    run.add_argument("--quiet", action="store_true", help="print only the last line")
    add_arguments(run)
    run.set_defaults(command=_run)
    add_evaluate(commands)
    add_score(commands)
    add_compare(commands)
    add_calibrate(commands)
    add_export(commands)
    add_label(commands)
    add_mcp(commands)
    add_models(commands)
    add_replay(commands)
    add_view(commands)
    add_serve(commands)
    add_shadow(commands)
    for entry in entry_points(group="rsagent.commands"):
        entry.load()(commands)
    return parser


def _run(arguments: argparse.Namespace) -> int:
    if not arguments.instruction.strip():
        raise UsageError("the instruction is empty; say what to look for")
    try:
        budget = budget_of(arguments)
        choice = chosen(arguments)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if arguments.out.exists() and not arguments.out.is_dir():
        raise UsageError(f"--out {arguments.out} is a file; name a folder")
    frame = _read_image(arguments.image)
    with open_models(choice) as models:
        on_turn = None if arguments.quiet else _print_turn
        result, trace = _answer(frame, arguments.instruction, models, budget, on_turn)
    write_folder(arguments.out, Shown(trace, frame))
    note = f" ({result.error_msg})" if result.error_msg else ""
    page = arguments.out / "index.html"
    print(f"{result.outcome}{note} after {counted(result.turns)}, {result.total_seconds:.2f} s: {page}")
    return 1 if result.outcome is Outcome.FAILED else 0


def _answer(
    frame: NDArray[np.uint8],
    instruction: str,
    models: Models,
    budget: Budget,
    on_turn: Callable[[Turn], None] | None,
) -> tuple[Result, Trace]:
    """The answer to a goal, voted on where the budget says so; `on_turn` is told of the first episode's turns."""
    policy, segmenter = models.policy, one_at_a_time(models.segmenter)
    until = budget.deadline()

    def begin(_: int, seconds: float) -> tuple[Episode, Policy]:
        limits = replace(budget, seconds=seconds)
        episode = Episode(frame, instruction, segmenter, limits, policy_name=policy.name, pictures=policy.pictures)
        return episode, policy

    episode, _ = begin(1, budget.seconds)
    drive(episode, policy, on_turn=on_turn)
    first, one_by_one = (episode.result, episode.trace), isinstance(policy, BatchPolicy)
    return vote(first, begin, budget, until, threads=DaemonThreads("vote"), one_by_one=one_by_one)


def _print_turn(turn: Turn) -> None:
    print(f"{turn.index}. {turn.thought}")
    print(f"   {turn.tool or turn.error_code}: {turn.observation or 'end'}", flush=True)


def _read_image(path: Path) -> NDArray[np.uint8]:
    """An image file as (H, W, 3) uint8 RGB.

    Raises:
        UsageError: There is no such file, or it is not an image.
    """
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file")
    if path.stat().st_size > MAX_IMAGE_BYTES:
        raise UsageError(f"{path}: larger than {MAX_IMAGE_BYTES // 1_000_000} MB")
    data = np.frombuffer(path.read_bytes(), dtype=np.uint8)
    # imdecode on bytes of our own reading: imread mangles some paths and prints warnings of its own.
    pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if pixels is None:
        raise UsageError(f"{path}: not an image that OpenCV can read")
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), dtype=np.uint8)


if __name__ == "__main__":
    sys.exit(main())
