"""Goals by topic and by action on one path: what was asked, which goal runs, and that each ends exactly once."""

from __future__ import annotations

import contextlib
import logging
import math
import queue
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sensor_msgs.msg import CameraInfo, Image

from rsagent_ros.action import Segment
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.msg import Goal as GoalMessage
from rsagent_ros.msg import Result as ResultMessage
from rsagent_ros.msg import Turn as TurnMessage
from rsagent_ros.ros.conversions import nanoseconds
from rsagent_ros.ros.parameters import PARAMETERS, NodeParameters

log = logging.getLogger(__name__)

Source = Literal["action", "topic"]

MAX_ID = 128
"""Characters of a goal's id."""


@dataclass(frozen=True, eq=False)
class Request:
    """What a goal asks for.

    Attributes:
        id: As given, or made here.
        previous_id: The goal it follows up; empty for none.
        instruction: What to look for.
        camera: Name of the camera; empty for the default.
        stamp: Nanoseconds of the frame to look at; 0 for the newest.
        image, camera_info, depth: To look at instead of a camera; None where not given.
        time_budget: Seconds from acceptance to result, as given; 0 for the node's default.
        max_turns: Replies of the policy, as given; 0 for the node's default.
        track: Keep the mask alive after FOUND.
        source: How it came.
    """

    id: str
    previous_id: str
    instruction: str
    camera: str
    stamp: int
    image: Image | None
    camera_info: CameraInfo | None
    depth: Image | None
    time_budget: float
    max_turns: int
    track: bool
    source: Source

    @staticmethod
    def of(goal: GoalMessage | Segment.Goal, source: Source) -> Request:
        """The request in a message; not checked yet."""
        return Request(
            id=goal.id or uuid.uuid4().hex,
            previous_id=goal.previous_id,
            instruction=goal.instruction.strip(),
            camera=goal.camera,
            stamp=nanoseconds(goal.stamp),
            image=goal.image if goal.image.width else None,
            camera_info=goal.camera_info if goal.camera_info.width else None,
            depth=goal.depth if goal.depth.width else None,
            time_budget=goal.time_budget,
            max_turns=goal.max_turns,
            track=goal.track or goal.reground,
            source=source,
        )

    def check(self) -> None:
        """Refuse what can't be done.

        Raises:
            RunFailed: INVALID_GOAL or FOLLOW_UP_UNKNOWN, with what to do instead.
        """
        low, high = PARAMETERS["time_budget"].setting.low, PARAMETERS["time_budget"].setting.high
        if len(self.id) > MAX_ID or not self.id.isprintable():
            raise RunFailed(ErrorCode.INVALID_GOAL, f"a goal's id is at most {MAX_ID} printable characters")
        if not self.instruction:
            raise RunFailed(ErrorCode.INVALID_GOAL, "the instruction is empty: say what to look for")
        if self.time_budget != 0 and not (math.isfinite(self.time_budget) and low <= self.time_budget <= high):
            raise RunFailed(
                ErrorCode.INVALID_GOAL,
                f"time_budget is {self.time_budget:g} s; allowed: 0 (the node's default) or {low:g} to {high:g}",
            )
        if self.track:
            raise RunFailed(ErrorCode.INVALID_GOAL, "this release does not track: leave track and reground false")
        if self.previous_id:
            raise RunFailed(
                ErrorCode.FOLLOW_UP_UNKNOWN,
                f"no goal {self.previous_id!r} can be continued: send the whole instruction as a new goal",
            )


class Run:
    """One goal from acceptance to its one ending. Thread-safe.

    Attributes:
        request: What is asked.
        parameters: The node's, as they were at acceptance.
        started, deadline: `time.monotonic()`.
        feedback: Where turns go beside `~/trace`; None for a goal by topic.
        answer: How it ended; set before `closed`.
        closed: Set once the answer is there.
    """

    def __init__(
        self, request: Request, parameters: NodeParameters, feedback: Callable[[TurnMessage], None] | None = None
    ) -> None:
        self.request = request
        self.parameters = parameters
        self.feedback = feedback
        self.started = time.monotonic()
        self.deadline = self.started + (request.time_budget or parameters.time_budget)
        self.answer: ResultMessage | None = None
        self.closed = threading.Event()
        self._ending: Result | None = None
        self._lock = threading.Lock()
        self._news: queue.SimpleQueue[None] = queue.SimpleQueue()

    @property
    def ending(self) -> Result | None:
        """How it has to end, as somebody else wants it: canceled, pre-empted, shut down. None while it may go on."""
        return self._ending

    def stop(self, outcome: Outcome, message: str = "") -> None:
        """Make it end soon. Does not block; idempotent: the first reason counts."""
        with self._lock:
            if self._ending is None:
                self._ending = Result(outcome, error_msg=message)
        self.poke()

    def poke(self) -> None:
        """Wake who waits in `wait`: something has happened."""
        self._news.put(None)

    def wait(self, until: float) -> None:
        """Block until something has happened, or `time.monotonic()` is `until`."""
        with contextlib.suppress(queue.Empty):
            self._news.get(timeout=max(0.0, until - time.monotonic()))

    def close(self, answer: ResultMessage) -> None:
        """Take over the answer.

        Raises:
            RuntimeError: It has one already.
        """
        with self._lock:
            if self.answer is not None:
                raise RuntimeError(f"goal {self.request.id!r} was about to end twice")
            self.answer = answer
        self.closed.set()


