"""Pixels of image messages as NumPy arrays, live and in bags alike. Needs no ROS.

Reading order: `raw` (sensor_msgs/Image: colour and masks), `compressed` (JPEG and PNG), `depth` (metres),
`compressed_depth` (PNG and RVL).
"""

from rsagent_ros.images.compressed import compressed_to_rgb
from rsagent_ros.images.depth import depth_in_metres, to_depth
from rsagent_ros.images.raw import raw_to_rgb, to_mask

__all__ = ["compressed_to_rgb", "depth_in_metres", "raw_to_rgb", "to_depth", "to_mask"]
