"""The agent as a ROS node: lifecycle, goals, parameters. `program` runs it.

No callback blocks the executor's other callbacks: goals run in a thread of their own, models in another. Only three
calls take long, each in its own thread of the executor: a configure transition and a promotion while models load, and
the execution of an accepted action goal, which waits for the goal's end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import String

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.agent.turn import Trace
from rsagent_ros.backends import Models
from rsagent_ros.baseline.tracker import ClassicalTracker
from rsagent_ros.confidence import Calibration
from rsagent_ros.msg import Goal as GoalMessage
from rsagent_ros.msg import Verdict as VerdictMessage
from rsagent_ros.ros import diagnostics
from rsagent_ros.ros.camera.cameras import Cameras
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.goals.action_server import SegmentServer
from rsagent_ros.ros.goals.active_goal import ActiveGoal, GoalRequest
from rsagent_ros.ros.goals.follow_ups import FollowUps
from rsagent_ros.ros.goals.goal_log import GoalLog
from rsagent_ros.ros.goals.goal_queue import GoalQueue
from rsagent_ros.ros.goals.goal_runner import GoalRunner
from rsagent_ros.ros.goals.hints import Hints
from rsagent_ros.ros.goals.publishers import Publishers
from rsagent_ros.ros.goals.recorder import Recorder
from rsagent_ros.ros.goals.verdicts import Kept, Verdicts
from rsagent_ros.ros.goals.worker import Worker
from rsagent_ros.ros.lifecycle import SafeLifecycleNode
from rsagent_ros.ros.models import Load, load_and_warm_up, load_calibration, load_models
from rsagent_ros.ros.parameters import changed, declare
from rsagent_ros.ros.shadow.deciding import decided_by
from rsagent_ros.ros.shadow.shadowing import Shadowing
from rsagent_ros.ros.tracking.tracking import Tracking
from rsagent_ros.shadow.candidate import Candidate

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class AgentNode(SafeLifecycleNode):
    """The node `agent`. Its executor needs `program.THREADS` threads."""

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
        self._cameras = Cameras(self, lambda: self.parameters)
        self._verdicts = Verdicts()
        self._questions = FollowUps()
        self._hints = Hints()
        self._recorder = Recorder(self.get_logger(), lambda: self.get_clock().now().nanoseconds)
        self._goal_log = GoalLog(self.get_logger(), lambda: self.parameters.log_format == "json")
        self._outputs = Publishers(self, self._ended, self._goal_log)
        self._worker = Worker()
        self._models: Models | None = None
        self._calibration: Calibration | None = None
        self._execution: GoalRunner | None = None
        self._tracking: Tracking | None = None
        self._desk = GoalQueue(self._work, self._outputs.end)
        self._shadowing = Shadowing(self.get_logger(), lambda: self.parameters, self._is_busy, self._switch)
        self._switched: Sequence[Candidate] = ()
        topics = MutuallyExclusiveCallbackGroup()
        self.create_subscription(GoalMessage, "~/goal", self._goal_by_topic, 100, callback_group=topics)
        self.create_subscription(String, "~/goal_text", self._goal_by_text, 100, callback_group=topics)
        self.create_subscription(VerdictMessage, "~/verdict", self._judge, 100, callback_group=topics)
        self.create_subscription(String, "~/stop_tracking", self._stop_tracking, 100, callback_group=topics)
        self._actions = SegmentServer(
            self, lambda: self.parameters, self._submit, lambda run: self._desk.stop(run, Outcome.CANCELED)
        )
        self._shadowing.serve(self)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # the node's clock may be a simulation's, and stand still
        self.create_timer(self.parameters.diagnostics_period, self._diagnose, clock=steady)

    def destroy_node(self) -> None:
        """Leave the graph."""
        self._actions.close()
        self._worker.close()
        super().destroy_node()

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the models and let them take a turn. Blocks meanwhile; on an error the node stays unconfigured.

        Who was promoted and can't be loaded gives way to whom the parameters choose.
        """
        because = ""
        for candidate in self._shadowing.choices(self.parameters, self._switched):
            self._problem = self._load_models(candidate)
            if self._models is not None:
                self._shadowing.decides(candidate, self.parameters, because)
                break
            because = f"{candidate.name} can't be loaded: {self._problem}"
            if self._is_ending():
                break
        if self._models is None:
            self.get_logger().error(f"the models could not be loaded: {self._problem}")
            return FAILURE
        if self._worker.busy:
            self._worker.close()
            self._worker = Worker()  # the models of the old one are gone; what hangs in them is left alone
        self._state = "inactive"
        return SUCCESS

    def _load_models(self, candidate: Candidate) -> str:
        """Returns what went wrong; empty if nothing did."""
        try:
            parameters = decided_by(candidate, self.parameters)
            self._models = load_and_warm_up(self._load, parameters, self._is_ending)
            self._calibration = load_calibration(parameters, self._models)
        except Exception as error:  # a backend may raise anything, and the node must stay usable
            self._let_go()
            return error.message if isinstance(error, RunFailed) else describe(error)
        return ""

    def _is_ending(self) -> bool:
        return self._finishing or self._stopping()

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take goals."""
        if self._models is None:
            return FAILURE
        tracker = self._models.tracker or ClassicalTracker()
        self._tracking = Tracking(tracker, self._outputs, self._look_again, self.get_logger())
        self._execution = GoalRunner(
            self._models,
            self._cameras,
            self._outputs,
            self._worker,
            self._tracking,
            self._questions,
            self._hints,
            self._calibration,
        )
        self._recorder.open(self.parameters)
        self._outputs.poses.open(self.parameters.output_frame)
        self._cameras.open()
        self._desk.open()
        self._shadowing.open(self.parameters)
        self._state = "active"
        self.get_logger().info(
            f"ready: {self._models.policy.name} and {self._models.segmenter.name}, camera "
            + ", ".join(camera.topic for camera in self._cameras.all)
        )
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no more goals; the running one ends as SHUTDOWN. Blocks for milliseconds; a contest ends within 1 s."""
        if self._tracking is not None:
            self._tracking.close()
        self._desk.close(Outcome.SHUTDOWN, "the node was deactivated or stopped")
        self._shadowing.close()
        self._cameras.close()
        self._outputs.poses.close()
        self._tracking = None
        self._state = "inactive"
        return SUCCESS

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the models; what a hung one still says is discarded. Blocks for about a second at most."""
        self._let_go()
        return SUCCESS

    def _let_go(self) -> None:
        if self._models is not None:
            self._models.close()
        self._models = self._execution = None
        self._state = "unconfigured"

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

    # Who decides -----------------------------------------------------------------------------------------------------

    def _is_busy(self) -> bool:
        tracking = self._tracking
        following = tracking is not None and tracking.facts()["followed"]
        return self._desk.running is not None or bool(self._desk.waiting or following)

    def _switch(self, choices: Sequence[Candidate], only_idle: bool) -> str:
        """Deactivate, clean up, configure with the first of these that can be loaded, and activate.

        Returns:
            Why that was not done; empty when the node is active again.
        """
        if not self.transition.acquire(blocking=False):
            return "another transition is under way; try again"
        try:
            if self._state != "active":
                return "the node is not active: activate it first"
            if only_idle and not self._desk.close_if_idle():
                return "a goal runs or waits; try again when it has ended"
            self._switched = choices
            for step in (self.trigger_deactivate, self.trigger_cleanup, self.trigger_configure, self.trigger_activate):
                if step() != SUCCESS:
                    return self._problem
            return ""
        finally:
            self._switched = ()
            self.transition.release()

    # Goals -----------------------------------------------------------------------------------------------------------

    def _goal_by_topic(self, goal: GoalMessage) -> None:
        self._submit(ActiveGoal(GoalRequest.of(goal, "topic"), self.parameters))

    def _goal_by_text(self, words: String) -> None:
        self._goal_by_topic(GoalMessage(instruction=words.data))

    def _submit(self, run: ActiveGoal) -> None:
        self._goal_log.asked(run.request)
        self._shadowing.disturb()
        self._desk.submit(run)

    def _look_again(self, request: GoalRequest) -> ActiveGoal | None:
        """For tracks that are lost; None while others have goals."""
        if self._desk.running is not None or self._desk.waiting:
            return None
        run = ActiveGoal(request, self.parameters)
        self._submit(run)
        return run

    def _stop_tracking(self, goal_id: String) -> None:
        if self._tracking is not None:
            self._tracking.stop(goal_id.data)

    def _work(self, run: ActiveGoal) -> None:
        if self._execution is None:
            raise RuntimeError("the desk is open while the node is not active")
        self._recorder.settle()
        self._execution(run)

    def _ended(self, run: ActiveGoal, result: Result, trace: Trace | None, frame: Frame | None) -> None:
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
            self._goal_log.verdict_refused(verdict, str(error))
            return
        self._recorder.verdict(verdict)
        self._goal_log.judged(verdict, goal)

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
            diagnostics.goals_status(name, self._desk, self._outputs, self._verdicts),
            *(
                diagnostics.camera_status(name, camera, self.parameters.max_frame_age, active=self._state == "active")
                for camera in self._cameras.all
            ),
            diagnostics.models_status(name, self._state, models, self._problem, self.overdue),
            diagnostics.records_status(name, self._recorder),
            diagnostics.tracking_status(name, self._tracking, self._outputs.poses),
            diagnostics.shadow_status(name, self._shadowing),
        ]
        self._diagnostics.publish(message)
