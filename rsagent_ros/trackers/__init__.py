"""Trackers: a found mask is carried from the frame that the agent looked at to the newest one, and on from there.

    tracker = ClassicalTracker()                            # or open_sam2_tracker(Sam2Config(...)) on a GPU
    with closing(tracker.start(frame, mask, stamp_ns)) as track:
        newest = catch_up(track, buffered, seconds=0.5).newest
        ...
        answer = track.step(frame, stamp_ns)                # once for each frame of the camera

Reading order: `tracker` (the protocol and its answer), `lost` (when a track is lost), `catch_up`, `sam2_video`. The
tracker without weights is `rsagent_ros.baseline.tracker`.
"""

from rsagent_ros.trackers.catch_up import Caught, catch_up
from rsagent_ros.trackers.tracker import LostReason, Track, TrackedMask, Tracker

__all__ = ["Caught", "LostReason", "Track", "TrackedMask", "Tracker", "catch_up"]
