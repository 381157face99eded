"""A film as a robot's camera: pictures of `moving_pictures` over DDS, with the truth of each by its stamp."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np
from moving_pictures import Film
from numpy.typing import NDArray
from rclpy.node import Node
from ros_support import BEST_EFFORT, PATIENCE, image_of
from sensor_msgs.msg import CameraInfo, Image

from rsagent_ros.agent.mask import Mask
from rsagent_ros.ros.stamps import nanoseconds, stamp

Shots = Sequence[tuple[NDArray[np.uint8], Mask]]

FOCAL = 300.0
"""Pixels."""


def shots_of(film: Film, count: int) -> Shots:
    """The first frames of a film, (H, W, 3) RGB, and the true mask in each."""
    return [film.frame(index) for index in range(count)]


def info_of(width: int, height: int, focal: float = FOCAL) -> CameraInfo:
    """Of a camera that looks through the middle of its pictures."""
    info = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    info.k = [focal, 0.0, (width - 1) / 2, 0.0, focal, (height - 1) / 2, 0.0, 0.0, 1.0]
    info.header.frame_id = "camera"
    return info


class FilmCamera:
    """Shows the first picture until it is told to play, and the last one when the film is over.

    Attributes:
        shots: What is shown; may be changed.
        index: Of the next picture.
        offset_ns: Added to the clock's time in the stamps.
        truth: The true mask of every picture that was sent, by its stamp in nanoseconds.
    """

    def __init__(
        self, node: Node, shots: Shots, period: float = 0.05, metres: tuple[float, float] | None = None
    ) -> None:
        """Begin to show.

        Args:
            node: Whose camera it is.
            shots: Pictures and true masks.
            period: Seconds.
            metres: Depth of the thing and of what is around it, for a camera that sees it; None for one that does not.
        """
        self.shots = shots
        self.index = 0
        self.offset_ns = 0
        self.truth: dict[int, Mask] = {}
        self._node = node
        self._period = period
        self._playing = False
        self._seen: Callable[[], int] | None = None
        self._metres = metres
        self._publisher = node.create_publisher(Image, "/image", BEST_EFFORT)
        self._others = (
            []
            if metres is None
            else [
                node.create_publisher(kind, topic, BEST_EFFORT)
                for kind, topic in ((Image, "/depth"), (CameraInfo, "/camera_info"))
            ]
        )
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    def __enter__(self) -> FilmCamera:
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def play(self, seen: Callable[[], int] | None = None) -> None:
        """Go on from the present picture.

        Args:
            seen: Stamp of the newest picture that somebody has taken, nanoseconds: none is left out, however busy the
                machine is. None: as time goes by.
        """
        self._seen = seen
        self._playing = True

    def change(self, shots: Shots, *, play: bool = False) -> None:
        """Show another film from its beginning."""
        self._playing, self.index, self.shots = play, 0, shots

    def unplug(self) -> None:
        """Leave the graph. Idempotent."""
        if not self._over.is_set():
            self._over.set()
            self._thread.join(PATIENCE)
            for publisher in (self._publisher, *self._others):
                self._node.destroy_publisher(publisher)

    def _publish(self) -> None:
        shown = since = 0
        while not self._over.wait(self._period):
            shots = self.shots
            self.index = min(self.index, len(shots) - 1)
            pixels, mask = shots[self.index]
            message = image_of(pixels, "rgb8")
            message.header.stamp = stamp(self._node.get_clock().now().nanoseconds + self.offset_ns)
            self.truth[nanoseconds(message.header.stamp)] = mask
            if self._metres is not None:
                depth = image_of(np.where(mask, *self._metres).astype(np.float32), "32FC1")
                info = info_of(mask.shape[1], mask.shape[0])
                for publisher, companion in zip(self._others, (depth, info), strict=True):
                    companion.header.stamp = message.header.stamp
                    publisher.publish(companion)
            self._publisher.publish(message)
            if self.index != shown:
                shown, since = self.index, nanoseconds(message.header.stamp)
            self.index += self._playing and (self._seen is None or self._seen() >= since)
