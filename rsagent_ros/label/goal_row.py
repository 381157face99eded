"""Rows of the list of goals. A day is listed in seconds: images and turns are not taken apart."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rsagent_ros.agent.errors import RunFailed, describe, plain
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.label.verdicts import State, state_of
from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.message_fields import stamp_of, verdict_of
from rsagent_ros.records.reader import read_messages
from rsagent_ros.records.record import Verdict, newest
from rsagent_ros.records.record_messages import (
    DEPTH_TOPIC,
    IMAGE_TOPIC,
    MASK_TOPIC,
    RESULT_TOPIC,
    TRACE_TOPIC,
    VERDICT_TOPIC,
)

log = logging.getLogger(__name__)

BEHIND = (TRACE_TOPIC, MASK_TOPIC, DEPTH_TOPIC)
"""Topics behind all that the list needs."""


@dataclass(frozen=True)
class GoalRow:
    """A goal in the list.

    Attributes:
        key: Its file, relative to the folder; what requests call it.
        day, time: Of its image, UTC; empty where unknown.
        instruction: As recorded.
        outcome: None where unknown.
        state: Of its newest verdict; empty where there is none.
        judged: A person has given a verdict. Those of grippers and planners wait to be looked at.
        problem: Why it can't be used; empty if it can.
    """

    key: str
    day: str = ""
    time: str = ""
    instruction: str = ""
    outcome: Outcome | None = None
    state: State = ""
    judged: bool = False
    problem: str = ""


def read_row(key: str, path: Path, verdict_files: tuple[Path, ...]) -> GoalRow:
    """The row of the record in `path`; one with its problem where that is no record. Never raises for a file."""
    complaints: list[str] = []
    verdicts: list[Verdict] = []
    result, has_image = None, False
    try:
        for topic, message in read_messages(path, complaints.append):
            if topic == RESULT_TOPIC and result is None:
                result = message
            elif topic == VERDICT_TOPIC:
                verdicts.append(verdict_of(message))
            elif topic in BEHIND:
                break
            has_image = has_image or topic == IMAGE_TOPIC
        if result is None or not has_image:
            missing = RESULT_TOPIC if result is None else IMAGE_TOPIC
            raise ValueError(f"{path}: not a record: there is no message on {missing}")
        for file in verdict_files:
            verdicts += _verdicts(file)
        return _row(key, result, verdicts)
    except Exception as error:  # whatever stands in one file, the others are to be listed
        why = str(error) if isinstance(error, ValueError | OSError) else f"{path}: {describe(error)}"
        return GoalRow(key, problem=plain("; ".join([*complaints, why])))


def _row(key: str, result: Any, verdicts: list[Verdict]) -> GoalRow:
    moment = datetime.fromtimestamp(stamp_of(result.header.stamp) // 1_000_000_000, UTC)
    counts = newest(verdicts)
    return GoalRow(
        key,
        f"{moment:%Y-%m-%d}",
        f"{moment:%H:%M:%S}",
        result.instruction,
        _outcome(result.outcome),
        "" if counts is None else state_of(counts),
        any(verdict.source == "operator" for verdict in verdicts),
    )


def _verdicts(file: Path) -> Iterator[Verdict]:
    """The verdicts in a file; none where it is damaged, which is told when the goal is opened."""
    try:
        yield from (verdict_of(message) for topic, message in read_messages(file) if topic == VERDICT_TOPIC)
    except (ValueError, RunFailed, AttributeError, OSError) as error:
        log.debug("%s: not a verdict: %s", file, error)


def _outcome(number: int) -> Outcome | None:
    """The outcome of a number of `msg/Result.msg`; None for one that is not known."""
    kind = ros.typestore().types[ros.RESULT]
    return next((outcome for outcome in Outcome if getattr(kind, outcome.name) == number), None)
