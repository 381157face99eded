"""`AskSession`: the goals of one `ask`: the instruction, answers to what the agent asks back, and tracking."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Turn
from rsagent_ros.ros.ask.answer_folder import save
from rsagent_ros.ros.ask.lines import answer_lines, progress_line, tracked_line, turn_lines
from rsagent_ros.ros.client import Agent, Answer
from rsagent_ros.ros.client.goal_images import GoalImages

TRACK_PERIOD = 1.0
"""Seconds between two lines about a track that goes on."""


@dataclass(frozen=True)
class Options:
    """Options of `ask` beside the instruction.

    Attributes:
        camera: Name of the camera; empty for the default.
        time_budget: Seconds; 0 for the node's.
        track: Go on with lines about what was found, until Ctrl-C.
        folder: To save the answer in; None for none.
        follow: Read an answer to the agent's question from standard input.
    """

    camera: str = ""
    time_budget: float = 0.0
    track: bool = False
    folder: Path | None = None
    follow: bool = False


class AskSession:
    """Goals one after the other, printed as they go. For the main thread: Ctrl-C is taken here."""

    def __init__(self, agent: Agent, images: GoalImages | None, options: Options) -> None:
        """Prepare; `run` asks.

        Args:
            agent: Connected.
            images: Images of goals; None where nothing is saved.
            options: What was asked for.
        """
        self._agent = agent
        self._images = images
        self._options = options

    def run(self, instruction: str, follows: str) -> Answer:
        """Ask, and answer questions where that was wanted. Blocks until the last answer, or the end of tracking.

        Args:
            instruction: What to look for.
            follows: Id of a goal whose question, or reason for giving up, the instruction answers; empty for none.

        Raises:
            AgentUnavailable: The agent went away.
        """
        answer = self._ask(instruction, follows)
        while self._options.follow and _asks(answer):
            words = _read_line()
            if not words:
                break
            answer = self._ask(words, answer.goal_id)
        if self._options.track and answer.outcome is Outcome.FOUND:
            self._print_track(answer.goal_id)
        return answer

    def _ask(self, instruction: str, follows: str) -> Answer:
        options = self._options
        with _ctrl_c_cancels() as cancel:
            answer = self._agent.segment(
                instruction,
                camera=options.camera,
                time_budget=options.time_budget,
                follows=follows,
                track=options.track,
                on_turn=_print_turn,
                on_progress=lambda progress: _print(progress_line(progress)),
                cancel=cancel,
            )
        for line in answer_lines(answer):
            _print(line)
        if _asks(answer) and not options.follow:
            _print(f"  answer it: --follow, or: ask 'the left one' --follows {answer.goal_id}")
        if self._images is not None and options.folder is not None:
            image = self._images.wait_for(answer) if answer.message.trace else None
            _print(save(options.folder, answer, image))
        return answer

    def _print_track(self, goal_id: str) -> None:
        """Print where the objects are until they are lost for good, or Ctrl-C, which stops the tracking."""
        _print("tracking; Ctrl-C stops it")
        printed: dict[int, tuple[str, float]] = {}
        try:
            for now in self._agent.tracked(goal_id):
                state, at = printed.get(now.track_id, ("", 0.0))
                if now.state != state or time.monotonic() - at >= TRACK_PERIOD:
                    printed[now.track_id] = now.state, time.monotonic()
                    _print(tracked_line(now))
        except KeyboardInterrupt:
            self._agent.stop_tracking(goal_id)
            _print("tracking stopped")


def _asks(answer: Answer) -> bool:
    """Whether a goal with its id would be an answer to it."""
    return answer.outcome is Outcome.AMBIGUOUS or (answer.outcome is Outcome.GAVE_UP and bool(answer.reason))


@contextlib.contextmanager
def _ctrl_c_cancels() -> Iterator[CancelToken]:
    """A token that Ctrl-C raises; a second Ctrl-C is a KeyboardInterrupt."""
    cancel = CancelToken()

    def raise_token(*_: object) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        cancel.set()

    before: Callable[..., object] | int | None = signal.signal(signal.SIGINT, raise_token)
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)


def _read_line() -> str:
    """A line from standard input; empty at its end."""
    sys.stdout.write("> ")
    sys.stdout.flush()
    return sys.stdin.readline().strip()


def _print_turn(turn: Turn) -> None:
    for line in turn_lines(turn):
        _print(line)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
