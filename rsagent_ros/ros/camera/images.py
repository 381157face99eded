"""Image messages of rclpy: to RGB, with cv_bridge's colour conversion where ROS has one, and back to messages.

Everything that needs no message class is in `rsagent_ros.images`, and serves bags too.
"""

from __future__ import annotations

import array
import logging
import re
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from rsagent_ros.agent.mask import Mask
from rsagent_ros.images import compressed_to_rgb, raw_to_rgb
from rsagent_ros.images.raw import PackedImage, convert_with_opencv

log = logging.getLogger(__name__)

_FOR_CV_BRIDGE = re.compile(r"mono16|rgb16|bgr8|bgr16|rgba8|rgba16|bgra8|bgra16|mono8|bayer_.*")


def to_rgb(message: Image | CompressedImage) -> NDArray[np.uint8]:
    """Pixels of a message as (H, W, 3) uint8 RGB, read-only; rgb8 without padding is not copied.

    Raises:
        RunFailed: BAD_IMAGE, with the reason.
    """
    return compressed_to_rgb(message) if isinstance(message, CompressedImage) else raw_to_rgb(message, _convert)


def mask_image(mask: Mask, header: Header) -> Image:
    """A (H, W) bool mask as mono8, 0 or 255, under the header of the image it belongs to."""
    return _image(mask.view(np.uint8) * np.uint8(255), "mono8", header)


def rgb_image(rgb: NDArray[np.uint8], header: Header) -> Image:
    """A (H, W, 3) uint8 RGB picture as rgb8."""
    return _image(rgb, "rgb8", header)


def jpeg(rgb: NDArray[np.uint8], header: Header, quality: int) -> CompressedImage:
    """A (H, W, 3) uint8 RGB picture as JPEG."""
    _, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return CompressedImage(header=header, format="jpeg", data=array.array("B", data.tobytes()))


def _image(pixels: NDArray[np.uint8], encoding: str, header: Header) -> Image:
    data = array.array("B")
    data.frombytes(pixels.tobytes())  # a message takes an array at once, anything else byte by byte
    height, width = pixels.shape[:2]
    return Image(header=header, height=height, width=width, encoding=encoding, step=pixels.size // height, data=data)


def _convert(image: PackedImage) -> NDArray[np.uint8]:
    """Convert to (H, W, 3) uint8 RGB by cv_bridge where there is one that knows the encoding, else by OpenCV."""
    bridge = cv_bridge()
    if bridge is None or not _FOR_CV_BRIDGE.fullmatch(image.encoding):
        return convert_with_opencv(image)
    data = array.array("B", image.data.tobytes())
    step = len(data) // image.height
    message = Image(height=image.height, width=image.width, encoding=image.encoding, step=step, data=data)
    return np.array(bridge.imgmsg_to_cv2(message, "rgb8"))


@cache
def cv_bridge() -> Any | None:
    """The CvBridge, where ROS has one that works with this NumPy; else None."""
    try:
        from cv_bridge import CvBridge  # in no registry of Python packages
    except ImportError:
        return None
    except AttributeError as error:  # apt's is built for NumPy 1
        log.info("cv_bridge is there but can't be used (%s); images are converted without it", error)
        return None
    return CvBridge()
