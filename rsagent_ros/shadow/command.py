"""`rsagent shadow`: the comparison that a robot runs while it is idle, at once and without ROS."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rsagent_ros.agent.budget import Budget
from rsagent_ros.backends import add_arguments, chosen

if TYPE_CHECKING:
    from rsagent_ros.scoring.score import Score
    from rsagent_ros.shadow.candidate import CandidateModels
    from rsagent_ros.shadow.paired_result import PairedResult

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

NEEDED = 30
"""Value of `paired_result.GOALS`, which the help must not import."""

NOT_BETTER = 3
"""Exit code: both have answered, and the candidate is not clearly better."""

TRIES = 5
"""Failures in a row after which it is given up."""


def add_command(commands: Commands) -> None:
    """Add `shadow` to the subcommands of `rsagent`."""
    parser = commands.add_parser(
        "shadow",
        help="compare candidate models with the current ones on the judged goals",
        description="Let the choice of the flags (the incumbent) and that of a file (the candidate) answer the "
        "judged goals of a robot's records, and compare them. A run that was stopped goes on with the same command. "
        "Exit code 0: the candidate could be promoted; 3: it is not clearly better, or something may be worse; 1: one "
        "of them could not answer.",
    )
    parser.add_argument("records", type=Path, metavar="RECORDS", help="folder that the node's record_dir named")
    parser.add_argument("--candidate", type=Path, required=True, metavar="FILE", help="see docs/shadow.md")
    parser.add_argument("--incumbent", type=Path, metavar="FILE", help="such a file instead of the flags")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the answers")
    parser.add_argument("--goals", type=int, default=NEEDED, metavar="N", help="that a promotion needs (%(default)d)")
    budget = Budget()
    parser.add_argument(
        "--budget", type=float, default=budget.seconds, metavar="SECONDS", help="the robot's time_budget (%(default)g)"
    )
    parser.add_argument("--max-turns", type=int, default=budget.max_turns, metavar="N", help="(%(default)d)")
    parser.add_argument("--max-tokens", type=int, default=budget.max_tokens, metavar="N", help="(%(default)d)")
    parser.add_argument("--cross-check", action="store_true", help="second looks compare words and box, too")
    parser.add_argument("--second-look", action="store_true", help="ask again before FOUND, both alike")
    parser.add_argument("--second-look-below", type=float, default=1.0, metavar="N", help="only below (%(default)g)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of whatever is drawn (%(default)d)")
    parser.add_argument("--quiet", action="store_true", help="print only the last line")
    add_arguments(parser)
    parser.set_defaults(command=_run)


def _run(arguments: argparse.Namespace) -> int:
    from rsagent_ros.shadow.candidate import CandidateModels, read_candidate

    try:
        incumbent = read_candidate(arguments.incumbent) if arguments.incumbent else CandidateModels(chosen(arguments))
        candidate = read_candidate(arguments.candidate)
        budget = Budget(
            arguments.budget,
            arguments.max_turns,
            max_tokens=arguments.max_tokens,
            second_look=arguments.second_look,
            second_look_below=arguments.second_look_below,
            cross_check=arguments.cross_check,
        )
        if incumbent.fingerprint == candidate.fingerprint:
            raise ValueError("incumbent and candidate are the same: there is nothing to find out")
        if arguments.goals < 1:
            raise ValueError(f"--goals {arguments.goals}: at least 1")
    except ValueError as error:
        sys.stderr.write(f"rsagent shadow: {error}\n")
        return 2
    if not arguments.records.is_dir():
        raise FileNotFoundError(f"{arguments.records}: there is no such folder; a node with record_dir writes one")
    try:
        result, folders = _compare(arguments, incumbent, candidate, budget)
    except KeyboardInterrupt:
        _tell("stopped; the same command goes on where it was")
        return 130
    _tell(f"rsagent compare {folders[0]} {folders[1]} --out DIR shows them goal by goal")
    _tell(f"{'promotable' if result.promotable else 'not promotable'}: {result}")
    return 0 if result.promotable else NOT_BETTER


def _compare(
    arguments: argparse.Namespace, incumbent: CandidateModels, candidate: CandidateModels, budget: Budget
) -> tuple[PairedResult, tuple[Path, Path]]:
    """Let both answer all there is; blocks until they have.

    Raises:
        RunFailed: One of them can't answer.
    """
    from tqdm import tqdm

    from rsagent_ros.agent.budget import CancelToken
    from rsagent_ros.agent.errors import RunFailed
    from rsagent_ros.agent.outcome import ErrorCode
    from rsagent_ros.shadow.comparison import Comparison, ProcessUnfit, WeightsChanged

    failures = 0
    with tqdm(unit=" answers", disable=arguments.quiet, mininterval=0.5, dynamic_ncols=True) as bar:

        def on_goal(arm: str, score: Score) -> None:
            nonlocal failures
            failures = 0 if score.answered else failures
            bar.update()

        def on_result(result: PairedResult) -> None:
            bar.set_postfix_str(f"{result.gain:+.3f} on {result.goals}", refresh=False)

        with Comparison(
            arguments.records,
            arguments.out,
            incumbent,
            candidate,
            budget=budget,
            needed=arguments.goals,
            seed=arguments.seed,
            on_goal=on_goal,
            on_result=on_result,
        ) as comparison:
            while True:
                try:
                    if comparison.run(CancelToken()):
                        return comparison.result(), comparison.folders
                except WeightsChanged as error:
                    raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, f"{error}; give the same command again") from error
                except ProcessUnfit as error:
                    failures += 1
                    if failures > TRIES:
                        raise RunFailed(ErrorCode.POLICY_FAILED, f"{failures} failures in a row: {error}") from error
                    comparison.unload()


def _tell(sentence: str) -> None:
    sys.stdout.write(sentence + "\n")
    sys.stdout.flush()
