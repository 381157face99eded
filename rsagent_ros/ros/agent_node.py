"""The agent as a ROS node: lifecycle, action server, goal topics, parameters; and the program that runs it.

No callback blocks the executor's other callbacks: goals run in a thread of their own, models in another. Only two calls
take long, each in its own thread of the executor: a configure transition while models load, and the execution of an
accepted action goal, which waits for the goal's end.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.action import ActionServer, CancelResponse
from rclpy.action.server import RCLError, ServerGoalHandle
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import MultiThreadedExecutor
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from std_msgs.msg import String

from rsagent_ros.action import Segment
from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.agent.turn import Trace
from rsagent_ros.backends import Models
from rsagent_ros.msg import Goal as GoalMessage
from rsagent_ros.msg import Turn as TurnMessage
from rsagent_ros.msg import Verdict as VerdictMessage
from rsagent_ros.ros import diagnostics
from rsagent_ros.ros.conversions import OUTCOMES, same
from rsagent_ros.ros.execution import Execution
from rsagent_ros.ros.frames import Camera, Frame
from rsagent_ros.ros.goals import Desk, Request, Run, Source
from rsagent_ros.ros.lifecycle import SafeLifecycleNode
from rsagent_ros.ros.models import LOADING, Load, load_and_warm_up, load_models
from rsagent_ros.ros.outputs import Outputs
from rsagent_ros.ros.parameters import changed, declare
from rsagent_ros.ros.recording import Recorder
from rsagent_ros.ros.verdicts import SOURCES, Kept, Verdicts
from rsagent_ros.ros.worker import WORKER, Worker

SUCCEEDED = (Outcome.FOUND, Outcome.NOT_IN_VIEW, Outcome.AMBIGUOUS, Outcome.GAVE_UP)
"""Outcomes that end an action goal as SUCCEEDED: whoever asked got an answer, and reads `outcome`."""

THREADS = 6
"""Of the executor: at most one transition and two goals (one ends while the next begins) block one each."""

LINGER = 0.25
"""Seconds between the end of the last goal and that of the node: rclpy can't tell when a result has arrived."""

