"""Depth images as metres, whatever the camera calls them (REP 118)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Depth = NDArray[np.float32]


def depth_in_metres(array: NDArray[np.float32] | NDArray[np.uint16], encoding: str) -> Depth:
    """A depth image as (H, W) float32 metres along the optical axis, NaN where there is none; always a copy.

    Args:
        array: (H, W), in this machine's byte order.
        encoding: As in sensor_msgs/Image: `32FC1` (metres, the canonical one) or `16UC1` (millimetres, of OpenNI, and
            `mono16`, as some drivers call the same). 0 means that nothing was measured in all of them.

    Raises:
        ValueError: Another encoding, or an array that is not of it.
    """
    wanted = {"32FC1": np.float32, "16UC1": np.uint16, "mono16": np.uint16}.get(encoding)
    if wanted is None:
        raise ValueError(f"depth of encoding {encoding!r} is not known; publish 32FC1 metres or 16UC1 millimetres")
    if array.ndim != 2 or array.dtype != wanted:
        raise ValueError(
            f"the depth array is {array.shape} {array.dtype}; {encoding} is (height, width) {np.dtype(wanted)}"
        )
    metres = array.astype(np.float32)
    if wanted is np.uint16:
        metres *= np.float32(0.001)
    metres[~(np.isfinite(metres) & (metres > 0))] = np.nan
    return metres
