"""Depth images as metres, whatever the camera calls them (REP 118)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.images.compressed import CompressedImage
from rsagent_ros.images.compressed_depth import compressed_depth_in_metres
from rsagent_ros.images.raw import Image, bad_image, message_array

_DTYPES = {"32FC1": np.float32, "16UC1": np.uint16, "mono16": np.uint16}


def depth_in_metres(array: NDArray[np.float32] | NDArray[np.uint16], encoding: str) -> NDArray[np.float32]:
    """Depth as (H, W) float32 metres along the optical axis, NaN where nothing was measured; always a copy.

    Args:
        array: (H, W), in this machine's byte order. 0 and what is not finite mean that nothing was measured.
        encoding: As in sensor_msgs/Image: `32FC1` (metres, the canonical one) or `16UC1` (millimetres, of OpenNI, and
            `mono16`, as some drivers call the same).

    Raises:
        ValueError: Another encoding, or an array that is not of it.
    """
    dtype = _DTYPES.get(encoding)
    if dtype is None:
        raise ValueError(f"depth of encoding {encoding!r} is not known; publish 32FC1 metres or 16UC1 millimetres")
    if array.ndim != 2 or array.dtype != dtype:
        raise ValueError(
            f"the depth array is {array.shape} {array.dtype}; {encoding} is (height, width) {np.dtype(dtype)}"
        )
    metres = array.astype(np.float32) / np.float32(1 if dtype is np.float32 else 1000)
    metres[~(np.isfinite(metres) & (metres > 0))] = np.nan
    return metres


def to_depth(message: Image | CompressedImage) -> NDArray[np.float32]:
    """Depth of an Image, or of a CompressedImage, as (H, W) float32 metres; NaN where nothing was measured.

    Raises:
        RunFailed: BAD_IMAGE: neither 32FC1 (metres) nor 16UC1 (millimetres), or broken.
    """
    if not hasattr(message, "encoding"):
        return compressed_depth_in_metres(message)
    if message.encoding not in _DTYPES:
        raise bad_image(message, "a depth image is 32FC1 (metres) or 16UC1 (millimetres)")
    return depth_in_metres(message_array(message), message.encoding)
