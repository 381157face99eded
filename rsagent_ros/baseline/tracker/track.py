"""`ClassicalTracker`: one step is flow, then a look at what is under the carried mask, then now and then a new edge."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask, area, iou
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.baseline.tracker.appearance import Appearance, brightening
from rsagent_ros.baseline.tracker.carried_mask import CarriedMask, Region, touches_border
from rsagent_ros.baseline.tracker.edge import EdgeFitter
from rsagent_ros.baseline.tracker.motion import Grey, Motion, dense_motion, shift_to, sparse_motion
from rsagent_ros.baseline.tracker.resolution import Resolution
from rsagent_ros.trackers.lost import LostLimits, area_jumped, lost_sentence
from rsagent_ros.trackers.tracker import LostReason, TrackedMask, check_start, check_step

_SURE = 0.6
"""Score from which on the track learns what the object looks like now."""

_VISIBLE_AGAIN = 0.7
_SCORE_AGAIN = 0.6
"""A lost object counts as found again from here on; more than it takes to keep it, else it would flicker."""

_WHOLE = 0.9
"""Visible share from which on the edge may be drawn again; with less, what is hidden now would be forgotten."""

_RING = 51
"""Pixels a side of the square that grows a shape into its surroundings."""

_STEP = 3
"""Pixels by which colours may correct the flow in one step."""

_STANDS_OUT = 0.7
"""IoU of the pixels with the object's colours, around it, with the object: from here on its colours say where it is."""

_AGREEMENT = 0.4
"""Weight of how many points moved as one, in the score."""


@dataclass(frozen=True, slots=True)
class ClassicalConfig:
    """Configuration of a classical track.

    Attributes:
        side: Longest side in pixels at which frames are compared; larger ones are shrunk.
        refit_every: Steps from one drawing of the edge to the next; 0 leaves the edge as it was carried.
        limits: Limits beyond which the object counts as lost.

    Raises:
        ValueError: A value out of range.
    """

    side: int = 640
    refit_every: int = 8
    limits: LostLimits = field(default_factory=LostLimits)

    def __post_init__(self) -> None:
        if self.side < 64:
            raise ValueError(f"side is {self.side}; it must be at least 64 pixels")
        if self.refit_every < 0:
            raise ValueError(f"refit_every is {self.refit_every}; it must be 0 or more")


class ClassicalTracker:
    """A Tracker without weights. Deterministic; its tracks may be used by several threads, each by one at a time."""

    name = "classical"

    def __init__(self, config: ClassicalConfig | None = None, segmenter: Segmenter[Any] | None = None) -> None:
        """Take a configuration; nothing runs yet.

        Args:
            config: Configuration of the tracks; the defaults if None.
            segmenter: Segmenter that draws edges again, with the mask as `mask_input`; the classical one if None.
        """
        self._config = ClassicalConfig() if config is None else config
        self._segmenter: Segmenter[Any] = ClassicalSegmenter() if segmenter is None else segmenter

    def start(self, frame: NDArray[np.uint8], mask: Mask, stamp_ns: int) -> ClassicalTrack:
        """Begin; see `Tracker.start`.

        Raises:
            ValueError: As in `Tracker.start`.
            RunFailed: The segmenter can't be used.
        """
        check_start(frame, mask)
        return ClassicalTrack(frame, mask, stamp_ns, self._config, self._segmenter)


