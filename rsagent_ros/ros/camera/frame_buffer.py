"""`FrameBuffer`: a camera's images since a frame; bounded in bytes, thinned out evenly where there are too many."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

StampedImage: TypeAlias = tuple[int, Image | CompressedImage]
"""A stamp in nanoseconds, and the message of that stamp as it came."""

Companions: TypeAlias = Callable[[int, tuple[int, int]], tuple[CameraInfo | None, NDArray[np.float32] | None]]
"""Camera_info and depth for an image, by its stamp in nanoseconds and its (height, width)."""


def _none(stamp: int, size: tuple[int, int]) -> tuple[None, None]:
    return None, None


class FrameBuffer:
    """Images on their way from a camera to the tracker. Thread-safe.

    While an agent thinks, nobody takes them, however long that is. So no part of the time is dropped: what is left
    covers all of it, at a lower rate. Every image is kept at first; then every second one, every fourth, and so on.

    Attributes:
        on_news: Called after each new image, in the thread that brings it; None where nobody waits.
        on_leave: Ends the images; None before the first one and after `leave`.
        companions: Camera_info and depth, (H, W) float32 metres, for an image of a stamp and (height, width): what the
            camera has of them, without blocking.
    """

    def __init__(self, megabytes: float) -> None:
        """Begin empty.

        Args:
            megabytes: Of all messages that are kept; the newest one is kept whatever its size.
        """
        self._bytes = megabytes * 1e6
        self._lock = threading.Lock()
        self._images: list[tuple[int, StampedImage]] = []
        self._count = 0
        self._every = 1
        self.on_news: Callable[[], None] | None = None
        self.on_leave: Callable[[], None] | None = None
        self.companions: Companions = _none

    def push(self, stamp: int, message: Image | CompressedImage) -> None:
        """Add an image; does not block."""
        with self._lock:
            if self._images and self._images[-1][0] % self._every:
                self._images.pop()  # it was there only because it was the newest
            self._images.append((self._count, (stamp, message)))
            self._count += 1
            while len(self._images) > 1 and sum(len(image.data) for _, (_, image) in self._images) > self._bytes:
                self._every *= 2
                older = self._images[:-1] if len(self._images) > 2 else []
                self._images = [*(each for each in older if each[0] % self._every == 0), self._images[-1]]
        if self.on_news is not None:
            self.on_news()

    def leave(self) -> None:
        """Get no more images, and forget those that are there. Idempotent."""
        on_leave, self.on_leave, self.companions = self.on_leave, None, _none
        if on_leave is not None:
            on_leave()
        self.take()

    def take(self) -> list[StampedImage]:
        """Remove and return all images, in the order they came."""
        with self._lock:
            images, self._images, self._count, self._every = self._images, [], 0, 1
        return [image for _, image in images]

    @property
    def empty(self) -> bool:
        """Whether no image has come since the last `take`."""
        return not self._images
