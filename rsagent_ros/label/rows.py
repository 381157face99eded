"""The list of goals: what it shows of a record. A day is listed in seconds: images and turns are not taken apart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rsagent_ros.agent.errors import RunFailed, describe, plain
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.label.verdicts import State, state_of
from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.contents import (
    DEPTH_TOPIC,
    IMAGE_TOPIC,
    MASK_TOPIC,
    RESULT_TOPIC,
    TRACE_TOPIC,
    VERDICT_TOPIC,
    stamp_of,
    verdict_of,
)
from rsagent_ros.records.decoding import Decoder
from rsagent_ros.records.record import Verdict, newest
from rsagent_ros.records.salvage import whole_messages

log = logging.getLogger(__name__)

BEHIND = (TRACE_TOPIC, MASK_TOPIC, DEPTH_TOPIC)
"""What stands behind all that the list needs."""


@dataclass(frozen=True)
class Row:
    """A goal in the list.

    Attributes:
        key: Its file, relative to the folder; what requests call it.
        day, time: Of its image, UTC; empty where unknown.
        instruction: As recorded.
        outcome: How it ended; None where unknown.
        state: What its newest verdict says; empty where there is none.
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


def read_row(key: str, path: Path, verdict_files: tuple[Path, ...]) -> Row:
    """The row of the record in `path`; one with its problem where that is no record. Never raises for a file."""
    told: list[str] = []
    verdicts: list[Verdict] = []
    result, seen = None, False
    try:
        for topic, message in _messages(path, told.append):
            if topic == RESULT_TOPIC and result is None:
                result = message
            elif topic == VERDICT_TOPIC:
                verdicts.append(verdict_of(message))
            elif topic in BEHIND:
                break
            seen = seen or topic == IMAGE_TOPIC
        if result is None or not seen:
            missing = RESULT_TOPIC if result is None else IMAGE_TOPIC
            raise ValueError(f"{path}: not a record: there is no message on {missing}")
        for file in verdict_files:
            verdicts += _verdicts(file)
        return _row(key, result, verdicts)
    except Exception as error:  # whatever stands in one file, the others are to be listed
        why = str(error) if isinstance(error, ValueError | OSError) else f"{path}: {describe(error)}"
        return Row(key, problem=plain("; ".join([*told, why])))


def _row(key: str, result: Any, verdicts: list[Verdict]) -> Row:
    moment = datetime.fromtimestamp(stamp_of(result.header.stamp) // 1_000_000_000, UTC)
    counts = newest(verdicts)
    return Row(
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
        yield from (verdict_of(message) for topic, message in _messages(file) if topic == VERDICT_TOPIC)
    except (ValueError, RunFailed, AttributeError, OSError) as error:
        log.debug("%s: not a verdict: %s", file, error)


def _messages(path: Path, complain: Callable[[str], object] = lambda _: None) -> Iterator[tuple[str, Any]]:
    """The messages of a file with their topics; those that can't be decoded are told."""
    decoder = Decoder()
    for raw in whole_messages(path, complain):
        if problem := decoder.define(raw.type, raw.encoding, raw.definition):
            complain(f"{path}: {problem}")
        try:
            yield raw.topic, decoder.decode(raw.type, raw.data)
        except ValueError as error:
            complain(f"{path}: a message on {raw.topic}: {error}")


def _outcome(number: int) -> Outcome | None:
    """The outcome of a number of `msg/Result.msg`; None for one that is not known."""
    kind = ros.typestore().types[ros.RESULT]
    return next((outcome for outcome in Outcome if getattr(kind, outcome.name) == number), None)