EXIT_USAGE, EXIT_HANG = 2, 75

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class AgentNode(SafeLifecycleNode):
    """The node `agent`. Its executor needs THREADS threads."""

    def __init__(self, load: Load = load_models, stopping: Callable[[], bool] = lambda: False) -> None:
        """Create everything that does not depend on the models; nothing is loaded yet.

        Args:
            load: Makes the models when the node is configured; may block, may raise.
            stopping: Whether the node is about to end: what it loads is not waited for then.

        Raises:
            ValueError: A parameter out of its range or choices.
            rclpy.exceptions.InvalidParameterTypeException: A parameter of another type.
        """
        super().__init__("agent")
        try:
            self.parameters = declare(self)
        except Exception:
            super().destroy_node()
            raise
        self.add_on_set_parameters_callback(self._check_parameters)
        self.add_post_set_parameters_callback(self._take_parameters)
        self._stopping = stopping
        self._finishing = False
        self.last_end = 0.0
        self._load = load
        self._state = "unconfigured"
        self._problem = ""
        self._camera = Camera(self, lambda: self.parameters)
        self._verdicts = Verdicts()
        self._recorder = Recorder(self.get_logger(), lambda: self.get_clock().now().nanoseconds)
        self._outputs = Outputs(self, self._ended)
        self._worker = Worker()
        self._models: Models | None = None
        self._execution: Execution | None = None
        self._desk = Desk(self._work, self._outputs.end)
        self._runs: dict[bytes, Run] = {}
        topics = MutuallyExclusiveCallbackGroup()
        self.create_subscription(GoalMessage, "~/goal", self._goal_by_topic, 100, callback_group=topics)
        self.create_subscription(String, "~/goal_text", self._goal_by_text, 100, callback_group=topics)
        self.create_subscription(VerdictMessage, "~/verdict", self._judge, 100, callback_group=topics)
        self._server = ActionServer(
            self,
            Segment,
            "~/segment",
            self._finish,
            callback_group=MutuallyExclusiveCallbackGroup(),
            handle_accepted_callback=self._goal_by_action,
            cancel_callback=self._cancel,
            result_timeout=self.parameters.result_timeout,
        )
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # the node's clock may be a simulation's, and stand still
        self.create_timer(self.parameters.diagnostics_period, self._diagnose, clock=steady)

    def destroy_node(self) -> None:
        """Leave the graph."""
        self._server.destroy()
        super().destroy_node()

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the models and let them take a turn. Blocks meanwhile; on an error the node stays unconfigured."""
        try:
            self._models = load_and_warm_up(self._load, self.parameters, lambda: self._finishing or self._stopping())
            self._problem = ""
        except Exception as error:  # a backend may raise anything, and the node must stay usable
            self._problem = error.message if isinstance(error, RunFailed) else describe(error)
            self.get_logger().error(f"the models could not be loaded: {self._problem}")
            return FAILURE
        if self._worker.busy:
            self._worker = Worker()  # the models of the old one are gone; what hangs in them is left alone
        self._state = "inactive"
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take goals."""
        if self._models is None:
            return FAILURE
        self._execution = Execution(self._models, self._camera, self._outputs, self._worker)
        self._recorder.open(self.parameters)
        self._camera.open()
        self._desk.open()
        self._state = "active"
        self.get_logger().info(
            f"ready: {self._models.policy.name} and {self._models.segmenter.name}, camera {self._camera.topic}"
        )
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no more goals; the running one ends as SHUTDOWN. Blocks for milliseconds."""
        self._desk.close(Outcome.SHUTDOWN, "the node was deactivated or stopped")
        self._camera.close()
        self._state = "inactive"
        return SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the models; what a hung one still says is discarded. Blocks for about a second at most."""
        if self._models is not None:
            self._models.close()
        self._models = self._execution = None
        self._state = "unconfigured"
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate and clean up, for good."""
        self.on_deactivate(state)
        self.on_cleanup(state)
        self._recorder.close()
        self._state = "finalized"
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a defect in a transition: back to unconfigured. rclpy does not tell which."""
        self.get_logger().error("a transition failed, which is a defect; the node is unconfigured")
        self.on_deactivate(state)
        return self.on_cleanup(state)

    @property
    def finalized(self) -> bool:
        """Whether it has shut down: no transition leads on from there."""
        return self._state == "finalized"

    def start(self) -> None:
        """Configure and activate, unless somebody else is at it. Blocks while the models load."""
        with self.transition:
            if self._state == "unconfigured" and self.trigger_configure() == SUCCESS:
                self.trigger_activate()

    def finish(self) -> None:
        """Shut down, from any state."""
        self._finishing = True
        with self.transition:
            if not self.finalized:
                self.trigger_shutdown()

    # Goals -----------------------------------------------------------------------------------------------------------

    def _goal_by_topic(self, goal: GoalMessage) -> None:
        self._submit(goal, "topic")

    def _goal_by_text(self, words: String) -> None:
        self._submit(GoalMessage(instruction=words.data), "topic")

    def _goal_by_action(self, handle: ServerGoalHandle) -> None:
        def feedback(turn: TurnMessage) -> None:
            handle.publish_feedback(Segment.Feedback(turn=turn))

        self._runs[bytes(handle.goal_id.uuid)] = self._submit(handle.request, "action", feedback)
        handle.execute()

    def _submit(
        self,
        goal: GoalMessage | Segment.Goal,
        source: Source,
        feedback: Callable[[TurnMessage], None] | None = None,
    ) -> Run:
        run = Run(Request.of(goal, source), self.parameters, feedback)
        self.get_logger().info(f"goal {run.request.id!r} by {source}: {run.request.instruction!r}")
        self._desk.submit(run)
        return run

    def _work(self, run: Run) -> None:
        if self._execution is None:
            raise RuntimeError("the desk is open while the node is not active")
        self._recorder.settle()
        self._execution(run)

    def _cancel(self, handle: ServerGoalHandle) -> CancelResponse:
        run = self._runs.get(bytes(handle.goal_id.uuid))
        if run is not None:
            run.stop(Outcome.CANCELED)
        return CancelResponse.ACCEPT

    def _finish(self, handle: ServerGoalHandle) -> Segment.Result:
        """Wait for the goal's end, and give the action its one terminal state."""
        run = self._runs[bytes(handle.goal_id.uuid)]
        run.closed.wait()
        del self._runs[bytes(handle.goal_id.uuid)]
        answer = run.answer
        if answer is None:
            raise RuntimeError("a goal was closed without an answer")
        outcome = OUTCOMES[answer.outcome]
        if outcome in SUCCEEDED:
            handle.succeed()
        elif outcome is Outcome.CANCELED and _became_canceling(handle):
            handle.canceled()
        else:
            handle.abort()
        return same(answer, Segment.Result)

    def _ended(self, run: Run, result: Result, trace: Trace | None, frame: Frame | None) -> None:
        if trace is not None:
            kept = Kept(run.request.instruction, result.outcome, (trace.width, trace.height))
            self._verdicts.keep(run.request.id, kept)
            if frame is not None:
                self._recorder.goal(run, frame, trace)
        self.last_end = time.monotonic()

    def _judge(self, verdict: VerdictMessage) -> None:
        try:
            goal = self._verdicts.judge(verdict)
        except ValueError as error:
            self.get_logger().warning(f"verdict refused: {error}")
            return
        self._recorder.verdict(verdict)
        right = "accepted" if verdict.accepted else "rejected"
        self.get_logger().info(
            f"goal {verdict.goal_id!r} ({goal.instruction!r}, {goal.outcome}) was {right} by {SOURCES[verdict.source]}"
            f"{', absent' if verdict.absent else ''}{f': {verdict.note!r}' if verdict.note else ''}"
        )

    # Parameters and diagnostics --------------------------------------------------------------------------------------

    def _check_parameters(self, changes: Iterable[Parameter]) -> SetParametersResult:
        try:
            changed(self.parameters, changes)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _take_parameters(self, changes: Iterable[Parameter]) -> None:
        self.parameters = changed(self.parameters, changes)

    @property
    def overdue(self) -> float:
        """Seconds that a model has hung since its goal ended, beyond `hang_grace`; 0 when none does."""
        overdue = self._worker.overdue
        return overdue if overdue > self.parameters.hang_grace else 0.0

    def _diagnose(self) -> None:
        name, models = self.get_fully_qualified_name(), self._models
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        message.status = [
            diagnostics.goals_status(name, self._desk.running, self._outputs.outcomes, self._verdicts),
            diagnostics.camera_status(name, self._camera, self.parameters.camera_mode, active=self._state == "active"),
            diagnostics.models_status(name, self._state, models, self._problem, self.overdue),
            diagnostics.records_status(name, self._recorder),
        ]
        self._diagnostics.publish(message)


