"""What the camera saw since a frame: bounded in bytes, thinned out evenly where it is too much."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from sensor_msgs.msg import CompressedImage, Image

if TYPE_CHECKING:
    from rsagent_ros.ros.camera.camera import Camera

StampedImage: TypeAlias = tuple[int, Image | CompressedImage]
"""A stamp in nanoseconds, and the message of that stamp as it came."""


class FrameBuffer:
    """Images on their way from the camera to whoever follows a thing through them. Thread-safe.

    While an agent thinks, nobody takes them, however long that is. So no part of the time is dropped: what is left
    covers all of it, at a lower rate. Every image is kept at first; then every second one, every fourth, and so on.
    """

    def __init__(self, megabytes: float) -> None:
        """Empty.

        Args:
            megabytes: Of all messages that are kept; the newest one is kept whatever its size.
        """
        self._bytes = megabytes * 1e6
        self._lock = threading.Lock()
        self._shots: list[tuple[int, StampedImage]] = []
        self._count = 0
        self._every = 1
        self.camera: Camera | None = None
        """Whose images they are; None before the first one and after `leave`."""
        self.on_news: Callable[[], None] | None = None
        """Called after each new image, in the thread that brings it."""

    def push(self, stamp: int, message: Image | CompressedImage) -> None:
        """Add an image; does not block."""
        with self._lock:
            if self._shots and self._shots[-1][0] % self._every:
                self._shots.pop()  # it was there only because it was the newest
            self._shots.append((self._count, (stamp, message)))
            self._count += 1
            while len(self._shots) > 1 and sum(len(shot.data) for _, (_, shot) in self._shots) > self._bytes:
                self._every *= 2
                older = self._shots[:-1] if len(self._shots) > 2 else []
                self._shots = [*(one for one in older if one[0] % self._every == 0), self._shots[-1]]
        if self.on_news is not None:
            self.on_news()

    def leave(self) -> None:
        """Get no more images, and forget those that are there. Idempotent."""
        camera, self.camera = self.camera, None
        if camera is not None:
            camera.unwatch(self)
        self.take()

    def take(self) -> list[StampedImage]:
        """All that is there, in the order it came; then it is empty."""
        with self._lock:
            shots, self._shots, self._count, self._every = self._shots, [], 0, 1
        return [shot for _, shot in shots]

    @property
    def empty(self) -> bool:
        """Whether nothing has come since it was taken."""
        return not self._shots
