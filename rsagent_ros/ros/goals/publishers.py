"""`Publishers`: turns, masks and results of goals, for all who listen. Every message carries the goal's id."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Sequence

import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from rsagent_ros.agent.chat import Picture
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.images import to_mask
from rsagent_ros.msg import Mask as MaskMessage
from rsagent_ros.msg import Result as ResultMessage
from rsagent_ros.msg import TrackedMask as TrackedMaskMessage
from rsagent_ros.msg import Turn as TurnMessage
from rsagent_ros.pose3d.next_view import NextView
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.camera.images import mask_image, rgb_image
from rsagent_ros.ros.conversions import mask_message, result_message, turn_message
from rsagent_ros.ros.goals.active_goal import ActiveGoal
from rsagent_ros.ros.goals.hints import fill
from rsagent_ros.ros.goals.overlays import Overlays
from rsagent_ros.ros.goals.progress import Progress, progress_message
from rsagent_ros.ros.goals.status_line import StatusLine, end_sentence, shortened, turn_sentence
from rsagent_ros.ros.outputs.found_object import found_objects
from rsagent_ros.ros.outputs.standard_outputs import StandardOutputs
from rsagent_ros.ros.poses.poses import Poses
from rsagent_ros.ros.qos import latched

ANSWERS = (Outcome.FOUND, Outcome.NOT_IN_VIEW)
"""Outcomes that standard messages tell of: they can't say that an answer is partial, or that there is a question."""

TRACKS = QoSProfile(depth=20, reliability=ReliabilityPolicy.RELIABLE)
"""QoS of `~/tracked_mask`: that a track has stopped must arrive, and what is older than a second or so need not."""


