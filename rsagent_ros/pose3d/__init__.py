"""3-D pose of an object from its mask and the depth image aligned with it: position, oriented box, surface points.

    pose = estimate_pose(mask, depth, camera, image)
    if isinstance(pose, Pose3d):
        pose.position, pose.orientation, pose.size, pose.std

Units are metres; the frame is the camera's optical one (x right, y down, z forward: REP 103). Only NumPy and OpenCV are
needed, and nothing is waited for. Reading order: `estimate_pose`, `surface` (the object's own pixels), `support` (the
plane it stands on), `box`; `next_view` is where to point the camera for what is not in view.
"""

from rsagent_ros.pose3d.estimate_pose import NoPose, Pose3d, Pose3dConfig, estimate_pose

__all__ = ["NoPose", "Pose3d", "Pose3dConfig", "estimate_pose"]
