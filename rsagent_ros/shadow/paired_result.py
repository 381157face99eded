"""Result of a comparison: both arms on the same goals, whether the gain is clear, and whether anything got worse."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.scoring.intervals import Interval, paired
from rsagent_ros.scoring.metrics import values
from rsagent_ros.scoring.score import Score

GOALS = 30
"""Goals that a promotion needs at least, by default."""

PRESENT_GOALS = 20
"""Goals among them where something is to be found: an answer "not in view" says little of how a robot finds things."""

MARGIN = 0.02
"""Loss that is no loss: how far below 0 the interval of a difference may reach where there has to be no gain."""

KINDS = {Outcome.FOUND: "present", Outcome.NOT_IN_VIEW: "absent", Outcome.AMBIGUOUS: "ambiguous"}


@dataclass(frozen=True)
class NonInferiority:
    """A figure that must not get worse: candidate less incumbent, more being better.

    Attributes:
        name: Of the goals or of the figure, in words.
        goals: That it is over.
        value: The difference.
        low: Lower end of its 95 % interval; the difference itself where there is one goal.
    """

    name: str
    goals: int
    value: float
    low: float

    @property
    def worse(self) -> bool:
        """Whether it may be worse by more than MARGIN."""
        return self.low <= -MARGIN


@dataclass(frozen=True)
class PairedResult:
    """Figures of a comparison at one moment. `value` is that of a Score: what an answer is worth, -0.2..1.

    Attributes:
        arms: Fingerprints of incumbent and candidate.
        judged: Goals whose right answer is known.
        goals: Of these, the ones that both have answered: what all figures are over.
        unanswered: Goals on which the incumbent failed; they speak for nobody, and are left out.
        late: Of the goals, those that the candidate answered after the robot's time budget; they count 0 at most.
        needed: Goals that a promotion needs at least.
        incumbent, candidate: Mean value over the goals.
        gain, low, high: Candidate less incumbent, with the 95 % interval of the paired bootstrap.
        no_worse: What must not get worse: value on present, absent and ambiguous goals, as far as there are any, and
            wrong objects.
    """

    arms: tuple[str, str]
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
    no_worse: tuple[NonInferiority, ...] = ()

    @property
    def promotable(self) -> bool:
        """Whether the candidate is better: its gain lies clearly above 0, and nothing may have got worse."""
        return not self.obstacles

    @property
    def finished(self) -> bool:
        """Whether both have answered all there is."""
        return self.goals + self.unanswered >= self.judged

    @property
    def obstacles(self) -> tuple[str, ...]:
        """The reasons against a promotion, each one clause; none for a candidate that is better."""
        if self.goals < self.needed:
            return (f"not enough to say: {self.needed} goals are needed",)
        present = sum(one.goals for one in self.no_worse if one.name == KINDS[Outcome.FOUND])
        if present < PRESENT_GOALS:
            return (f"not enough to say: {present} present goals, {PRESENT_GOALS} are needed",)
        unclear = () if self.low > 0 else ("the gain is not clearly above 0",)
        worse = (
            f"{one.name} may be worse ({one.value:+.3f}, down to {one.low:+.3f})" for one in self.no_worse if one.worse
        )
        return (*unclear, *worse)

    def __str__(self) -> str:
        if not self.goals:
            return f"nothing to compare yet: {self.judged} judged goals, {self.needed} are needed"
        sentence = (
            f"value {self.candidate:.3f} of the candidate and {self.incumbent:.3f} of the incumbent on {self.goals} "
            f"goals: a gain of {self.gain:+.3f} ({self.low:+.3f} to {self.high:+.3f})"
        )
        if self.late:
            sentence = f"{sentence}; {self.late} answers of the candidate came too late and count 0"
        return "; ".join([sentence, *self.obstacles])


def paired_result(
    arms: tuple[str, str],
    goals: Collection[str],
    incumbent: Mapping[str, Score],
    candidate: Mapping[str, Score],
    late: Collection[str] = frozenset(),
    needed: int = GOALS,
    seed: int = 0,
) -> PairedResult:
    """Compare two arms on the goals of these ids.

    Doubts are held against the candidate. A goal on which the incumbent failed is left out: a server that was away, or
    a GPU that was full, must not speak for the candidate. One that the candidate failed, or answered late, counts 0.

    Args:
        arms: Fingerprints.
        goals: Ids of the judged goals.
        incumbent: Its scores by goal.
        candidate: Its scores by goal.
        late: Goals that the candidate answered too late.
        needed: Goals that a promotion needs at least.
        seed: Of the bootstrap.
    """
    both = [name for name in sorted(goals) if name in incumbent and name in candidate]
    kept = [name for name in both if incumbent[name].answered]
    if not kept:
        return PairedResult(arms, len(goals), 0, len(both), 0, needed)
    first = [incumbent[name] for name in kept]
    # A charge stays: an answer that misleads is no better for being late.
    second = [replace(candidate[name], credit=0.0) if name in late else candidate[name] for name in kept]
    whole = paired(first, second, seed)
    gain, wrong = whole["value"], whole["wrong_object"]
    strata = (_stratum(kind, first, second, seed) for kind in KINDS)
    return PairedResult(
        arms,
        len(goals),
        len(kept),
        len(both) - len(kept),
        sum(name in late for name in kept),
        needed,
        values(first)["value"] or 0.0,
        values(second)["value"] or 0.0,
        gain.value or 0.0,
        gain.low or 0.0,  # of one goal there is no interval: nothing is clear
        gain.high or 0.0,
        (*(one for one in strata if one.goals), _no_more("wrong objects", wrong, len(kept))),
    )


def _stratum(kind: Outcome, first: Sequence[Score], second: Sequence[Score], seed: int) -> NonInferiority:
    """The difference in value on the goals of which this is true."""
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a.expected is kind]
    if not pairs:
        return NonInferiority(KINDS[kind], 0, 0.0, 0.0)
    change = paired([a for a, _ in pairs], [b for _, b in pairs], seed)["value"]
    value = change.value or 0.0
    return NonInferiority(KINDS[kind], len(pairs), value, value if change.low is None else change.low)


def _no_more(name: str, change: Interval, goals: int) -> NonInferiority:
    """The difference in a rate that is better when it is lower, its sign turned."""
    value = -(change.value or 0.0)
    return NonInferiority(name, goals, value, value if change.high is None else -change.high)
