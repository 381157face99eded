"""When a track counts as lost: thresholds, and the sentence for each reason. The same for all trackers."""

from __future__ import annotations

from dataclasses import dataclass

from rsagent_ros.trackers.tracker import Loss


@dataclass(frozen=True, slots=True)
class LossLimits:
    """From where on a mask is no longer trusted.

    Attributes:
        min_score: Least score, 0..1.
        max_area_ratio: How much the visible area may grow or shrink from one step to the next, as a factor; above 1.
        min_in_view: Least share of the thing, 0..1, that is inside the picture's borders.
        min_visible: Least share of the thing inside the borders that nothing else hides, 0..1.

    Raises:
        ValueError: A value that can't be.
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


def area_jumped(area: float, before: float, limits: LossLimits) -> bool:
    """Whether an area in pixels can't follow the one before it."""
    return area > before * limits.max_area_ratio or area * limits.max_area_ratio < before


def sentence(loss: Loss, figure: float, limit: float) -> str:
    """One sentence for a person: what was measured, and the limit that it broke.

    Args:
        loss: The reason.
        figure: A score, a factor, or a share, as the reason has it.
        limit: What it was held against.
    """
    match loss:
        case Loss.NONE:
            return ""
        case Loss.LOW_SCORE:
            return f"the score is {figure:.2f}, below {limit:g}"
        case Loss.AREA_JUMP:
            return f"the area changed by a factor of {figure:.2f} in one step; at most {limit:g} is plausible"
        case Loss.LEFT_VIEW:
            return f"{figure:.0%} of it is inside the picture, less than {limit:.0%}"
        case Loss.HIDDEN:
            return f"{figure:.0%} of it looks like itself, less than {limit:.0%}"
