"""Who carries a found mask from frame to frame: the agent thinks about the past, the robot acts now.

    tracker = ClassicalTracker()                            # or open_sam2_tracker(Sam2Config(...)) on a GPU
    with closing(tracker.start(frame, mask, stamp_ns)) as track:
        now = catch_up(track, buffered, seconds=0.5)        # from the frame it was found on to the newest one
        ...
        now = track.step(frame, stamp_ns)                   # then once for each frame of the camera

Reading order: `tracker` (the protocol, and what an answer says), `loss` (when a track is lost), `catch_up`, then the
trackers: `classical` and `sam2_video`.
"""

from rsagent_ros.trackers.catch_up import Caught, catch_up
from rsagent_ros.trackers.tracker import Loss, Track, TrackedMask, Tracker

__all__ = ["Caught", "Loss", "Track", "TrackedMask", "Tracker", "catch_up"]
