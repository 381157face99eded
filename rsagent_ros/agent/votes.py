"""Votes of several episodes of one goal: which answers agree, how many each has, and the answer of the goal.

Masks agree where average linkage over 1 - IoU puts them into one cluster. "Not there", a question and a give-up have a
vote each; an episode that failed or was broken off has none. A tie is never broken in silence: see `elected`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from rsagent_ros.agent.mask import Mask, iou
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.turn import Trace

SAME_ANSWER = 0.5
"""Mean IoU from which on masks are the same answer."""

MOST_CANDIDATES = 4
QUESTION = "The attempts at this goal point at different things; which of these is meant?"

Ended = tuple[Result, Trace]
"""One finished episode."""


@dataclass(frozen=True)
class Count:
    """Answers that agree, as numbers of their episodes from 0.

    Attributes:
        groups: The one with the most votes first, of equals the one with the earliest episode.
    """

    groups: tuple[tuple[int, ...], ...]

    @property
    def leaders(self) -> tuple[tuple[int, ...], ...]:
        """The groups that no other has more votes than; several in a tie."""
        return tuple(group for group in self.groups if len(group) == len(self.groups[0]))

    def decided(self, outstanding: int) -> bool:
        """Whether so many more votes can change nothing about who leads alone."""
        first, second = (*map(len, self.groups), 0, 0)[:2]
        return first > second + outstanding

    def numbers(self, episodes: int) -> tuple[int, ...]:
        """For each episode the number of its group, from 1; 0 for one without a vote."""
        group_of = {episode: number for number, group in enumerate(self.groups, 1) for episode in group}
        return tuple(group_of.get(episode, 0) for episode in range(episodes))


def has_vote(result: Result) -> bool:
    """Whether an episode ended by itself: with an answer, or by giving up before its time was over."""
    if result.outcome is Outcome.GAVE_UP:
        return result.error_code is not ErrorCode.TIME_SPENT
    return result.outcome in (Outcome.FOUND, Outcome.NOT_IN_VIEW, Outcome.AMBIGUOUS)


def counted(results: Sequence[Result]) -> Count:
    """The votes of episodes, in the order in which they began."""
    found: list[tuple[int, Mask]] = []
    groups: dict[Outcome, list[int]] = {}
    for number, result in enumerate(results):
        mask = result.mask()
        if result.outcome is Outcome.FOUND and mask is not None:
            found.append((number, mask))
        elif has_vote(result):
            groups.setdefault(result.outcome, []).append(number)
    everything = [*_clusters(found), *map(tuple, groups.values())]
    return Count(tuple(sorted(everything, key=lambda group: (-len(group), group[0]))))


def elected(ended: Sequence[Ended], seconds: float) -> Ended:
    """The answer of a goal whose episodes have ended; the first is there in any case.

    The group with the most votes answers, through the episode whose mask agrees best with the others'; of equals the
    earliest. Groups that lead together: AMBIGUOUS where each has found one thing, with all of these as candidates; else
    GAVE_UP (UNSURE), with the mask of the earliest that found something, `partial`. Without any vote the first episode
    stands.

    Args:
        ended: All episodes, in the order in which they began.
        seconds: Of the whole goal, steady clock.

    Returns:
        Result and trace, which go together: sums are those of all episodes, the others are in the trace's `attempts`.
    """
    count = counted([result for result, _ in ended])
    leaders = count.leaders if count.groups else ()
    chosen = _speaker(leaders[0], [result for result, _ in ended]) if leaders else 0
    result, trace = ended[chosen]
    others = tuple(one for number, (_, one) in enumerate(ended) if number != chosen)
    numbers = count.numbers(len(ended))
    trace = replace(trace, attempts=others, attempt=chosen + 1, votes=numbers, seconds=seconds)
    if len(leaders) > 1:
        result = _tied(ended, leaders, chosen, trace)
    results = [one for one, _ in ended]
    result = replace(
        result,
        degraded=any(one.degraded for one in results),
        prompt_tokens=sum(one.prompt_tokens for one in results),
        cached_tokens=sum(one.cached_tokens for one in results),
        sampled_tokens=sum(one.sampled_tokens for one in results),
        policy_seconds=sum(one.policy_seconds for one in results),
        tool_seconds=sum(one.tool_seconds for one in results),
        total_seconds=seconds,
    )
    return result, trace.ended(result)


def share(trace: Trace, mask_id: int) -> float | None:
    """The share of the votes that the answer with a mask has; None for one vote or none, or a mask of no answer."""
    owner, own = trace.borrowed.get(mask_id, (trace, mask_id))
    answered = owner is not trace or own in (*trace.instance_ids, *trace.candidate_ids)
    at = trace.attempt - 1 if owner is trace else _place(trace, owner)
    groups = Counter(number for number in trace.votes if number)
    if not answered or groups.total() < 2 or not 0 <= at < len(trace.votes):
        return None
    return groups[trace.votes[at]] / groups.total()


def in_words(trace: Trace) -> str:
    """The votes of a goal that was voted on, such as `3 of 5 for this answer, of 6 attempts`."""
    cast = [number for number in trace.votes if number]
    own = trace.votes[trace.attempt - 1] if 0 < trace.attempt <= len(trace.votes) else 0
    return f"{cast.count(own) if own else 0} of {len(cast)} for this answer, of {len(trace.votes)} attempts"


def _place(trace: Trace, owner: Trace) -> int:
    """The place of another attempt among all of them."""
    place = next(number for number, one in enumerate(trace.attempts) if one is owner)
    return place + (place >= trace.attempt - 1)


def _clusters(found: Sequence[tuple[int, Mask]]) -> list[tuple[int, ...]]:
    """Numbers of masks that are the same answer."""
    if len(found) < 2:
        return [(number,) for number, _ in found]
    distances = [1.0 - iou(one, other) for (_, one), (_, other) in combinations(found, 2)]
    from scipy.cluster.hierarchy import fcluster, linkage  # an idle robot loads no library that it does not need

    labels = fcluster(linkage(np.array(distances), "average"), 1.0 - SAME_ANSWER, "distance")
    clusters: dict[int, list[int]] = {}
    for (number, _), label in zip(found, labels.tolist(), strict=True):
        clusters.setdefault(label, []).append(number)
    return [tuple(cluster) for cluster in clusters.values()]


def _speaker(group: Sequence[int], results: Sequence[Result]) -> int:
    """The episode of a group whose mask agrees best with the others'; of equals the earliest."""
    masks = {number: mask for number in group if (mask := results[number].mask()) is not None}
    if results[group[0]].outcome is not Outcome.FOUND:
        return group[0]
    return max(group, key=lambda number: (sum(iou(masks[number], other) for other in masks.values()), -number))


