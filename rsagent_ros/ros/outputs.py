"""What the node publishes about its goals: turns, masks, results. Every message carries the goal's id."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.msg import Mask as MaskMessage
from rsagent_ros.msg import Result as ResultMessage
from rsagent_ros.msg import Turn as TurnMessage
from rsagent_ros.ros.conversions import mask_message, result_message, turn_message
from rsagent_ros.ros.frames import Frame
from rsagent_ros.ros.goals import Run
from rsagent_ros.ros.images import rgb_image

STRIP = 20
"""Pixels of one line of the caption under `~/overlay`."""


def latched(depth: int) -> QoSProfile:
    """Reliable, and who subscribes late still gets the last `depth` messages."""
    return QoSProfile(depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Outputs:
    """The publishers of the node, and the count of how goals ended. Thread-safe."""

    def __init__(self, node: Node, ended: Callable[[Run, Result, Trace | None, Frame | None], None]) -> None:
        """Create the publishers.

        Args:
            node: Whose private topics they are.
            ended: Told of every goal that has ended.
        """
        self._log = node.get_logger()
        self._ended = ended
        self._result = node.create_publisher(ResultMessage, "~/result", latched(10))
        self._mask = node.create_publisher(MaskMessage, "~/mask", latched(1))
        self._trace = node.create_publisher(TurnMessage, "~/trace", latched(100))
        # Pictures for people to look at: drawn and sent only while somebody does.
        self._mask_image = node.create_publisher(Image, "~/mask_image", 1)
        self._overlay = node.create_publisher(Image, "~/overlay", 1)
        self._lock = threading.Lock()
        self.outcomes: Counter[Outcome] = Counter()

    def turn(self, run: Run, turn: Turn, frame: Frame, pictures: PictureFormat) -> None:
        """Send a turn as feedback and trace, and its picture to whoever watches."""
        picture = turn.shown(frame.rgb, pictures)
        request = run.request
        pixels = None if picture is None else picture.pixels
        quality = run.parameters.jpeg_quality
        message = turn_message(turn, request.id, request.instruction, frame.header, pixels, quality)
        self._trace.publish(message)
        if run.feedback is not None:
            run.feedback(message)
        if pixels is not None and self._overlay.get_subscription_count():
            lines = (f"{request.id}: {request.instruction}", f"{turn.index}. {turn.tool} {turn.arguments or ''}")
            self._overlay.publish(rgb_image(captioned(pixels, lines), frame.header))

    def end(
        self, run: Run, result: Result, *, frame: Frame | None = None, waited: float = 0.0, trace: Trace | None = None
    ) -> None:
        """Close a goal and tell everybody how it ended.

        Args:
            run: The goal.
            result: Its ending.
            frame: What it looked at; None where there was nothing.
            waited: Seconds until the image was there.
            trace: Of its episode; None where none began.
        """
        request = run.request
        head = Header() if frame is None else frame.header
        message = result_message(
            result,
            goal_id=request.id,
            instruction=request.instruction,
            camera=request.camera,
            header=head,
            seconds=(waited, time.monotonic() - run.started),
            trace=trace,
        )
        run.close(message)
        mask = mask_message(result, request.id, head)
        if mask is not None:
            self._mask.publish(mask)
            if self._mask_image.get_subscription_count():
                self._mask_image.publish(mask.image)
        self._result.publish(message)
        with self._lock:
            self.outcomes[result.outcome] += 1
        self._ended(run, result, trace, frame)
        code = "" if result.error_code is ErrorCode.NONE else f"{result.error_code.name}: "
        why = f" ({code}{result.error_msg})" if result.error_msg else ""
        self._log.info(
            f"goal {request.id!r} ended as {result.outcome}{why}: {result.turns} turns, {message.timings.total:.2f} s"
        )


def captioned(picture: NDArray[np.uint8], lines: tuple[str, ...]) -> NDArray[np.uint8]:
    """The (h, w, 3) RGB picture with a black strip of text below. OpenCV draws ASCII only; the rest becomes '?'."""
    height, width = picture.shape[:2]
    canvas = np.zeros((height + STRIP * len(lines), width, 3), dtype=np.uint8)
    canvas[:height] = picture
    for number, line in enumerate(lines, 1):
        words = line[:200].encode("ascii", "replace").decode()
        origin = (4, height + STRIP * number - 6)
        cv2.putText(canvas, words, origin, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (255, 255, 255), 1, cv2.LINE_AA)
    return canvas