def _became_canceling(handle: ServerGoalHandle) -> bool:
    """Whether rclpy has noted the cancel request: it does so after our callback, and the goal may end in between."""
    until = time.monotonic() + 1.0
    while not handle.is_cancel_requested and time.monotonic() < until:
        time.sleep(0.001)
    return handle.is_cancel_requested


# The program ---------------------------------------------------------------------------------------------------------


def main(argv: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT, SIGTERM or a shutdown transition; returns the exit code.

    0: it was asked to end. 2: bad arguments or parameters. 75: a model hung longer than restart_on_hang.
    """
    return run(argv)


def run(argv: Sequence[str] | None = None, load: Load = load_models) -> int:
    """`main` with models of one's own."""
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        # The handler interrupts the main thread wherever it is: it may not take a lock, as setting an Event would.
        signal.signal(number, lambda number, frame: signals.put(number))
    try:
        # rclpy's own handlers would close every publisher at once, and the running goal could not be answered any more.
        rclpy.init(args=None if argv is None else list(argv), signal_handler_options=SignalHandlerOptions.NO)
        node = AgentNode(load, stopping=lambda: not signals.empty())
    except (ValueError, RCLError, InvalidParameterTypeException, InvalidParameterValueException) as error:
        rclpy.logging.get_logger("agent").fatal(str(error))
        rclpy.try_shutdown()
        return EXIT_USAGE
    executor = MultiThreadedExecutor(THREADS)
    executor.add_node(node)
    over = threading.Event()
    spinner = threading.Thread(target=_spin, args=(executor, over, node), name="executor", daemon=True)
    spinner.start()
    if node.parameters.autostart:
        node.start()
    code = 0
    while not node.finalized:
        with contextlib.suppress(queue.Empty):
            signals.get(timeout=0.5)
            break
        limit = node.parameters.restart_on_hang
        if limit and node.overdue > limit:
            node.get_logger().fatal(f"a model has hung for {node.overdue:.1f} s: ending with exit code {EXIT_HANG}")
            code = EXIT_HANG
            break
    node.finish()
    time.sleep(max(0.0, node.last_end + LINGER - time.monotonic()))
    over.set()
    executor.create_task(over.is_set)  # something to do, so that the spinner looks up
    spinner.join(timeout=1.0)
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()
    if any(thread.name in (WORKER, LOADING) for thread in threading.enumerate()):
        os._exit(code)  # a model that hangs in native code can bring the interpreter down on its way out
    return code


def _spin(executor: MultiThreadedExecutor, over: threading.Event, node: AgentNode) -> None:
    while not over.is_set():
        try:
            executor.spin_once()
        except Exception as error:  # one bad callback must not end the node
            if not over.is_set():
                node.get_logger().error(f"a callback failed, which is a defect: {describe(error)}")


if __name__ == "__main__":
    sys.exit(main())
