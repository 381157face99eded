"""Reading records back: a file, a day, or all of a robot's; of damaged files all that is whole is read."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.records.message_decoder import MessageDecoder
from rsagent_ros.records.record import Record, Verdict
from rsagent_ros.records.record_messages import record_of, verdicts_of
from rsagent_ros.records.salvage import whole_messages
from rsagent_ros.records.writer import record_files, verdict_files

log = logging.getLogger(__name__)


class RecordError(ValueError):
    """A file that holds no record that could be used; the message names it and says why."""


def read_records(path: Path, complain: Callable[[str], object] = log.warning) -> Iterator[Record]:
    """The records of a file or of a folder with all below it, in the order of their names, one in memory at a time.

    Args:
        path: A record, a day, or the folder of all days.
        complain: Called with a sentence that names the file for all that could not be read; the others are.

    Raises:
        FileNotFoundError: There is nothing at `path`, or it is a folder without records.
    """
    files = record_files(path) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise FileNotFoundError(f"{path}: there are no records; a node with the parameter record_dir writes some")
    for file in files:
        try:
            record = read_record(file, complain)
        except (RecordError, OSError) as error:
            complain(str(error))
            continue
        yield record


def read_record(path: Path, complain: Callable[[str], object] = log.warning) -> Record:
    """One record with the verdicts beside it.

    Args:
        path: Its file.
        complain: Called with a sentence about what is cut or damaged while the record itself can be used.

    Raises:
        RecordError: There is no record in it, or not enough is left of it.
        OSError: The file can't be read.
    """
    complaints: list[str] = []
    messages = list(read_messages(path, complaints.append))
    try:
        record = record_of(messages)
        verdicts = record.verdicts + tuple(_verdicts(path, complaints.append))
        record = replace(record, verdicts=verdicts)
    except (ValueError, RunFailed, AttributeError) as error:
        why = error.message if isinstance(error, RunFailed) else str(error)
        raise RecordError("; ".join([*complaints, f"{path}: not a record: {why}"])) from error
    for sentence in complaints:
        complain(sentence)
    return record


def _verdicts(path: Path, complain: Callable[[str], object]) -> Iterator[Verdict]:
    for file in verdict_files(path):
        messages = read_messages(file, complain)
        try:
            yield from verdicts_of(messages)
        except (ValueError, RunFailed) as error:
            complain(f"{file}: not a verdict: {error}")


def read_messages(path: Path, complain: Callable[[str], object] = lambda _: None) -> Iterator[tuple[str, Any]]:
    """The messages of a record's file with their topics, as they are read.

    Args:
        path: The file.
        complain: Called with a sentence about each message that can't be decoded, and about a file that is cut.

    Raises:
        OSError: The file can't be read.
    """
    decoder = MessageDecoder()
    for number, stored in enumerate(whole_messages(path, complain), 1):
        if problem := decoder.define(stored.type, stored.encoding, stored.definition):
            complain(f"{path}: {problem}")
        try:
            yield stored.topic, decoder.decode(stored.type, stored.data)
        except ValueError as error:
            complain(f"{path}: message {number}, on {stored.topic}: {error}")
