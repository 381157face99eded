"""What the tests of the node share: the node as a process, and the other side of DDS in this one.

`AgentProcess` runs `test/ros/fake_agent.py` (fake models) or the real program. `Robot` is a node with its own context
and executor thread in the test's process: it publishes images, sends goals, and collects what the agent publishes.
"""

from __future__ import annotations

import array
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rsagent_ros.action import Segment
from rsagent_ros.msg import Goal
from sensor_msgs.msg import Image
from std_msgs.msg import String

from rsagent_ros.ros.client.action_client import SafeActionClient, finished

ROOT = Path(__file__).resolve().parents[2]
FAKE_AGENT = ROOT / "test/ros/fake_agent.py"
REAL_AGENT = ROOT / "scripts/agent_node"
PROFILE = ROOT / "config/fastdds.xml"
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Names of the variable: until Fast DDS 2, and since 3."""

SHARED_MEMORY = re.compile(
    r"<transport_descriptor>\s*<transport_id>shared_memory.*?</transport_descriptor>"
    r"|<transport_id>shared_memory</transport_id>",
    re.DOTALL,
)
PATIENCE = 60.0
"""Seconds after which something that should have happened has not: far longer than it takes, on a busy machine too."""

LATCHED = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)


class AgentProcess:
    """The agent's node in a process of its own; ends with the `with` block.

    Asked to end, not killed: Fast DDS would leave its shared memory behind, 64 MiB each time.
    """

    def __init__(
        self,
        domain: int,
        *ros_arguments: str,
        script: str = "instant",
        fault: str = "none",
        program: Sequence[str] | None = None,
        shared_memory: bool = True,
    ) -> None:
        """Start it.

        Args:
            domain: Its ROS_DOMAIN_ID.
            *ros_arguments: What follows `--ros-args`.
            script: Of the fake policy.
            fault: Of the fake segmenter.
            program: To run instead of the fake agent.
            shared_memory: Whether it may use some; one that will be killed must not, because it would stay behind.
        """
        environment = os.environ | {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
        self._profile = tempfile.NamedTemporaryFile("w", suffix=".xml")  # noqa: SIM115 - as long as the process lives
        if not shared_memory:
            self._profile.write(SHARED_MEMORY.sub("", PROFILE.read_text()))
            self._profile.flush()
            environment |= dict.fromkeys(PROFILE_VARIABLES, self._profile.name)
        command = [str(FAKE_AGENT), script, fault] if program is None else list(program)
        if ros_arguments:
            command += ["--ros-args", *ros_arguments]
        self.process = subprocess.Popen(
            [sys.executable, *command],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: list[str] = []
        self._change = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> AgentProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self._reader.join()
            self._profile.close()
        sys.stdout.write(self.log)  # pytest shows it when the test has failed

    @property
    def log(self) -> str:
        return "".join(self._lines)

    def ready(self) -> AgentProcess:
        """Wait until it is active."""
        self.wait_for("ready: ")
        return self

    def wait_for(self, words: str, times: int = 1) -> None:
        """Wait until it has logged the words so many times."""
        with self._change:
            there = self._change.wait_for(lambda: self.log.count(words) >= times or self._ended(), PATIENCE)
        assert self.log.count(words) >= times, f"{words!r} is not in the log after {there}:\n{self.log}"

    def kick(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for its end."""
        code = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; returns the exit code."""
        self.kick(number)
        return self.exit_code()

    def _ended(self) -> bool:
        return not self._reader.is_alive()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._change:
                self._lines.append(line)
                self._change.notify_all()
        with self._change:
            self._change.notify_all()


class Sink:
    """Collects the messages of a topic."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self._change = threading.Condition()

    def __call__(self, message: Any) -> None:
        with self._change:
            self.messages.append(message)
            self._change.notify_all()

    def wait(self, count: int = 1, where: Callable[[Any], bool] = lambda message: True) -> list[Any]:
        """Wait for so many messages that fit; returns them."""
        with self._change:
            self._change.wait_for(lambda: sum(map(where, self.messages)) >= count, PATIENCE)
        found = [message for message in self.messages if where(message)]
        assert len(found) >= count, f"{len(found)} of {count} messages came"
        return found


class SentGoal:
    """An action goal under way.

    Attributes:
        feedback: Its turns.
        progress: What the feedback says before the first turn.
    """

    def __init__(self, client: SafeActionClient, goal: Segment.Goal) -> None:
        self.client = client
        self.feedback, self.progress = Sink(), Sink()
        self.handle = client.send(goal, self._hear, PATIENCE)

    def _hear(self, message: Any) -> None:
        sink = self.feedback if message.feedback.turn.index else self.progress
        sink(message)

    def cancel(self) -> Any:
        return finished(self.client.cancel(self.handle), PATIENCE)

    def result(self) -> tuple[int, Segment.Result]:
        """Wait for the end; returns the action's status and the result."""
        response = finished(self.client.result_of(self.handle), PATIENCE)
        return response.status, response.result


