"""`Overlays`: pictures of a goal for people to look at, on `~/overlay`, drawn and sent only while somebody does.

`people`: each turn's masks with fill, outline and number, and at the end the answer, its candidates numbered as the
question counts them. `model`: what the policy was shown after each turn, and nothing else.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from rclpy.node import Node
from sensor_msgs.msg import Image

from rsagent_ros.agent.annotation import Annotation, annotate, answer_annotations
from rsagent_ros.agent.chat import Picture
from rsagent_ros.agent.geometry import View
from rsagent_ros.agent.mask import decode_rle, fitted
from rsagent_ros.agent.outcome import Result
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.camera.images import rgb_image
from rsagent_ros.ros.goals.active_goal import ActiveGoal
from rsagent_ros.ros.goals.status_line import end_sentence

SMALLEST, LARGEST = 384, 768
"""Limits of the longer side of a picture for people, pixels."""

STRIP = 20
"""Pixels of one line of the caption."""


class Overlays:
    """The publisher of `~/overlay`."""

    def __init__(self, node: Node) -> None:
        """Create the publisher; the node's private topic is meant."""
        self._publisher = node.create_publisher(Image, "~/overlay", 1)

    def turn(self, goal: ActiveGoal, turn: Turn, frame: Frame, picture: Picture | None) -> None:
        """Send a turn that brought a picture.

        Args:
            goal: Its goal.
            turn: As recorded.
            frame: The goal's image.
            picture: What the policy was shown after the turn; None for none.
        """
        if picture is None or not self._publisher.get_subscription_count():
            return
        pixels = picture.pixels
        if goal.parameters.overlay_style == "people":
            pixels = _for_people(turn, frame.rgb)
        lines = (f"{goal.request.id}: {goal.request.instruction}", f"{turn.index}. {turn.tool} {turn.arguments or ''}")
        self._publisher.publish(rgb_image(captioned(pixels, lines), frame.header))

    def end(self, goal: ActiveGoal, result: Result, trace: Trace, frame: Frame) -> None:
        """Send the answer, for people."""
        if goal.parameters.overlay_style != "people" or not self._publisher.get_subscription_count():
            return
        pixels = annotate(frame.rgb, answer_annotations(trace), *_size(frame.rgb))
        lines = (
            f"{goal.request.id}: {goal.request.instruction}",
            end_sentence(goal.request.id, goal.request.instruction, result),
        )
        self._publisher.publish(rgb_image(captioned(pixels, lines), frame.header))


def _for_people(turn: Turn, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A turn's view, with the masks that it made."""
    view = View(*turn.view, frame_width=frame.shape[1], frame_height=frame.shape[0])
    made = [Annotation(view.crop(decode_rle(one.mask)), f"{one.mask_id}  {one.score:.2f}") for one in turn.masks]
    crop = view.crop(frame)
    return annotate(crop, made, *_size(crop))


def _size(image: NDArray[np.uint8]) -> tuple[int, int]:
    """Width and height of the picture of an image: as large as it is, within limits."""
    height, width = image.shape[:2]
    return fitted(width, height, min(LARGEST, max(SMALLEST, width, height)))


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
