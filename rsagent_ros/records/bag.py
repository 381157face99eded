"""A rosbag2 bag without ROS: its topics, and its messages in the order they were logged.

MCAP and sqlite3, one file or several, compressed by file or by message, from Humble, Jazzy and between; with and
without metadata.yaml. Of a file that was cut or never closed all whole messages are read. What is lost is
complained about in sentences that name the place; reading goes on.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rsagent_ros.records.bag_files import bag_files
from rsagent_ros.records.message_decoder import MessageDecoder
from rsagent_ros.records.storage import plain_data, stored_messages
from rsagent_ros.records.stored_message import Wanted

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class BagMessage:
    """A message in a bag.

    Attributes:
        topic, type: As ROS names them.
        time: When it was logged, nanoseconds.
        data: CDR.
        file: The one it is in.
    """

    topic: str
    type: str
    time: int
    data: bytes
    file: Path


class Bag:
    """A bag that is open for reading, again and again; a context manager.

    Attributes:
        path: Its folder or file.
        files: Its storage files, in order.
    """

    def __init__(
        self, path: Path, complain: Callable[[str], object] = log.warning, note: Callable[[str], object] = log.warning
    ) -> None:
        """Find its files; nothing is read yet.

        Args:
            path: Its folder, its metadata.yaml, or one of its files.
            complain: Called with a sentence about what is lost; once, however often the bag is read.
            note: Called with a sentence about what is odd but loses nothing.

        Raises:
            FileNotFoundError: There is no bag, or it is none of ROS 2.
        """
        self.path = path
        self.files = bag_files(path, note, complain)
        self._passed_on: set[str] = set()
        self._complain = complain
        self._note = note
        self._decoder = MessageDecoder()
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove what was uncompressed."""
        if self._scratch is not None:
            self._scratch.cleanup()
            self._scratch = None

    def _scratch_folder(self) -> Path:
        if self._scratch is None:
            self._scratch = tempfile.TemporaryDirectory(prefix="rsagent-bag-")
        return Path(self._scratch.name)

    def complain(self, sentence: str) -> None:
        """Pass a sentence about a loss on, unless it was before."""
        self._tell(sentence, self._complain)

    def _tell(self, sentence: str, pass_on: Callable[[str], object]) -> None:
        if sentence not in self._passed_on:
            self._passed_on.add(sentence)
            pass_on(sentence)

    def messages(self, wanted: Wanted = lambda topic, msgtype: True) -> Iterator[BagMessage]:
        """The messages for whose topic and type `wanted` says so, by time within a file, and files in their order."""
        for file in self.files:
            for raw in stored_messages(file, wanted, self.complain, self._scratch_folder):
                problem = self._decoder.define(raw.type, raw.encoding, raw.definition)
                if problem:
                    # With the definition of ROS 2 Jazzy nothing need be lost; if it does not fit, that is told.
                    self._tell(f"{file}: {problem}", self._note if self._decoder.knows(raw.type) else self._complain)
                yield BagMessage(raw.topic, raw.type, raw.time, raw.data, file)

    def decode(self, message: BagMessage) -> Any:
        """The message itself; None, and a sentence, if it can't be decoded. Its arrays are views of the data."""
        try:
            return self._decoder.decode(message.type, plain_data(message.data))
        except ValueError as error:
            seconds = message.time / 1e9
            self.complain(
                f"{message.file}: the message on {message.topic} logged at {seconds:.3f} s is left out: {error}"
            )
            return None