def precedence(
    new: Source, running: Source | None, *, topic_preempts_action: bool
) -> Literal["run", "preempt", "refuse"]:
    """What becomes of a new goal: the newest wins, but a topic does not interrupt an action unless it may."""
    if running is None:
        return "run"
    if new == "topic" and running == "action" and not topic_preempts_action:
        return "refuse"
    return "preempt"


class Desk:
    """Takes goals from any thread and works on them one after the other in a thread of its own.

    At most one goal runs and one waits for it to end. Whoever is refused or pre-empted while waiting is answered at
    once, in the thread of the caller.
    """

    def __init__(self, work: Callable[[Run], None], end: Callable[[Run, Result], None]) -> None:
        """Begin closed.

        Args:
            work: Runs a goal to its end and closes it; called in the desk's thread, heeds `run.ending`.
            end: Closes a goal that never ran.
        """
        self._work = work
        self._end = end
        self._change = threading.Condition()
        self._running: Run | None = None
        self._waiting: Run | None = None
        self._open = False
        self._thread: threading.Thread | None = None

    def open(self) -> None:
        """Take goals from now on."""
        self._open = True
        self._thread = threading.Thread(target=self._serve, name="goals", daemon=True)
        self._thread.start()

    def close(self, outcome: Outcome, message: str) -> None:
        """Take no more goals, end those that are there, and wait until they have ended: milliseconds."""
        with self._change:
            self._open = False
            waiting, self._waiting = self._waiting, None
            if self._running is not None:
                self._running.stop(outcome, message)
            self._change.notify_all()
        if waiting is not None:
            self._end(waiting, Result(outcome, error_msg=message))
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    @property
    def running(self) -> Run | None:
        """The goal that is worked on."""
        return self._running

    def submit(self, run: Run) -> None:
        """Hand over a goal; returns at once. The goal will be closed, whatever happens."""
        superseded: Run | None = None
        refusal: Result | None = None
        try:
            run.request.check()
            with self._change:
                superseded = self._admit(run)
                self._change.notify_all()
        except RunFailed as failure:
            refusal = Result(Outcome.FAILED, failure.code, failure.message)
        if refusal is not None:
            self._end(run, refusal)
        if superseded is not None:
            self._end(superseded, _preempted(run))

    def _admit(self, run: Run) -> Run | None:
        """Give the goal its place; the lock is held. Returns a waiting goal that lost its own.

        Raises:
            RunFailed: There is no place for it.
        """
        if not self._open:
            raise RunFailed(ErrorCode.NOT_ACTIVE, "the node is not active: configure and activate it first")
        last = self._waiting or self._running
        if last is not None and last.request.id == run.request.id:
            raise RunFailed(
                ErrorCode.INVALID_GOAL, f"a goal with the id {run.request.id!r} is running: choose another id"
            )
        running = None if last is None or last.ending is not None else last.request.source
        allowed = run.parameters.topic_preempts_action
        if precedence(run.request.source, running, topic_preempts_action=allowed) == "refuse":
            raise RunFailed(
                ErrorCode.REJECTED_BUSY,
                "a goal by action is running: cancel it first, send an action goal too, or set topic_preempts_action",
            )
        waiting, self._waiting = self._waiting, run
        if self._running is not None:
            ending = _preempted(run)
            self._running.stop(ending.outcome, ending.error_msg)
        return waiting

    def _serve(self) -> None:
        while True:
            with self._change:
                self._running = None
                self._change.wait_for(lambda: self._waiting is not None or not self._open)
                run = self._waiting
                if not self._open or run is None:
                    return
                self._running, self._waiting = run, None
            self._work(run)


def _preempted(by: Run) -> Result:
    return Result(Outcome.PREEMPTED, error_msg=f"the newer goal {by.request.id!r} took its place")
