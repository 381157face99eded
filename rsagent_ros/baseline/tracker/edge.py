"""The edge of a carried mask, drawn again on the newest picture by a segmenter, where the two agree."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.errors import ToolFailed
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask, bounding_box, iou
from rsagent_ros.agent.segmenter import MaskPrompt, Segmenter

_TRUSTED = 0.9
"""IoU with the mask that the track began with from which on the segmenter's opinion of this object counts."""

_AGREES = 0.85
_AREA = 1.12
"""Factor by which one drawing may change the area."""

_AREA_IN_ALL = 1.3
"""Factor for all of them together: half of a plain object would else become all of it, little by little."""

_LOGIT = 6.0
_GROWN = 2.0


class EdgeFitter:
    """Re-fits edges with a segmenter that has shown at the first frame that it sees this object as the agent did.

    Drift is slow, and a wrong edge is worse than one of a second ago: only small corrections are taken.
    """

    def __init__(self, segmenter: Segmenter[Any], picture: NDArray[np.uint8], mask: Mask) -> None:
        """Try the segmenter on the picture and the (h, w) mask that the track begins with; blocks for one prompt."""
        self._segmenter = segmenter
        self._growth = 1.0
        first = self._drawn(picture, mask)
        self.trusted = first is not None and iou(first, mask) >= _TRUSTED

    def fit(self, picture: NDArray[np.uint8], mask: Mask) -> Mask | None:
        """A carried (h, w) mask with its edge drawn again on the (h, w, 3) RGB picture; None to leave it as it is.

        Raises:
            RunFailed: The segmenter can't go on.
        """
        if not self.trusted:
            return None
        drawn = self._drawn(picture, mask)
        if drawn is None or iou(drawn, mask) < _AGREES:
            return None
        ratio = float(np.count_nonzero(drawn) / np.count_nonzero(mask))
        growth = self._growth * ratio
        if not (1 / _AREA < ratio < _AREA and 1 / _AREA_IN_ALL < growth < _AREA_IN_ALL):
            return None
        self._growth = growth
        return drawn

    def _drawn(self, picture: NDArray[np.uint8], mask: Mask) -> Mask | None:
        """The candidate that is most like the mask; None where there is none."""
        box = bounding_box(mask)
        if box is None:
            return None
        grown = Box(box.x0 - _GROWN, box.y0 - _GROWN, box.x1 + _GROWN, box.y1 + _GROWN)
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 2.0)
        prompt = MaskPrompt.of(grown, mask_input=np.asarray((soft * 2 - 1) * _LOGIT, dtype=np.float32))
        try:
            candidates = self._segmenter.masks(self._segmenter.encode(np.ascontiguousarray(picture)), prompt)
        except ToolFailed:  # it sees nothing there: then it has no opinion
            return None
        return max((candidate.mask for candidate in candidates), key=lambda drawn: iou(drawn, mask), default=None)
