"""A comparison in a process of its own: `python -m rsagent_ros.shadow`, started and steered by the robot's node.

A candidate that crashes, hangs or eats all memory does so here. Lines on stdin steer it: `go`, `pause`; it ends when
stdin is closed, so also when whoever started it was killed. Each line on stdout is a JSON object:

    {"state": "running" | "done" | "paused"}   paused: it has stopped working; done: all goals are answered for now
    {"goal": {"arm", "id", "value", "answered"}}   each goal that was answered
    {"result": {...}}                          see PairedResult
    {"problem": "..."}                         why it ends; the exit code is 1 then, 2 for bad arguments, else 0

Everything else that is said, by whatever library, goes to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.backends import Choice, Models, open_models
from rsagent_ros.scoring.score import Score
from rsagent_ros.shadow.candidate import read_candidate
from rsagent_ros.shadow.comparison import Comparison, ProcessUnfit, WeightsChanged
from rsagent_ros.shadow.paired_result import GOALS, PairedResult

log = logging.getLogger(__name__)

POLL = 5.0
"""Seconds between two looks at the records while there is nothing to answer."""

_PR_SET_PDEATHSIG = 1

LEAVING = 2.0
"""Seconds that work under way may take to break off once stdin is closed."""


def main(argv: Sequence[str] | None = None, load: Callable[[Choice], Models] = open_models) -> int:
    """Compare as told until stdin is closed; returns the exit code.

    Args:
        argv: Arguments.
        load: Opens the models of a choice.
    """
    arguments = _parser().parse_args(argv)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    _step_back()
    tell = Teller(_private_stdout())
    steering = Steering(sys.stdin)
    try:
        arms = read_candidate(arguments.incumbent), read_candidate(arguments.candidate)
        budget = Budget(
            arguments.budget,
            arguments.max_turns,
            arguments.max_reply_tokens,
            arguments.max_tokens,
            arguments.second_look,
            arguments.second_look_below,
            arguments.cross_check,
        )
    except ValueError as error:
        tell.problem(str(error))
        return 2
    try:
        over = False
        while not over:
            with Comparison(
                arguments.records,
                arguments.out,
                *arms,
                budget=budget,
                needed=arguments.goals,
                load=load,
                on_goal=tell.goal,
                on_result=tell.result,
            ) as comparison:
                over = _serve(comparison, steering, tell)
    except (RunFailed, ProcessUnfit, ValueError, OSError) as error:
        tell.problem(error.message if isinstance(error, RunFailed) else str(error))
        return 1
    except MemoryError as error:
        tell.problem(describe(error))
        return 1
    return 0


def _serve(comparison: Comparison, steering: Steering, tell: Teller) -> bool:
    """Compare as long as stdin is open. Returns whether it is not; else the weights of an arm have changed."""
    while (cancel := steering.next_go()) is not None:
        tell.state("running")
        while not cancel.is_set:
            try:
                done = comparison.run(cancel)
            except WeightsChanged as error:
                log.info("%s; another comparison begins", error)
                return False
            if done:
                comparison.unload()
                tell.state("done")
                cancel.wait(POLL)
        tell.state("paused")
    return True


class Steering:
    """Commands on stdin: a token for each `go`, which the next `pause` raises. Thread-safe."""

    def __init__(self, lines: TextIO) -> None:
        """Listen from now on, in a thread of its own."""
        self._change = threading.Condition()
        self._token: CancelToken | None = None
        self._over = False
        threading.Thread(target=self._listen, args=(lines,), name="steering", daemon=True).start()

    def next_go(self) -> CancelToken | None:
        """Block until it may work; returns the token of this time, or None when it is over."""
        with self._change:
            self._change.wait_for(lambda: self._over or (self._token is not None and not self._token.is_set))
            return None if self._over else self._token

    def _listen(self, lines: TextIO) -> None:
        for line in lines:
            with self._change:
                if line.strip() == "go" and (self._token is None or self._token.is_set):
                    self._token = CancelToken()
                elif line.strip() == "pause" and self._token is not None:
                    self._token.set()
                self._change.notify_all()
        with self._change:
            self._over = True
            if self._token is not None:
                self._token.set()
            self._change.notify_all()
        time.sleep(LEAVING)
        os._exit(0)  # whatever hangs: nobody is there any more who would want it


class Teller:
    """Writes the lines on stdout."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def state(self, name: str) -> None:
        """The state from now on."""
        self._tell({"state": name})

    def goal(self, arm: str, score: Score) -> None:
        """An arm's answer."""
        self._tell({"goal": {"arm": arm, "id": score.id, "value": score.value, "answered": score.answered}})

    def result(self, result: PairedResult) -> None:
        """The figures so far."""
        self._tell({"result": asdict(result)})

    def problem(self, sentence: str) -> None:
        """The reason why it ends."""
        self._tell({"problem": sentence})

    def _tell(self, data: dict[str, object]) -> None:
        with contextlib.suppress(BrokenPipeError):  # nobody listens any more: stdin is about to say so, too
            self._out.write(json.dumps(data) + "\n")
            self._out.flush()


def _private_stdout() -> TextIO:
    """The real stdout; what others print goes to stderr from now on."""
    sys.stdout.flush()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return out


def _step_back() -> None:
    """Let everybody else on this machine go first, and never outlive who started this, even when it hangs."""
    os.nice(19)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _parser() -> argparse.ArgumentParser:
    budget = Budget()
    parser = argparse.ArgumentParser(
        prog="python -m rsagent_ros.shadow", description="Compare two choices of models, steered."
    )
    parser.add_argument("records", type=Path, help="folder of the records")
    parser.add_argument("--incumbent", type=Path, required=True, metavar="FILE", help="the active models")
    parser.add_argument("--candidate", type=Path, required=True, metavar="FILE", help="those that may take their place")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for answers")
    parser.add_argument("--goals", type=int, default=GOALS, metavar="N", help="that a promotion takes (%(default)d)")
    parser.add_argument(
        "--budget", type=float, default=budget.seconds, metavar="SECONDS", help="the robot's (%(default)g)"
    )
    parser.add_argument("--max-turns", type=int, default=budget.max_turns, metavar="N", help="(%(default)d)")
    parser.add_argument("--max-reply-tokens", type=int, default=budget.max_reply_tokens, metavar="N")
    parser.add_argument("--max-tokens", type=int, default=budget.max_tokens, metavar="N", help="(%(default)d)")
    parser.add_argument("--cross-check", action="store_true", help="second looks compare words and box, too")
    parser.add_argument("--second-look", action="store_true", help="ask again before FOUND")
    parser.add_argument("--second-look-below", type=float, default=1.0, metavar="N", help="only below (%(default)g)")
    return parser
