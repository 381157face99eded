"""`TrackedObject`: one object that a goal has found, and the state of its track."""

from __future__ import annotations

import time
from dataclasses import dataclass

from rsagent_ros.agent.mask import Mask
from rsagent_ros.trackers import Track, TrackedMask


@dataclass
class TrackedObject:
    """One object of a TrackGroup. For one thread.

    Attributes:
        track_id: Unique while the node runs.
        grounded_ns: Stamp of the frame that the agent found it on, nanoseconds.
        stamp_ns: Stamp of the last frame that it was searched in, nanoseconds.
        mask: (H, W) bool, where it was last seen.
        score: 0..1 in the last frame.
        track: None once it can't be tracked, only found again by the agent.
        lost_since: `time.monotonic()`; None while it is seen.
        reason: Why it is lost; empty while it is seen.
        published_state: State in the last message about it; 0 before the first.
    """

    track_id: int
    grounded_ns: int
    stamp_ns: int
    mask: Mask
    score: float = 1.0
    track: Track | None = None
    lost_since: float | None = None
    reason: str = ""
    published_state: int = 0

    @property
    def lost(self) -> bool:
        """Whether it is not seen."""
        return self.lost_since is not None

    def update(self, answer: TrackedMask) -> None:
        """Take over the track's answer for a frame."""
        self.stamp_ns, self.score = answer.stamp_ns, answer.score
        if answer.lost or not answer.mask.any():
            self.mark_lost(answer.reason or "nothing of it is visible")
        else:
            self.mask, self.lost_since, self.reason = answer.mask, None, ""

    def mark_lost(self, reason: str) -> None:
        """Note that it is not seen; `lost_since` stays that of the first time."""
        self.lost_since = time.monotonic() if self.lost_since is None else self.lost_since
        self.score, self.reason = 0.0, reason

    def end_track(self, reason: str) -> None:
        """Close the track; only the agent can find the object again."""
        if self.track is not None:
            self.track.close()
        self.track = None
        self.mark_lost(reason)