class Robot:
    """The rest of a robot: camera, planner and operator in one node, in a context of its own."""

    def __init__(self, domain: int, agent: str = "/agent", use_sim_time: bool = False) -> None:
        self.context = Context()
        rclpy.init(context=self.context, domain_id=domain)
        overrides = [rclpy.Parameter("use_sim_time", value=use_sim_time)]
        self.node = Node("robot", context=self.context, enable_rosout=False, parameter_overrides=overrides)
        self.agent = agent
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        self.client = SafeActionClient(self.node, f"{agent}/segment")
        self._change_state = self.node.create_client(ChangeState, f"{agent}/change_state")
        self._set_parameters = self.node.create_client(SetParameters, f"{agent}/set_parameters")
        self._get_parameters = self.node.create_client(GetParameters, f"{agent}/get_parameters")
        self._get_state = self.node.create_client(GetState, f"{agent}/get_state")  # the last, see _answers
        self._connected = False
        self._cameras: list[StillCamera] = []

    def __enter__(self) -> Robot:
        return self

    def __exit__(self, *_: object) -> None:
        for camera in self._cameras:
            camera.stop()
        self._over.set()
        self._executor.create_task(self._over.is_set)
        self._thread.join(PATIENCE)
        self._executor.shutdown()
        self.client.destroy()
        self.node.destroy_node()
        self.context.try_shutdown()

    def _spin(self) -> None:
        try:
            while not self._over.is_set():
                self._executor.spin_once()
        except ExternalShutdownException:
            return

    def camera(
        self, message: Any, topic: str = "/image", period: float = 0.03, qos: QoSProfile = BEST_EFFORT
    ) -> StillCamera:
        """Publish the message, stamped anew each time, until the camera is stopped."""
        camera = StillCamera(self.node, message, topic, period, qos)
        self._cameras.append(camera)
        return camera

    def listen(self, kind: type, topic: str, qos: QoSProfile | int = LATCHED) -> Sink:
        """Collect a topic; returns once the publisher is matched."""
        sink = Sink()
        subscription = self.node.create_subscription(kind, topic, sink, qos)
        until(lambda: self.node.count_publishers(subscription.topic_name) > 0)
        return sink

    def publisher(self, kind: type, topic: str) -> Any:
        """A publisher that somebody listens to."""
        publisher = self.node.create_publisher(kind, topic, 1000)
        until(lambda: publisher.get_subscription_count() > 0)
        return publisher

    def send(self, instruction: str = "a thing", **fields: Any) -> SentGoal:
        """Send an action goal; returns once it was accepted."""
        self.connect()
        return SentGoal(self.client, Segment.Goal(instruction=instruction, **fields))

    def ask(self, instruction: str = "a thing", **fields: Any) -> tuple[int, Segment.Result]:
        """Send an action goal and wait for its end."""
        return self.send(instruction, **fields).result()

    def say(self, instruction: str = "a thing", **fields: Any) -> None:
        """Send a goal by topic."""
        self.publisher(Goal, f"{self.agent}/goal").publish(Goal(instruction=instruction, **fields))

    def say_text(self, words: str) -> None:
        self.publisher(String, f"{self.agent}/goal_text").publish(String(data=words))

    def connect(self) -> None:
        """Wait until the agent knows all there was of this robot when it was made."""
        if not self._connected:
            assert self.client.wait_for_server(PATIENCE)
            assert self._get_state.wait_for_service(PATIENCE)
            until(self._answers)
            self._connected = True

    def _answers(self) -> bool:
        # An agent that has not discovered who asks drops its answer. Discovery goes in the order of creation.
        try:
            finished(self._get_state.call_async(GetState.Request()), 1.0)
        except TimeoutError:
            return False
        return True

    def change_state(self, transition: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=transition))
        self.connect()
        return bool(finished(self._change_state.call_async(request), PATIENCE).success)

    def state(self) -> str:
        self.connect()
        return str(finished(self._get_state.call_async(GetState.Request()), PATIENCE).current_state.label)

    def set_parameter(self, name: str, value: Any) -> Any:
        """Returns the SetParametersResult."""
        message: ParameterValue = rclpy.Parameter(name, value=value).get_parameter_value()
        request = SetParameters.Request(parameters=[Parameter(name=name, value=message)])
        self.connect()
        return finished(self._set_parameters.call_async(request), PATIENCE).results[0]

    def parameter(self, name: str) -> Any:
        """Its value."""
        self.connect()
        answer = finished(self._get_parameters.call_async(GetParameters.Request(names=[name])), PATIENCE)
        return parameter_value_to_python(answer.values[0])


class StillCamera:
    """Publishes one message again and again, from a thread of its own.

    Attributes:
        message: What is published; may be changed.
        stamp: Gives the stamp; None leaves the one in the message.
    """

    def __init__(self, node: Node, message: Any, topic: str, period: float, qos: QoSProfile) -> None:
        self.message = message
        self.stamp: Callable[[], Time] | None = lambda: node.get_clock().now().to_msg()
        self._node = node
        self._period = period
        self._publisher = node.create_publisher(type(message), topic, qos)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    def _publish(self) -> None:
        while not self._over.wait(self._period):
            message = self.message
            if self.stamp is not None:
                message.header.stamp = self.stamp()
            self._publisher.publish(message)

    def pause(self) -> None:
        """Stay on the graph, but publish no more."""
        self._over.set()
        self._thread.join(PATIENCE)

    def stop(self) -> None:
        """Leave the graph."""
        self.pause()
        self._node.destroy_publisher(self._publisher)


def picture(width: int = 64, height: int = 48, value: int = 90) -> Image:
    """A grey rgb8 image in the frame `camera`."""
    return image_of(np.full((height, width, 3), value, np.uint8), "rgb8")


def image_of(pixels: np.ndarray, encoding: str) -> Image:
    """An image message of a (H, W, ...) array."""
    message = Image(height=pixels.shape[0], width=pixels.shape[1], encoding=encoding)
    message.header.frame_id = "camera"
    message.step = pixels.nbytes // pixels.shape[0]
    message.data = array.array("B", pixels.tobytes())
    return message


def until(condition: Callable[[], bool]) -> None:
    """Wait for something on the graph that no event tells of."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)
