"""The newest messages of one camera topic, by their stamps."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TypeAlias

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

Stamped: TypeAlias = Image | CompressedImage | CameraInfo


@dataclass
class MessageBuffer:
    """Bounded in seconds and bytes, but never without the newest. Not thread-safe.

    Attributes:
        seconds: Between the oldest and the newest stamp.
        bytes: Of all messages together.
        messages: Stamps in nanoseconds and messages, oldest first.
        held: Bytes that are held.
    """

    seconds: float
    bytes: float
    messages: deque[tuple[int, Stamped]] = field(default_factory=deque)
    held: int = 0

    def push(self, stamp: int, message: Stamped) -> None:
        """Add a message; the stamp is in nanoseconds."""
        while self.messages and self.messages[-1][0] > stamp:
            self._drop(self.messages.pop())  # time went back: this is from another run of the clock
        self.messages.append((stamp, message))
        self.held += _size(message)
        while len(self.messages) > 1 and (self.held > self.bytes or stamp - self.messages[0][0] > self.seconds * 1e9):
            self._drop(self.messages.popleft())

    def nearest(self, stamp: int) -> tuple[int, Stamped] | None:
        """The message whose stamp is nearest; of several with that stamp, the one that came last."""
        return min(reversed(self.messages), key=lambda entry: abs(entry[0] - stamp), default=None)

    def _drop(self, entry: tuple[int, Stamped]) -> None:
        self.held -= _size(entry[1])


def _size(message: Stamped) -> int:
    return 0 if isinstance(message, CameraInfo) else len(message.data)
