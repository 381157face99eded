"""Running a recorded episode again with the replies that were recorded, and comparing what comes out, to the bit.

The episode, its tools and the segmenter run as they did; only the policy is played back. The same code, segmenter and
image give the same masks, so that a difference says that one of them has changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from itertools import chain

import numpy as np

from rsagent_ros.agent import parsing
from rsagent_ros.agent.accounting import second_looks_of
from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.mask import area, decode_rle, iou
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.policy import Conversation, Reply, ReplyLimits
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.agent.verification import Verification
from rsagent_ros.agent.votes import elected
from rsagent_ros.records.record import Record

TIMES = {"reply_seconds", "tool_seconds"}
"""Fields of a turn that never repeat."""

ANSWER = (
    "outcome",
    "error_code",
    "instance_ids",
    "candidate_ids",
    "confidences",
    "question",
    "reason",
    "partial",
    "votes",
)
"""Fields of a trace that say how it ended."""

UNBOUNDED = 1e9
"""Seconds or tokens: what was spent then is not spent again."""


@dataclass(frozen=True)
class Difference:
    """One thing that did not repeat.

    Attributes:
        turn: Its index; 0 for the episode as a whole.
        field: Of the turn or the trace.
        recorded, now: In words.
    """

    turn: int
    field: str
    recorded: str
    now: str

    def __str__(self) -> str:
        place = f"turn {self.turn}" if self.turn else "episode"
        return f"{place}: {self.field} was {self.recorded}, is {self.now}"


@dataclass(frozen=True)
class Differences:
    """Result of a replay.

    Attributes:
        goal_id: Of the record.
        found: Turn by turn, then the end; empty when all is the same to the bit.
        trace: Of the replay.
    """

    goal_id: str
    found: tuple[Difference, ...]
    trace: Trace

    @property
    def same(self) -> bool:
        """Whether everything repeated."""
        return not self.found


def replay(record: Record, segmenter: Segmenter) -> Differences:
    """Run the episode of a record again with its replies. Blocks for as long as the segmenter takes.

    An ending that came from outside, such as a spent time budget or a cancel, is repeated after the last reply.

    All attempts at a goal that was voted on are run again, and the votes counted again.

    Raises:
        RunFailed: The record's image or instruction is not one that an episode begins with.
    """
    attempts = record.trace.all_attempts
    again = [_repeated(record, one, segmenter) for one in attempts]
    now = again[0].trace
    if record.trace.votes:
        _, now = elected([(episode.result, episode.trace) for episode in again], record.trace.seconds)
    found = _compared(record.trace, now)
    for number, (one, episode) in enumerate(zip(attempts, again, strict=True), 1):
        if number != record.trace.attempt:
            found += [replace(each, field=f"attempt {number}: {each.field}") for each in _compared(one, episode.trace)]
    return Differences(record.goal_id, tuple(found), now)


def _repeated(record: Record, trace: Trace, segmenter: Segmenter) -> Episode:
    """One attempt, run again."""
    budget = Budget(UNBOUNDED, trace.max_turns, parsing.MAX_REPLY_CHARS, int(UNBOUNDED), **second_looks_of(trace))
    episode = Episode(
        record.image,
        trace.instruction,
        segmenter,
        budget,
        goal_id=trace.goal_id,
        policy_name=trace.policy,
        pictures=trace.pictures,
        previous=trace.previous,
    )
    drive(episode, _Recorded(trace, episode))
    return episode


class _Recorded:
    """A policy that says what was recorded, and then ends the episode as it ended."""

    def __init__(self, trace: Trace, episode: Episode) -> None:
        self.name = trace.policy
        self.pictures = trace.pictures
        self._trace = trace
        self._episode = episode
        self._conversations: Iterator[Conversation] = chain([self], recorded_verifications(trace))

    def open(self) -> Conversation:
        return next(self._conversations)

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        taken = len(self._episode.trace.turns)
        if taken < len(self._trace.turns):
            return self._trace.turns[taken].as_reply()
        outcome = self._trace.outcome if self._trace.outcome is not None else Outcome.SHUTDOWN
        self._episode.stop(outcome, self._trace.error_code, self._trace.error_msg)
        return Reply("")  # discarded: the episode has ended

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


def recorded_verifications(trace: Trace) -> Iterator[Conversation]:
    """The conversations of the verifications, in order; each repeats its reply."""
    return (_RecordedVerification(one) for one in trace.second_looks if not one.same_as)


class _RecordedVerification:
    def __init__(self, verification: Verification) -> None:
        self._verification = verification

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        return self._verification.as_reply()

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


def _compared(recorded: Trace, now: Trace) -> list[Difference]:
    found = []
    if recorded.segmenter != now.segmenter:
        found.append(Difference(0, "segmenter", recorded.segmenter, now.segmenter))
    for old, new in zip(recorded.turns, now.turns, strict=False):
        found += _turns_compared(old, new, last=old is recorded.turns[-1])
    if len(recorded.turns) != len(now.turns):
        found.append(Difference(0, "number of turns", str(len(recorded.turns)), str(len(now.turns))))
    # A calibration, or whoever ended the goal while it was voted on, had the last word, which is not played back.
    overruled = recorded.calibrated or (recorded.attempts and not recorded.votes)
    for name in () if overruled else ANSWER:
        old_value, new_value = getattr(recorded, name), getattr(now, name)
        if old_value != new_value:
            found.append(Difference(0, name, _words(old_value), _words(new_value)))
    return found


def _turns_compared(old: Turn, new: Turn, *, last: bool) -> list[Difference]:
    found = []
    for part in fields(Turn):
        before, after = _timeless(getattr(old, part.name)), _timeless(getattr(new, part.name))
        if part.name in TIMES or before == after:
            continue
        if part.name == "mask":
            found.append(_masks_compared(old, new))
        elif part.name == "observation" and last and not before:
            continue  # the episode was ended from outside: nobody read an observation
        elif part.name == "stop" and old.error_code == "broken_off":
            continue  # as replies are played back
        else:
            found.append(Difference(old.index, part.name, _words(before), _words(after)))
    return found


def _timeless(value: object) -> object:
    """The value of a turn's field, without the times in it."""
    if isinstance(value, tuple):
        return tuple(replace(one, reply_seconds=0.0) if isinstance(one, Verification) else one for one in value)
    return value


def _masks_compared(old: Turn, new: Turn) -> Difference:
    masks = [None if turn.mask is None else decode_rle(turn.mask) for turn in (old, new)]
    before, after = ("none" if mask is None else f"{area(mask)} pixels" for mask in masks)
    if masks[0] is not None and masks[1] is not None:
        differing = int(np.count_nonzero(masks[0] != masks[1]))
        after += f", {differing} of them different, IoU {iou(masks[0], masks[1]):.4f}"
    return Difference(old.index, "mask", before, after)


def _words(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
