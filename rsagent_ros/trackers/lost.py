"""Conditions under which a track counts as lost: limits, the guard of the area, and a sentence for each reason."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from rsagent_ros.trackers.tracker import LostReason

RECENT = 30
"""Trusted frames whose areas are remembered: an occluded object may come back as large as it was in any of them."""


@dataclass(frozen=True, slots=True)
class LostLimits:
    """Limits beyond which a mask is not trusted.

    Attributes:
        min_score: Smallest score, 0..1.
        max_area_ratio: Largest plausible factor by which the visible area grows or shrinks in one step; above 1.
        min_in_view: Smallest share of the object, 0..1, inside the image's borders.
        min_visible: Smallest share of the object inside the borders that nothing hides, 0..1.

    Raises:
        ValueError: A value out of range.
    """

    min_score: float = 0.35
    max_area_ratio: float = 2.0
    min_in_view: float = 0.15
    min_visible: float = 0.2

    def __post_init__(self) -> None:
        for name in ("min_score", "min_in_view", "min_visible"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be between 0 and 1")
        if not self.max_area_ratio > 1.0:
            raise ValueError(f"max_area_ratio is {self.max_area_ratio}; it must be greater than 1")


class AreaGuard:
    """Check of the visible area against the areas of trusted masks: a jump is refused until the area comes back.

    A refused area is never a reference. Otherwise the frame after a jump to another object would agree with the jump.
    An object that was hidden or out of view may come back in part, and then grow as fast as it shrank: the upper limit
    is relative to the largest recent area, and there is no lower one for its first mask.
    """

    def __init__(self, area: float, limits: LostLimits) -> None:
        """Begin with the area of the mask that the track starts with, pixels."""
        self._ratio = limits.max_area_ratio
        self._trusted: deque[float] = deque([area], maxlen=RECENT)
        self._refused = False
        self._reappears = False

    def trusts(self, area: float) -> bool:
        """Whether an area, pixels, is plausible; if so, it is a reference from now on."""
        shrank = area * self._ratio < self._trusted[-1] and not self._reappears
        self._refused = area > max(self._trusted) * self._ratio or shrank
        if not self._refused:
            self._trusted.append(area)
            self._reappears = False
        return not self._refused

    def factor(self, area: float) -> float:
        """An area relative to the last trusted one."""
        return area / self._trusted[-1]

    def not_visible(self) -> None:
        """Note a frame without a mask: the object may come back in part, unless its area had jumped before."""
        self._reappears = self._reappears or not self._refused


def area_jumped(area: float, before: float, limits: LostLimits) -> bool:
    """Whether an area in pixels can't follow the one before it."""
    return area > before * limits.max_area_ratio or area * limits.max_area_ratio < before


def lost_sentence(reason: LostReason, figure: float, limit: float) -> str:
    """The reason in words: what was measured, and the limit.

    Args:
        reason: The reason.
        figure: A score, a factor, or a share, as the reason has it.
        limit: Limit of the figure.
    """
    match reason:
        case LostReason.NONE:
            return ""
        case LostReason.LOW_SCORE:
            return f"the score is {figure:.2f}, below {limit:g}"
        case LostReason.AREA_JUMP:
            return f"its area changed by a factor of {figure:.2f} since the last trusted mask; the limit is {limit:g}"
        case LostReason.LEFT_VIEW:
            return f"{figure:.0%} of it is inside the image, less than {limit:.0%}"
        case LostReason.HIDDEN:
            return f"{figure:.0%} of it looks like itself, less than {limit:.0%}"
