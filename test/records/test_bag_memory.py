"""Bags of any size are read in the memory of a few messages: what is held does not grow with what is read."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bags import START, header
from mcap.writer import CompressionType, IndexType, Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as BagWriter

from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.bag import Bag
from rsagent_ros.records.bag_index import index_bag
from rsagent_ros.records.interfaces import blank, definition, serialize, typestore

IMAGE_BYTES = 1_000_000
CHUNK_BYTES = 4_000_000
MOST_BYTES = 40_000_000
"""Some chunks: one as it is stored, one that is taken apart, and the next one."""


def image(number: int) -> Any:
    data = np.full(IMAGE_BYTES, number % 251, np.uint8)
    stamp = START + number * 10**7
    return blank(ros.IMAGE, header=header(stamp), height=1000, width=1000, encoding="mono8", step=1000, data=data)


def write_mcap(path: Path, count: int, indexed: bool) -> Path:
    with path.open("wb") as out:
        index = IndexType.ALL if indexed else IndexType.NONE
        writer = Writer(out, chunk_size=CHUNK_BYTES, compression=CompressionType.NONE, index_types=index)
        writer.start("ros2")
        schema = writer.register_schema(ros.IMAGE, "ros2msg", definition(ros.IMAGE).encode())
        channel = writer.register_channel("/camera/image", "cdr", schema)
        for number in range(count):
            time = START + number * 10**7
            writer.add_message(channel, time, serialize(image(number)), time)
        writer.finish()
    return path


def write_database(folder: Path, count: int) -> Path:
    with BagWriter(folder, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        connection = writer.add_connection("/camera/image", ros.IMAGE, typestore=typestore())
        for number in range(count):
            writer.write(connection, START + number * 10**7, serialize(image(number)))
    return folder


def peak_of_reading(path: Path, count: int) -> int:
    """Most bytes that Python holds while the bag is indexed and every message of it is looked at."""
    tracemalloc.start()
    try:
        with Bag(path) as bag:
            assert len(index_bag(bag).refs["/camera/image"]) == count
            assert sum(bag.decode(message).data[0] == n % 251 for n, message in enumerate(bag.messages())) == count
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["indexed", "front to back", "sqlite"])
def test_memory_does_not_grow_with_the_bag(tmp_path: Path, kind: str) -> None:
    peaks = []
    for count in (20, 120):
        if kind == "sqlite":
            bag = write_database(tmp_path / f"bag-{count}", count)
        else:
            bag = write_mcap(tmp_path / f"{count}.mcap", count, kind == "indexed")
        peaks.append(peak_of_reading(bag, count))
    small, large = peaks
    assert large < MOST_BYTES
    assert large < 1.2 * small
