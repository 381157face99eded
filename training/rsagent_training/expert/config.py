"""Settings of the scripted expert."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

Manner = Literal["straight", "sloppy", "negative", "wrong_thing", "zoom", "bad_call", "words"]
MANNERS: tuple[Manner, ...] = get_args(Manner)


@dataclass(frozen=True)
class ExpertConfig:
    """Settings of the scripted expert. The first seven are weights; by them one manner is drawn for each episode.

    Attributes:
        straight: A good prompt at once.
        sloppy: The first box is beside the thing, too small or too large, and then drawn anew.
        negative: The first box takes in what is around; a negative point, or cutting away, puts it right.
        wrong_thing: Another thing is marked first.
        zoom: A look from closer by.
        bad_call: A call that can't be used, and then repaired.
        words: What is meant is marked by a phrase, where the segmenter takes words; else as `straight`. Recipes of
            before have none of it, and keep their tools.
        good: IoU from which on a mask is left as it is.
        corrections: Of one mask, at most.
        zoom_below: A thing whose longer side is shorter than this in the overlay (384 pixels) is zoomed in on in any
            manner.
        looks: Most things looked at before a target is called absent; at least one is, where there is any.

    Raises:
        ValueError: A value that can't be; the message says what can.
    """

    straight: float = 2.0
    sloppy: float = 2.0
    negative: float = 2.0
    wrong_thing: float = 2.0
    zoom: float = 1.0
    bad_call: float = 1.0
    words: float = 0.0
    good: float = 0.91
    corrections: int = 4
    zoom_below: float = 36.0
    looks: int = 2

    def __post_init__(self) -> None:
        weights = {manner: getattr(self, manner) for manner in MANNERS}
        for name, weight in weights.items():
            if not (math.isfinite(weight) and weight >= 0):
                raise ValueError(f"expert: {name} is {weight}; a weight must be 0 or more")
        if not any(weights.values()):
            raise ValueError(f"expert: all of {', '.join(MANNERS)} are 0; let at least one be more")
        if not 0 < self.good <= 1:
            raise ValueError(f"expert: good is {self.good}; it must be over 0 and at most 1")
        if self.corrections < 0 or self.looks < 1 or self.zoom_below < 0:
            raise ValueError(
                f"expert: corrections is {self.corrections}, looks {self.looks}, zoom_below {self.zoom_below}; "
                "they must be at least 0, 1 and 0"
            )
