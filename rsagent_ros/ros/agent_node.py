"""The agent as a ROS node: it constructs the parts, wires them, and takes them through the lifecycle.

Nothing calls back into it but ROS: parts are given to each other, top down, in `__init__` and `on_activate`. `program`
runs it; the package's docstring names its threads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.backends import Models
from rsagent_ros.baseline.tracker import ClassicalTracker
from rsagent_ros.confidence import Calibration
from rsagent_ros.ros import diagnostics
from rsagent_ros.ros.camera.cameras import Cameras
from rsagent_ros.ros.goals.action_server import SegmentServer
from rsagent_ros.ros.goals.episode_runner import EpisodeRunner
from rsagent_ros.ros.goals.goal_log import GoalLog
from rsagent_ros.ros.goals.goal_queue import GoalQueue
from rsagent_ros.ros.goals.goal_runner import GoalRunner
from rsagent_ros.ros.goals.publishers import Publishers
from rsagent_ros.ros.goals.recorder import Recorder
from rsagent_ros.ros.goals.topics import GoalTopics
from rsagent_ros.ros.goals.verdicts import Verdicts
from rsagent_ros.ros.goals.worker import Worker
from rsagent_ros.ros.lifecycle import SafeLifecycleNode
from rsagent_ros.ros.live_parameters import LiveParameters
from rsagent_ros.ros.models import Load, load_and_warm_up, load_calibration, load_models
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.shadow.model_choice import with_models
from rsagent_ros.ros.shadow.model_selection import ModelChange, ModelSelection, PromotionRefused
from rsagent_ros.ros.shadow.shadow_comparison import ShadowComparison
from rsagent_ros.ros.tracking.tracking import Tracking
from rsagent_ros.shadow.candidate import CandidateModels
from rsagent_ros.srv import Promotion

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class AgentNode(SafeLifecycleNode):
    """The node `agent`. Its executor needs `program.THREADS` threads."""

    def __init__(self, load: Load = load_models, stopping: Callable[[], bool] = lambda: False) -> None:
        """Create everything that does not depend on the models; nothing is loaded yet.

        Args:
            load: Makes the models when the node is configured; may block, may raise.
            stopping: Whether the node is about to end: what it loads is not waited for then.

        Raises:
            ValueError: A parameter out of its range or choices, or of another type.
        """
        super().__init__("agent")
        try:
            live = LiveParameters(self)
        except Exception:  # whatever is wrong with a parameter, no half-made node stays on the graph
            super().destroy_node()
            raise
        self._live = live
        self._load = load
        self._stopping = stopping
        self._finishing = False
        self._state = "unconfigured"
        self._problem = ""
        self._models: Models | None = None
        self._calibration: Calibration | None = None
        self._tracking: Tracking | None = None
        self._reloading: Sequence[CandidateModels] = ()
        log, clock = self.get_logger(), self.get_clock()
        self._worker = Worker()
        self._cameras = Cameras(self, live.now)
        self._goal_publishers = Publishers(self)
        self._recorder = Recorder(log, lambda: clock.now().nanoseconds)
        self._verdicts = Verdicts()
        self._selection = ModelSelection(log)
        self._shadow = ShadowComparison(log, live.now)
        goal_log = GoalLog(log, lambda: live.now().log_format == "json")
        self._runner = GoalRunner(
            self._cameras, self._goal_publishers, self._recorder, self._verdicts, self._shadow, goal_log
        )
        self._queue = GoalQueue(self._runner, live.now)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._topics = GoalTopics(self, self._queue, self._runner, self._diagnostics)
        self._actions = SegmentServer(self, self._queue, live.now().result_timeout)
        group = MutuallyExclusiveCallbackGroup()  # they block while models load, in a thread that nothing else needs
        self.create_service(Promotion, "~/promote", self._promote, callback_group=group)
        self.create_service(Promotion, "~/rollback", self._roll_back, callback_group=group)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # the node's clock may be a simulation's, and stand still
        self.create_timer(live.now().diagnostics_period, self._diagnose, clock=steady)

    def destroy_node(self) -> None:
        """Leave the graph."""
        self._actions.close()
        self._worker.close()
        super().destroy_node()

    @property
    def parameters(self) -> NodeParameters:
        """The parameters as they are now."""
        return self._live.now()

    # Lifecycle -------------------------------------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the models and let them take a turn. Blocks meanwhile; on an error the node stays unconfigured.

        Promoted models that can't be loaded give way to those that the parameters choose.
        """
        failure = ""
        for candidate in self._selection.to_load(self.parameters, self._reloading):
            self._problem = self._load_models(candidate)
            if self._models is not None:
                self._selection.loaded(candidate, self.parameters, failure)
                break
            failure = f"{candidate.name} can't be loaded: {self._problem}"
            if self._is_ending():
                break
        if self._models is None:
            sentence = f"the models could not be loaded: {self._problem}"
            self.get_logger().error(sentence)
            self._goal_publishers.status.publish(sentence)
            return FAILURE
        if self._worker.busy:
            self._worker.close()
            self._worker = Worker()  # the models of the old one are gone; what hangs in them is left alone
        self._state = "inactive"
        return SUCCESS

    def _load_models(self, candidate: CandidateModels) -> str:
        """Returns what went wrong; empty if nothing did."""
        try:
            parameters = with_models(candidate, self.parameters)
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
        models, parameters, active = self._models, self.parameters, self._selection.active
        if models is None or active is None:
            return FAILURE
        tracker = models.tracker or ClassicalTracker()
        self._tracking = Tracking(tracker, self._goal_publishers, self._queue.submit_when_idle, self.get_logger())
        episodes = EpisodeRunner(models, self._worker, self._goal_publishers, self._calibration)
        self._recorder.open(parameters)
        self._goal_publishers.poses.open(parameters.output_frame)
        self._goal_publishers.outputs.frames.open(parameters.object_frames)
        self._cameras.open()
        self._runner.open(episodes, self._tracking)
        self._queue.open()
        self._shadow.open(parameters, active, self._tracking)
        self._state = "active"
        topics = ", ".join(camera.topic for camera in self._cameras.all)
        ready = f"ready: {models.policy.name} and {models.segmenter.name}, camera {topics}"
        self.get_logger().info(ready)
        self._goal_publishers.status.publish(ready)
        return SUCCESS

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Take no more goals; the running one ends as SHUTDOWN. Blocks for milliseconds, with a comparison for 1 s."""
        if self._tracking is not None:
            self._tracking.close()
        self._queue.close(Outcome.SHUTDOWN, "the node was deactivated or stopped")
        self._runner.close()
        self._shadow.close()
        self._cameras.close()
        self._goal_publishers.poses.close()
        self._goal_publishers.outputs.frames.close()
        if self._state == "active":
            self._goal_publishers.status.publish("not active: no goals are taken")
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
        self._models = None
        self._state = "unconfigured"

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Deactivate and clean up, for good."""
        self.on_deactivate(state)
        self.on_cleanup(state)
        self._recorder.close()
        self._state = "finalized"
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Go back to unconfigured, after a defect in a transition, which is in the log."""
        self.get_logger().error("the node is unconfigured, because of a defect; please report it")
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

    # Promotion -------------------------------------------------------------------------------------------------------

    def _promote(self, request: Promotion.Request, response: Promotion.Response) -> Promotion.Response:
        """Make the candidate's models the active ones, where the comparison speaks for them."""
        parameters = self.parameters
        try:
            change = self._selection.promotion(parameters, self._shadow)
            self._reload(change, [change.wanted, change.before], only_idle=True)
            try:
                self._selection.settle(change, parameters)
            except OSError as error:
                self._reload(change, [change.before])
                why = f"not promoted, because it can't be written down: {describe(error)}"
                raise PromotionRefused(why) from error
        except PromotionRefused as refusal:
            return self._answer(response, False, str(refusal))
        return self._answer(response, True, f"promoted {change.wanted.name}: {change.evidence}")

    def _roll_back(self, request: Promotion.Request, response: Promotion.Response) -> Promotion.Response:
        """Make the models from before the last promotion the active ones. The running goal ends as SHUTDOWN."""
        parameters, warning = self.parameters, ""
        try:
            change = self._selection.rollback(parameters)
            self._reload(change, [change.wanted, change.before])
            self._selection.settle(change, parameters)
        except PromotionRefused as refusal:
            return self._answer(response, False, str(refusal))
        except OSError as error:
            why = f"because it can't be written down: {describe(error)}"
            warning = f", but {change.before.name} will be after a restart, {why}"
        return self._answer(response, True, f"rolled back: {change.wanted.name} is active{warning}")

    def _answer(self, response: Promotion.Response, success: bool, sentence: str) -> Promotion.Response:
        response.success, response.message = success, sentence
        if success:
            self.get_logger().info(sentence)
        else:
            self.get_logger().warning(sentence)
        return response

    def _reload(self, change: ModelChange, candidates: Sequence[CandidateModels], *, only_idle: bool = False) -> None:
        """Deactivate, clean up, configure with the first of these that can be loaded, and activate.

        Raises:
            PromotionRefused: That could not be done.
        """
        if not self.transition.acquire(blocking=False):
            raise PromotionRefused(f"{change.refused}: another transition is under way; try again")
        try:
            if self._state != "active":
                raise PromotionRefused(f"{change.refused}: the node is not active: activate it first")
            if only_idle and not self._queue.close_if_idle():
                raise PromotionRefused(f"{change.refused}: a goal runs or waits; try again when it has ended")
            self._reloading = candidates
            for step in (self.trigger_deactivate, self.trigger_cleanup, self.trigger_configure, self.trigger_activate):
                if step() != SUCCESS:
                    raise PromotionRefused(f"{change.refused}: {self._problem}")
        finally:
            self._reloading = ()
            self.transition.release()

    # Diagnostics -----------------------------------------------------------------------------------------------------

    @property
    def overdue(self) -> float:
        """Seconds that a model has hung since its goal ended, beyond `hang_grace`; 0 when none does."""
        overdue = self._worker.overdue
        return overdue if overdue > self.parameters.hang_grace else 0.0

    @property
    def last_end(self) -> float:
        """`time.monotonic()` of the last goal's end; 0 before the first."""
        return self._goal_publishers.last_end

    def _diagnose(self) -> None:
        name, parameters = self.get_fully_qualified_name(), self.parameters
        message = DiagnosticArray()
        message.header.stamp = self.get_clock().now().to_msg()
        message.status = [
            diagnostics.goals_status(name, self._queue, self._goal_publishers, self._verdicts),
            self._topics.verdict_answers.status,
            *(
                diagnostics.camera_status(name, camera, parameters.max_frame_age, active=self._state == "active")
                for camera in self._cameras.all
            ),
            diagnostics.models_status(name, self._state, self._models, self._problem, self.overdue),
            diagnostics.records_status(name, self._recorder),
            diagnostics.tracking_status(name, self._tracking, self._goal_publishers.poses),
            diagnostics.shadow_status(name, self._selection, self._shadow),
        ]
        self._diagnostics.publish(message)
