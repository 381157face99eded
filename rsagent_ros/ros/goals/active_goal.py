"""Goals by topic and by action on one path: what was asked, and that each ends exactly once."""

from __future__ import annotations

import contextlib
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
from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.msg import Goal as GoalMessage
from rsagent_ros.msg import Result as ResultMessage
from rsagent_ros.msg import Turn as TurnMessage
from rsagent_ros.ros.conversions import nanoseconds
from rsagent_ros.ros.parameters import PARAMETERS, NodeParameters

Source = Literal["action", "topic", "track"]
"""`track`: the node's own, to find again what it has lost."""

MAX_ID = 128
"""Characters of a goal's id."""


@dataclass(frozen=True, eq=False)
class GoalRequest:
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
        priority: Higher goes first where goals wait.
        track: Keep the mask alive after FOUND.
        reground: Look again where it is lost.
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
    priority: int
    track: bool
    reground: bool
    source: Source

    @staticmethod
    def of(goal: GoalMessage | Segment.Goal, source: Source) -> GoalRequest:
        """The request in a message; not checked yet."""
        return GoalRequest(
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
            priority=goal.priority,
            track=goal.track or goal.reground,
            reground=goal.reground,
            source=source,
        )

    def check(self) -> None:
        """Refuse what can't be done.

        Raises:
            RunFailed: INVALID_GOAL, with what to do instead.
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
        if self.track and self.image is not None:
            raise RunFailed(
                ErrorCode.INVALID_GOAL,
                "what is found in an image of the goal's own can't be followed: leave track and reground false, or the "
                "image empty",
            )


class ActiveGoal:
    """One goal from acceptance to its one ending. Thread-safe.

    Attributes:
        request: What is asked.
        parameters: The node's, as they were at acceptance.
        started, deadline: `time.monotonic()`.
        feedback: Where turns go beside `~/trace`; None for a goal by topic.
        on_begin: Told once when it is worked on, or has ended without that; None where nobody needs to know.
        answer: How it ended; set before `closed`.
        closed: Set once the answer is there.
    """

    def __init__(
        self,
        request: GoalRequest,
        parameters: NodeParameters,
        feedback: Callable[[TurnMessage], None] | None = None,
        on_begin: Callable[[], None] | None = None,
    ) -> None:
        self.request = request
        self.parameters = parameters
        self.feedback = feedback
        self.on_begin = on_begin
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

    def begin(self) -> None:
        """Tell who waits for it that it is no longer waiting; only the first call does."""
        with self._lock:
            on_begin, self.on_begin = self.on_begin, None
        if on_begin is not None:
            on_begin()

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
        self.begin()


def defect(error: Exception) -> Result:
    """How a goal ends that failed because of a fault in this package."""
    return Result(Outcome.FAILED, ErrorCode.INTERNAL, f"{describe(error)}; please report this")
