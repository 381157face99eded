"""From a mask and the depth image aligned with it to a place in space: position, oriented box, points.

    metres = depth_in_metres(array, "16UC1")
    place = locate(mask, metres, camera, image)
    if isinstance(place, Place):
        place.position, place.orientation, place.size, place.std

Units are metres, the frame is the camera's optical one (x right, y down, z forward: REP 103). NumPy and OpenCV alone;
nothing is waited for. Reading order: `locate`, `depth` (encodings), `surface` (which pixels are the thing's), `support`
(what it stands on), `box`.
"""

from rsagent_ros.pose3d.depth import depth_in_metres
from rsagent_ros.pose3d.locate import NoPlace, Place, PlaceConfig, locate

__all__ = ["NoPlace", "Place", "PlaceConfig", "depth_in_metres", "locate"]
