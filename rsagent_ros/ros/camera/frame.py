"""`Frame`: an image with what belongs to it, as far as that fits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.images import to_depth
from rsagent_ros.ros.camera.images import to_rgb
from rsagent_ros.ros.stamps import nanoseconds


@dataclass(frozen=True, eq=False)
class Frame:
    """One image, as an episode looks at it.

    Attributes:
        rgb: (H, W, 3) uint8 RGB, read-only.
        header: Of the image.
        camera_info: Of the image; None where unknown.
        depth: (H, W) float32 metres, NaN where unknown; None where there is no depth image.
        stamp_ns: Of the header; where that is 0, when it came.
        camera: Name of the camera; empty for one without a name, or none.
    """

    rgb: NDArray[np.uint8]
    header: Header
    camera_info: CameraInfo | None = None
    depth: NDArray[np.float32] | None = None
    stamp_ns: int = 0
    camera: str = ""


def given_frame(image: Image, info: CameraInfo | None, depth: Image | None) -> Frame:
    """The frame of a goal that brings its own image.

    Raises:
        RunFailed: BAD_IMAGE, also when camera_info or depth is of another size.
    """

    def refuse(why: str) -> None:
        raise RunFailed(ErrorCode.BAD_IMAGE, why)

    return fitted(to_rgb(image), image.header, info, depth, refuse)


def fitted(
    rgb: NDArray[np.uint8],
    header: Header,
    info: CameraInfo | None,
    depth: Image | CompressedImage | None,
    complain: Callable[[str], object],
) -> Frame:
    """A frame with those companions that fit it; for the others, `complain` is called with a sentence."""
    return Frame(
        rgb, header, *companions((rgb.shape[0], rgb.shape[1]), info, depth, complain), nanoseconds(header.stamp)
    )


def companions(
    size: tuple[int, int],
    info: CameraInfo | None,
    depth: Image | CompressedImage | None,
    complain: Callable[[str], object],
) -> tuple[CameraInfo | None, NDArray[np.float32] | None]:
    """The companions that fit an image of (height, width), depth in (H, W) float32 metres; `complain` of the others."""
    height, width = size
    if info is not None and (info.width, info.height) != (width, height):
        complain(f"camera_info is of {info.width} x {info.height} pixels, the image of {width} x {height}")
        info = None
    metres: NDArray[np.float32] | None = None
    if depth is not None:
        try:
            metres = to_depth(depth)
        except RunFailed as failure:
            complain(f"depth: {failure.message}")
    if metres is not None and metres.shape != size:
        complain(f"depth is of {metres.shape[1]} x {metres.shape[0]} pixels, the image of {width} x {height}")
        metres = None
    return info, metres