class ClassicalTrack:
    """One object that is followed. Holds one grey frame, two masks and three histograms, however long it runs."""

    def __init__(
        self, frame: NDArray[np.uint8], mask: Mask, stamp_ns: int, config: ClassicalConfig, segmenter: Segmenter[Any]
    ) -> None:
        self._config = config
        self._stamp = stamp_ns
        self._resolution = Resolution.of((frame.shape[0], frame.shape[1]), config.side)
        picture = self._resolution.shrink(frame)
        self._visible = self._resolution.shrink_mask(mask)
        self._carried = CarriedMask.drawn(self._visible)
        region = Region.around(self._visible)
        first, part = region.cut(picture), region.cut(self._visible)
        self._appearance = Appearance(first, part)
        self._stands_out = iou(self._appearance.explains(first, 0.0), part) >= _STANDS_OUT
        self._fitter = EdgeFitter(segmenter, first, part) if config.refit_every else None
        self._grey = _grey(picture)
        self._brighter = 0.0
        self._lost = False
        self._steps = 0
        self._closed = False

    def step(self, frame: NDArray[np.uint8], stamp_ns: int) -> TrackedMask:
        """Follow the object into a newer frame; see `Track.step`.

        Raises:
            ValueError: As in `Track.step`.
            RunFailed: The segmenter can't go on.
        """
        if self._closed:
            raise ValueError("the track is closed; start a new one")
        check_step(frame, stamp_ns, self._resolution.camera, self._stamp)
        picture = self._resolution.shrink(frame)
        grey = _grey(picture)
        motion = self._surroundings_motion(grey) if self._lost else self._object_motion(grey)
        if motion is not None:
            self._carried = self._carried.moved(motion.matrix)
        self._brighter += brightening(self._grey, grey)
        self._grey, self._stamp = grey, stamp_ns
        self._steps += 1
        return self._matched(picture, 0.0 if motion is None else motion.support)

    def close(self) -> None:
        """Refuse further steps; what is held goes with the track itself. May be called twice."""
        self._closed = True

    def _object_motion(self, grey: Grey) -> Motion | None:
        # Its outline is part of it: an object without texture has all its corners there.
        patch = cv2.dilate(self._visible.view(np.uint8), np.ones((5, 5), np.uint8)) > 0
        return sparse_motion(self._grey, grey, patch) or dense_motion(self._grey, grey, self._visible)

    def _surroundings_motion(self, grey: Grey) -> Motion | None:
        """Motion of the surroundings: it tells where a hidden object would be now."""
        body = self._carried.placed()
        ring = cv2.dilate(body.view(np.uint8), np.ones((_RING, _RING), np.uint8)) > 0
        return sparse_motion(self._grey, grey, ring & ~body) or sparse_motion(self._grey, grey, ~body)

    def _matched(self, picture: NDArray[np.uint8], support: float) -> TrackedMask:
        """Decide what is under the carried mask: the object, something else, or the border of the picture."""
        limits = self._config.limits
        self._carried = self._sought(picture)
        body = self._carried.placed()
        pixels = area(body)
        in_view = pixels / max(self._carried.whole_area, 1.0)
        if pixels == 0 or in_view < limits.min_in_view:
            return self._without(LostReason.LEFT_VIEW, in_view, limits.min_in_view)
        region = Region.around(body)
        seen = region.cut(picture)
        match = self._appearance.match(seen, region.cut(body), self._brighter)
        needed = max(limits.min_visible, _VISIBLE_AGAIN) if self._lost else limits.min_visible
        if match.visible_share < needed:
            return self._without(LostReason.HIDDEN, match.visible_share, needed)
        # Colours say whether it is still the same, the points whether it moves as one object.
        agreement = 1 - _AGREEMENT + _AGREEMENT * support
        score = min(1.0, match.similarity * match.visible_share**0.5 * agreement)
        needed = max(limits.min_score, _SCORE_AGAIN) if self._lost else limits.min_score
        if score < needed:
            return self._without(LostReason.LOW_SCORE, score, needed)
        visible = region.pasted(match.visible, body.shape)
        if self._edge_is_due() and match.visible_share > _WHOLE and not touches_border(visible):
            visible = self._fitted(seen, match.visible, region, visible)
        now, before = area(visible), area(self._visible)
        if not self._lost and area_jumped(now, before, limits):
            return self._without(LostReason.AREA_JUMP, now / before, limits.max_area_ratio)
        if score > _SURE and match.visible_share == 1.0:
            self._appearance.learn(match)
        self._visible, self._lost = visible, False
        return TrackedMask(self._stamp, self._resolution.enlarge(visible), score, False)

    def _edge_is_due(self) -> bool:
        return bool(self._config.refit_every) and self._steps % self._config.refit_every == 0

    def _fitted(self, seen: NDArray[np.uint8], part: Mask, region: Region, carried: Mask) -> Mask:
        """The edge drawn again, where the segmenter has an opinion that counts; else as it was carried."""
        drawn = None if self._fitter is None else self._fitter.fit(seen, part)
        if drawn is None:
            return carried
        whole = region.pasted(drawn, carried.shape)
        self._carried = CarriedMask.drawn(whole)
        return whole

    def _sought(self, picture: NDArray[np.uint8]) -> CarriedMask:
        """The carried mask moved to where its colours are: a step at most, or anywhere near when it is lost.

        Points on the outline may be the background's, and an object without texture has no others.
        """
        body = self._carried.placed()
        if not body.any() or not (self._lost or self._stands_out):
            return self._carried
        region = Region.around(body)
        own = self._appearance.explains(region.cut(picture), self._brighter)
        here = region.cut(body)
        found = shift_to(own, here, max(here.shape) // 4 if self._lost else _STEP)
        return self._carried if found is None else self._carried.moved(found)

    def _without(self, reason: LostReason, figure: float, limit: float) -> TrackedMask:
        """The answer for a frame without a mask to be trusted."""
        self._lost = True
        score = figure if reason is LostReason.LOW_SCORE else 0.0
        empty = np.zeros(self._resolution.camera, np.bool_)
        return TrackedMask(self._stamp, empty, score, True, reason, lost_sentence(reason, figure, limit))


def _grey(picture: NDArray[np.uint8]) -> Grey:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
