"""Where a fault is played: an agent that records, the robot around it, and what became of every goal."""

from __future__ import annotations

import itertools
import math
import re
import signal
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from domains import kept_domain
from faults.goal import Goal
from faults.matrix import BOUND, Line, Row, Setup, keep
from lifecycle_msgs.msg import Transition
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import serialize_message
from ros_support import REAL_AGENT, AgentProcess, Robot, StillCamera, image_of, until
from rsagent_ros.msg import Goal as GoalMessage
from rsagent_ros.msg import Result
from sensor_msgs.msg import Image

from rsagent_ros.records.reader import read_record
from rsagent_ros.records.writer import record_files
from rsagent_ros.ros.conversions import OUTCOMES

FAULTY_AGENT = Path(__file__).with_name("faulty_agent.py")
BUDGET = 5.0
"""Seconds of a goal whose row says nothing else."""

ON_DISK = 3.0
"""Seconds within which the record of a goal that has ended must be there."""

MAY_BE_LOST = {"kept": 0, "one": 2, "told": math.inf}  # two processes are killed
NO_UTF8 = b"\xff\xfe\xc3\x28\xc3\x28"

EVERY_RESULT = QoSProfile(
    depth=5000, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


def square(side: int = 1) -> Image:
    """A red square on grey, where the fakes draw their box; `side` enlarges it."""
    pixels = np.full((96 * side, 128 * side, 3), 120, dtype=np.uint8)
    pixels[28 * side : 68 * side, 36 * side : 92 * side] = (200, 30, 30)
    return image_of(pixels, "rgb8")


class Stage:
    """An agent and the robot around it.

    Attributes:
        agent, robot: The present ones.
        camera: On the topic `image`; None where no row has asked for it.
        server: Of the policy's model; None where the policy needs none.
        goals: Of the present row.
        states: What /diagnostics said last, by the status' name.
    """

    agent: AgentProcess
    robot: Robot

    def __init__(self, setup: Setup, folder: Path) -> None:
        """Start; returns once goals are taken.

        Args:
            setup: Which agent.
            folder: Of its records.
        """
        self.setup = setup
        self.records = folder
        self.camera: StillCamera | None = None
        self.server: Any = None
        self.goals: list[Goal] = []
        self.states: dict[str, DiagnosticStatus] = {}
        self._goals: dict[str, Goal] = {}
        self._row = ""
        self._numbers = itertools.count()
        self._always, self._now = ExitStack(), ExitStack()
        if setup.server:
            from openai_server import OpenAIServer

            self.server = self._always.enter_context(OpenAIServer())
        self.renew()

    def close(self) -> None:
        """End all."""
        self._now.close()
        self._always.close()

    def renew(self) -> None:
        """Another agent with another robot around it, which go on with the records."""
        self._now.close()
        self._domain = self._now.enter_context(kept_domain())
        self.robot = self._now.enter_context(Robot(self._domain, use_sim_time=self.setup.simulated))
        node = self.robot.node
        node.create_subscription(Result, "/agent/result", self._told, EVERY_RESULT)
        node.create_subscription(DiagnosticArray, "/diagnostics", self._diagnosed, 10)
        self._by_topic = node.create_publisher(GoalMessage, "/agent/goal", EVERY_RESULT)
        self.start_again()
        until(lambda: bool(self._by_topic.get_subscription_count() and node.count_publishers("/agent/result")))
        self.robot.connect()

    def start_again(self) -> None:
        """An agent for the same robot."""
        self.agent = self._now.enter_context(self._agent()).ready()

    def _agent(self) -> AgentProcess:
        settings = ["warm_up:=false", f"record_dir:={self.records}", "record_free_megabytes:=0.0"]
        program = FAULTY_AGENT
        if self.server is not None:
            from openai_server import MODEL

            program = REAL_AGENT
            settings += ["policy:=chat_server", "chat_server.family:=qwen3_vl", "chat_server.retries:=0"]
            settings += [f"chat_server.model:={MODEL}", f"chat_server.base_url:={self.server.url}"]
        if self.setup.simulated:
            settings.append("use_sim_time:=true")
        words = [word for setting in (*settings, *self.setup.parameters) for word in ("-p", setting)]
        return AgentProcess(self._domain, *words, program=[str(program)], shared_memory=not self.setup.killed)

    # Goals -----------------------------------------------------------------------------------------------------------

    def send(self, words: str = "a thing", budget: float = BUDGET, *, camera: bool = False, **fields: Any) -> Goal:
        """A goal by action, with an image of its own unless it is for the camera. Returns once it was accepted."""
        goal = self._new(budget, by_topic=False)
        sent = self.robot.send(words, id=goal.id, time_budget=budget, **_seeing(camera, fields))
        goal.follow(sent)
        return goal

    def ask(self, words: str = "a thing", budget: float = BUDGET, **fields: Any) -> Goal:
        """A goal by action; returns once it has ended."""
        return self.send(words, budget, **fields).wait()

    def say(
        self, words: str = "a thing", budget: float = BUDGET, *, camera: bool = False, invalid: str = "", **fields: Any
    ) -> Goal:
        """A goal by topic, with bytes that are no UTF-8 in the field `invalid`. Returns at once."""
        goal = self._new(budget, by_topic=True)
        message = GoalMessage(instruction=words, id=goal.id, time_budget=budget, **_seeing(camera, fields))
        if not invalid:
            self._by_topic.publish(message)
            return goal
        setattr(message, invalid, "X" * len(NO_UTF8))
        if invalid == "id":
            goal.id = NO_UTF8.decode(errors="replace")
            self._goals[goal.id] = goal
        self._by_topic.publish(serialize_message(message).replace(b"X" * len(NO_UTF8), NO_UTF8))
        return goal

    def expect(self, budget: float = BUDGET) -> Goal:
        """A goal by action that somebody else will send."""
        return self._new(budget, by_topic=False)

    def release(self) -> None:
        """End what hangs in the models that fail by request."""
        self.agent.kick(signal.SIGUSR1)
        time.sleep(0.1)  # no message tells that it has

    def film(self, picture: Image | None = None) -> StillCamera:
        """Publish images from now on, instead of those before."""
        if self.camera is not None:
            self.camera.stop()
        self.camera = self.robot.camera(square() if picture is None else picture)
        return self.camera

    def set(self, **parameters: Any) -> None:
        """Set parameters that are used from the next goal on."""
        for name, value in parameters.items():
            assert self.robot.set_parameter(name, value).successful

    def activate_with(self, **parameters: Any) -> None:
        """Set parameters that are used from the next activation on, and make it come."""
        self.set(**parameters)
        for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
            assert self.robot.change_state(transition)

    def _new(self, budget: float, *, by_topic: bool) -> Goal:
        goal = Goal(f"{self._row}-{next(self._numbers)}", budget, by_topic=by_topic)
        self.goals.append(goal)
        self._goals[goal.id] = goal
        return goal

    def _told(self, message: Any) -> None:
        goal = self._goals.get(message.goal_id)
        if goal is None:
            return
        goal.results.append(message)
        if goal.by_topic and not goal.over:
            goal.end(message)

    def _diagnosed(self, message: Any) -> None:
        self.states |= {status.name.rpartition(": ")[2]: status for status in message.status}

    # Judgement -------------------------------------------------------------------------------------------------------

    def play(self, row: Row) -> list[str]:
        """Inject the fault and judge what became of the goals; returns what is wrong, and keeps the line."""
        self._row, self.goals = re.sub(r"\W+", "-", row.fault)[:24], []
        row.inject(self)
        goals = list(self.goals)
        for goal in goals:
            goal.wait()
        following = self.ask("the next goal", camera=self.camera is not None)
        self.received(following)  # and so the messages before it have come, too
        wrong = [what for goal in (*goals, following) for what in goal.complaints()]
        endings = Counter(goal.ending for goal in goals)
        if not (set(row.ends) <= set(endings) <= {*row.ends, *row.may}):
            wrong.append(f"ended as {dict(endings)}, expected {row.expected}")
        late = max(goal.ended - goal.due for goal in goals)
        if late > BOUND:
            wrong.append(f"the last one ended {late:.2f} s after it was due")
        if following.ending != "FOUND":
            wrong.append(f"the next goal ended as {following.ending}: {following.result.error_msg}")
        with_image = [goal for goal in goals if goal.result is not None and goal.result.trace]
        recorded = self._recorded(with_image, ON_DISK if row.records == "kept" else 0.0)
        if recorded < len(with_image) - MAY_BE_LOST[row.records]:
            wrong.append(f"{recorded} of {len(with_image)} goals with an image are on the disk")
        keep(
            Line(
                fault=row.fault,
                expected=row.expected,
                ended=dict(endings),
                goals=len(goals),
                records=row.records,
                late=round(late, 3),
                next_goal=following.ending,
                with_image=len(with_image),
                recorded=recorded,
                ok=not wrong,
            )
        )
        return wrong

    def received(self, goal: Goal) -> None:
        """Wait until the message about its end has come on `~/result`."""
        until(lambda: bool(goal.results))

    def forget(self) -> None:
        """All goals so far, for one who sends very many."""
        self.goals.clear()
        self._goals.clear()

    def stored(self) -> dict[str, Path]:
        """The files of the goals that are on the disk, by their ids."""
        return {path.stem.partition("_")[2]: path for path in record_files(self.records)}

    def _recorded(self, goals: Sequence[Goal], patience: float) -> int:
        """How many of them can be read back, and ended as their sender was told."""
        until_then = time.monotonic() + patience
        while not {_in_a_file(goal) for goal in goals} <= self.stored().keys() and time.monotonic() < until_then:
            time.sleep(0.02)
        files = self.stored()
        there = [(goal, read_record(files[_in_a_file(goal)], _fail)) for goal in goals if _in_a_file(goal) in files]
        return sum(OUTCOMES[goal.result.outcome] is record.trace.outcome for goal, record in there)


def _seeing(camera: bool, fields: dict[str, Any]) -> dict[str, Any]:
    return fields if camera else {"image": square()} | fields


def _in_a_file(goal: Goal) -> str:
    """Its id, as names of files have it."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", goal.id)


def _fail(sentence: str) -> None:
    raise AssertionError(sentence)
