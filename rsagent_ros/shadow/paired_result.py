"""How a contest stands: what both sides are worth on the same goals, and whether the difference is clear."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from rsagent_ros.scoring.intervals import paired
from rsagent_ros.scoring.metrics import values
from rsagent_ros.scoring.score import Score

SURE = 0.99
"""Level of the interval that the node goes by when it promotes by itself."""

GOALS = 30
"""Goals that a promotion takes at least, by default."""


@dataclass(frozen=True)
class Standing:
    """One moment of a contest.

    Attributes:
        sides: Fingerprints of incumbent and candidate.
        judged: Goals whose right answer is known.
        goals: Of these, the ones that both have answered: what all figures are over.
        unanswered: Goals on which the incumbent failed; they speak for nobody, and are left out.
        late: Of the goals, those that the candidate answered after the robot's time budget; they count 0.
        needed: Goals that a promotion takes at least.
        incumbent, candidate: gIoU: mean IoU over the goals, where "it is not in view" counts as 1 if it is right.
        gain, low, high: Candidate less incumbent, with the 95 % interval of the paired bootstrap.
        lowest: Lower end of the interval of level SURE; 0 where `low` is not above 0.
        cleared: It was better beyond doubt when it was last looked at, see `Looks`.
    """

    sides: tuple[str, str]
    judged: int = 0
    goals: int = 0
    unanswered: int = 0
    late: int = 0
    needed: int = GOALS
    incumbent: float = 0.0
    candidate: float = 0.0
    gain: float = 0.0
    low: float = 0.0
    high: float = 0.0
    lowest: float = 0.0
    cleared: bool = False

    @property
    def promotable(self) -> bool:
        """Whether the candidate is better: the interval of its gain lies above 0."""
        return self.goals >= self.needed and self.low > 0

    @property
    def sure(self) -> bool:
        """Whether it is better beyond doubt: so does the wider interval."""
        return self.promotable and self.lowest > 0

    @property
    def finished(self) -> bool:
        """Whether both have answered all there is."""
        return self.goals + self.unanswered >= self.judged

    def __str__(self) -> str:
        if not self.goals:
            return f"nothing to compare yet: {self.judged} judged goals, {self.needed} are needed"
        sentence = (
            f"gIoU {self.candidate:.3f} of the candidate and {self.incumbent:.3f} of the incumbent on {self.goals} "
            f"goals: a gain of {self.gain:+.3f} ({self.low:+.3f} to {self.high:+.3f})"
        )
        if self.late:
            sentence = f"{sentence}; {self.late} answers of the candidate came too late and count 0"
        if self.promotable:
            return sentence
        if self.goals < self.needed:
            return f"{sentence}; {self.needed} goals are needed"
        return f"{sentence}, which is not clearly above 0"


def standing(
    sides: tuple[str, str],
    goals: Collection[str],
    incumbent: Mapping[str, Score],
    candidate: Mapping[str, Score],
    late: Collection[str] = frozenset(),
    needed: int = GOALS,
    seed: int = 0,
) -> Standing:
    """How two sides stand on the goals of these ids.

    Doubts are held against the candidate. A goal on which the incumbent failed is left out: a server that was away, or
    a GPU that was full, must not speak for the candidate. One that the candidate failed, or answered late, counts 0.

    Args:
        sides: Fingerprints.
        goals: Ids of the judged goals.
        incumbent: Its scores by goal.
        candidate: Its scores by goal.
        late: Goals that the candidate answered too late.
        needed: Goals that a promotion takes at least.
        seed: Of the bootstrap.
    """
    both = [name for name in sorted(goals) if name in incumbent and name in candidate]
    kept = [name for name in both if incumbent[name].answered]
    if not kept:
        return Standing(sides, len(goals), 0, len(both), 0, needed)
    first = [incumbent[name] for name in kept]
    second = [replace(candidate[name], iou=0.0) if name in late else candidate[name] for name in kept]
    gain = paired(first, second, seed)["giou"]
    low = gain.low or 0.0  # there is no interval of one goal
    lowest = paired(first, second, seed, level=SURE)["giou"].low or 0.0 if low > 0 else 0.0
    return Standing(
        sides,
        len(goals),
        len(kept),
        len(both) - len(kept),
        sum(name in late for name in kept),
        needed,
        _figure(values(first)["giou"]),
        _figure(values(second)["giou"]),
        _figure(gain.value),
        low,
        gain.high or 0.0,
        lowest,
    )


def _figure(value: float | None) -> float:
    """A figure that is over every sample, so there is one."""
    if value is None:
        raise ValueError("a figure without samples")
    return value