def _tied(ended: Sequence[Ended], leaders: Sequence[Sequence[int]], chosen: int, trace: Trace) -> Result:
    """The answer where several groups lead; ids are those in the trace of the chosen episode."""
    results = [result for result, _ in ended]
    speakers = [chosen, *(_speaker(group, results) for group in leaders[1:])]
    ids = {(id(one), own): number for number, (one, own) in trace.borrowed.items()}
    found = [
        tuple(
            instance if speaker == chosen else replace(instance, mask_id=ids[id(ended[speaker][1]), instance.mask_id])
            for instance in results[speaker].instances
        )
        for speaker in speakers
        if results[speaker].outcome is Outcome.FOUND
    ]
    own = results[chosen]
    if len(found) == len(leaders) <= MOST_CANDIDATES and all(len(instances) == 1 for instances in found):
        candidates = tuple(instances[0] for instances in found)
        return replace(own, outcome=Outcome.AMBIGUOUS, instances=(), candidates=candidates, question=QUESTION)
    counts = " and ".join(f"{len(group)} for {_named(results[group[0]])}" for group in leaders)
    return replace(
        own,
        outcome=Outcome.GAVE_UP,
        error_code=ErrorCode.UNSURE,
        error_msg=f"the votes of {sum(map(has_vote, results))} attempts are tied",
        instances=found[0] if found else (),
        candidates=tuple(instance for instances in found for instance in instances) if len(found) > 1 else (),
        question="",
        reason=f"the attempts disagree: {counts}",
        partial=bool(found),
    )


def _named(result: Result) -> str:
    """The outcome of a group, in words."""
    return {Outcome.FOUND: "a mask", Outcome.AMBIGUOUS: "a question"}.get(result.outcome, result.outcome.value)
