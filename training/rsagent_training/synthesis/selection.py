"""Selection of trajectories: right, good enough, short enough, worth learning, no two alike, in balance."""

from __future__ import annotations

import json
import logging
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Turn
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import score
from rsagent_training.jobs.filter_report import FilterReport
from rsagent_training.synthesis.attempt import Attempt
from rsagent_training.synthesis.config import SynthesisConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Summary:
    """Facts of an attempt that the filters need; its trace stays on disk.

    Attributes:
        id, scene_id: As in the attempt.
        expected, outcome: How it should have ended, and how it did.
        error: The code of the error, where there was one.
        iou, turns: Of the attempt.
        matched: AMBIGUOUS only: every candidate stands for a thing, and every thing has one.
        learned: Turns that carry loss.
        corrected: A mistake made on purpose, or a reply that could not be used, was put right.
        calls: What was done, coordinates in whole grains; equal for two episodes that did the same.
        tools: Names of the tools it called.
        thoughts: Digests of its thoughts.
    """

    id: str
    scene_id: str
    expected: Outcome
    outcome: Outcome
    error: str
    iou: float
    turns: int
    matched: bool
    learned: int
    corrected: bool
    calls: Hashable
    tools: tuple[str, ...]
    thoughts: tuple[int, ...]


def summary(attempt: Attempt, scenes: Mapping[str, Example], config: SynthesisConfig) -> Summary:
    """Summarise an attempt on one of these scenes, which is read only where an AMBIGUOUS answer is right."""
    trace = attempt.trace
    matched = False
    if trace.outcome is Outcome.AMBIGUOUS and attempt.expected is Outcome.AMBIGUOUS:
        made = score(prediction_of(trace), scenes[attempt.scene_id])
        matched = made.instances_least_iou >= config.match_iou
    return Summary(
        attempt.id,
        attempt.scene_id,
        attempt.expected,
        trace.outcome or Outcome.FAILED,
        trace.error_code.name,
        attempt.iou,
        len(trace.turns),
        matched,
        sum(attempt.learn),
        not all(attempt.learn),
        (attempt.picture, trace.instruction, tuple(_call(turn, config.duplicate_grain) for turn in trace.turns)),
        tuple(turn.tool for turn in trace.turns if turn.tool),
        tuple(hash(turn.thought) for turn in trace.turns),
    )


def select(found: Sequence[Summary], config: SynthesisConfig) -> tuple[list[Summary], FilterReport]:
    """Select the attempts that are kept, in their order, and count what became of the others.

    Raises:
        NothingLeft: None is; the message says which filter dropped the last.
    """
    filters = FilterReport("trajectories")
    filters.entered = len(found)
    kept = filters.apply("the right outcome", found, _wrong_outcome)
    kept = filters.apply(f"final IoU of at least {config.min_iou:g}", kept, lambda one: _poor(one, config))
    kept = filters.apply(
        f"at most {config.max_turns} turns", kept, lambda one: "too long" if one.turns > config.max_turns else ""
    )
    kept = filters.apply("something to learn", kept, lambda one: "" if one.learned else "no turn carries loss")
    seen: set[Hashable] = set()

    def again(one: Summary) -> str:
        if one.calls in seen:
            return "the same calls on the same picture"
        seen.add(one.calls)
        return ""

    kept = filters.apply("no duplicates", kept, again)
    filters.check()
    chosen = balanced(kept, config)
    kept = filters.apply("balance", kept, lambda one: "" if one.id in chosen else f"enough of {one.expected}")
    filters.check()
    return kept, filters


def balanced(found: Sequence[Summary], config: SynthesisConfig) -> set[str]:
    """Ids of those to keep: no outcome has more than its share, and turn counts are as even as they can be.

    What is over-represented is cut to its share of all; nothing is cut because another outcome is scarce.
    """
    by_outcome = {outcome: [one for one in found if one.expected is outcome] for outcome in config.shares}
    if not config.balanced:
        shares = {outcome: len(some) / max(1, len(found)) for outcome, some in by_outcome.items()}
    else:
        shares = {outcome: share if by_outcome[outcome] else 0.0 for outcome, share in config.shares.items()}
    whole = sum(shares.values())
    if not whole:
        return set()
    total = min(len(found), config.most) if config.most else len(found)
    chosen: set[str] = set()
    for outcome, share in shares.items():
        chosen |= _even(by_outcome[outcome], round(total * share / whole))
    if len(chosen) < len(found) / 2 and not config.most:
        log.warning(
            "the balance of outcomes keeps %d of %d trajectories; set balanced to false to keep all, or other shares",
            len(chosen),
            len(found),
        )
    return chosen


def _even(found: Sequence[Summary], count: int) -> set[str]:
    """Ids of that many, turn counts as even as they can be: one of each in turn, while there are any."""
    by_turns: dict[int, list[Summary]] = {}
    for one in found:
        by_turns.setdefault(one.turns, []).append(one)
    chosen: list[str] = []
    for depth in range(max(map(len, by_turns.values()), default=0)):
        # Of the last round only some fit: those of the rarer turn counts.
        for _, some in sorted(by_turns.items(), key=lambda pair: (len(pair[1]), pair[0])):
            if depth < len(some) and len(chosen) < count:
                chosen.append(some[depth].id)
    return set(chosen)


def _wrong_outcome(one: Summary) -> str:
    if one.outcome is one.expected:
        return ""
    code = "" if one.error == "NONE" else f" ({one.error})"
    return f"{one.outcome}{code} where {one.expected} is right"


def _poor(one: Summary, config: SynthesisConfig) -> str:
    match one.expected:
        case Outcome.FOUND:
            if one.iou >= config.min_iou:
                return ""
            tenth = int(one.iou * 10) / 10
            return f"IoU {tenth:.1f} to {min(tenth + 0.1, config.min_iou):.2g}"
        case Outcome.AMBIGUOUS:
            return "" if one.matched else f"candidates that are no thing's mask at IoU {config.match_iou:g}"
    return ""


def _call(turn: Turn, grain: int) -> str:
    """Text of a turn's call in which nearly equal coordinates read the same; its thought does not count."""

    def rough(value: object) -> object:
        if isinstance(value, list) and all(isinstance(part, int | float) for part in value):
            return [round(part / grain) for part in value]
        return [rough(part) for part in value] if isinstance(value, list) else value

    places = {"box", "positive", "negative"}
    arguments = {key: rough(value) if key in places else value for key, value in (turn.arguments or {}).items()}
    # A reason or a question in other words is no other episode.
    words = {key: value for key, value in arguments.items() if not isinstance(value, str)}
    return f"{turn.tool or turn.error_code} {json.dumps(words, sort_keys=True)}"