class Publishers:
    """The node's publishers, and what diagnostics tell about ended goals. Thread-safe.

    Attributes:
        poses: Fills in poses, and publishes points.
        outputs: Standard messages about what was found or is tracked.
        status: For one sentence about each event.
        outcomes: Number of goals that ended so.
        seconds: From admission to the end, of the last goals with an image.
        last_end: `time.monotonic()` of the last goal's end; 0 before the first.
    """

    def __init__(self, node: Node) -> None:
        """Create the publishers; the node's private topics are meant."""
        self._result = node.create_publisher(ResultMessage, "~/result", latched(10))
        self._mask = node.create_publisher(MaskMessage, "~/mask", latched(1))
        self._trace = node.create_publisher(TurnMessage, "~/trace", latched(100))
        # Pictures for people to look at: drawn and sent only while somebody does.
        self._mask_image = node.create_publisher(Image, "~/mask_image", 1)
        self._overlays = Overlays(node)
        self._goal_image = node.create_publisher(Image, "~/goal_image", 1)
        self._tracked = node.create_publisher(TrackedMaskMessage, "~/tracked_mask", TRACKS)
        self.poses = Poses(node)
        self.outputs = StandardOutputs(node)
        self.status = StatusLine(node)
        self._lock = threading.Lock()
        self.outcomes: Counter[Outcome] = Counter()
        self.seconds: deque[float] = deque(maxlen=100)
        self.last_end = 0.0

    def progress(self, goal: ActiveGoal, progress: Progress) -> None:
        """Send what happens before the first turn, as feedback and status alone."""
        request = goal.request
        self.status.publish(f"goal {request.id!r}, {shortened(request.instruction)!r}: {progress}")
        if goal.feedback is not None:
            goal.feedback(progress_message(request, progress))

    def turn(self, goal: ActiveGoal, turn: Turn, frame: Frame, picture: Picture | None) -> None:
        """Send a turn as feedback and trace, and the picture that went with it to whoever watches."""
        request = goal.request
        pixels = None if picture is None else picture.pixels
        quality = goal.parameters.jpeg_quality
        message = turn_message(turn, request.id, request.instruction, frame.header, pixels, quality)
        self._trace.publish(message)
        self.status.publish(turn_sentence(request.id, turn))
        if goal.feedback is not None:
            goal.feedback(message)
        self._overlays.turn(goal, turn, frame, picture)

    def end(
        self,
        goal: ActiveGoal,
        result: Result,
        *,
        frame: Frame | None = None,
        waited: float = 0.0,
        trace: Trace | None = None,
        track_ids: Sequence[int] = (),
        hint: NextView | None = None,
    ) -> None:
        """Close a goal and publish how it ended.

        Args:
            goal: The goal.
            result: Its ending.
            frame: What it looked at; None where there was nothing.
            waited: Seconds until the image was there.
            trace: Of its episode; None where none began.
            track_ids: Of the first instances of the result.
            hint: Where to look next.
        """
        request = goal.request
        head = Header() if frame is None else frame.header
        message = result_message(
            result,
            goal_id=request.id,
            instruction=request.instruction,
            camera=frame.camera if frame is not None else request.camera,
            header=head,
            seconds=(waited, time.monotonic() - goal.started),
            trace=trace,
            masks=goal.parameters.result_masks == "full",
        )
        for instance, track_id in zip(message.instances, track_ids, strict=False):
            instance.track_id = track_id
        if frame is not None:
            self._fill_poses(message, result, frame)
        if hint is not None:
            fill(message, hint)
        goal.close(message)
        mask = mask_message(result, request.id, head)
        if mask is not None:
            self._mask.publish(mask)
        self._result.publish(message)
        with self._lock:
            self.outcomes[result.outcome] += 1
            self.last_end = time.monotonic()
            if trace is not None:
                self.seconds.append(message.timings.total)
        self.status.publish(end_sentence(request.id, request.instruction, result))
        if frame is not None:
            self._show_end(message, result, frame, mask)
            if trace is not None:
                self._overlays.end(goal, result, trace, frame)

    def _show_end(self, message: ResultMessage, result: Result, frame: Frame, mask: MaskMessage | None) -> None:
        """Send pictures and standard messages about an end, to whoever listens; the result itself has gone out."""
        if mask is not None and self._mask_image.get_subscription_count():
            self._mask_image.publish(mask.image)
        if self._goal_image.get_subscription_count():
            self._goal_image.publish(rgb_image(frame.rgb, frame.header))
        if result.outcome in ANSWERS and self.outputs.wanted:
            masks = [instance.mask for instance in result.instances]
            found = found_objects(message.goal_id, message.instruction, message.instances, masks)
            self.outputs.publish(found, frame)

    def track(self, message: TrackedMaskMessage) -> None:
        """Send the mask of a tracked object in the newest image, if somebody listens."""
        if self._tracked.get_subscription_count():
            self._tracked.publish(message)

    def track_image(self, goal: ActiveGoal, messages: Sequence[TrackedMaskMessage], frame: Frame) -> None:
        """Send the standard messages, and the mask, about all objects that are seen in a frame, to whoever listens."""
        request, masks = goal.request, [to_mask(message.image) for message in messages]
        if self._mask_image.get_subscription_count():
            together = np.logical_or.reduce([np.zeros(frame.rgb.shape[:2], np.bool_), *masks])
            self._mask_image.publish(mask_image(together, frame.header))
        if self.outputs.wanted:
            self.outputs.publish(found_objects(request.id, request.instruction, messages, masks), frame)

    @property
    def tracks_wanted(self) -> bool:
        """Whether somebody listens to masks, points or standard messages about tracked objects."""
        listened = self._tracked.get_subscription_count() or self._mask_image.get_subscription_count()
        return bool(listened) or self.poses.wanted or self.outputs.wanted

    def _fill_poses(self, message: ResultMessage, result: Result, frame: Frame) -> None:
        """Fill in the poses of instances and candidates, and publish their points."""
        pairs = zip([*message.instances, *message.candidates], [*result.instances, *result.candidates], strict=True)
        poses = [self.poses.fill(filled, found.mask, frame) for filled, found in pairs]
        self.poses.publish([pose for pose in poses if pose is not None], frame.header)
