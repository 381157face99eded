"""Memory while a bag of 20 GB is read: MCAP with an index, MCAP without one, and SQLite. Run by name; minutes.

The folder for temporary files (TMPDIR) needs 20 GB; one bag is written, read and removed after the other. Each is read
in a process of its own, first for its index, then every message, whose pixels become RGB. What counts is the resident
memory that is the process's own: pages of the mapped file, which the system takes back when it likes, are left out.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from entry import Entry, at_most, reported
from mcap.writer import CompressionType, IndexType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import StoragePlugin, Writer

from rsagent_ros.images import raw_to_rgb
from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.bag import Bag
from rsagent_ros.records.bag_index import index_bag
from rsagent_ros.records.interfaces import blank, definition, serialize, typestore

WIDTH, HEIGHT = 1920, 1080
COUNT = 20 * 10**9 // (WIDTH * HEIGHT * 3)
STEP_NS = 33_000_000
LIMIT_MB = 100.0
INTERVAL = 0.02


def run() -> list[Entry]:
    """Measure; minutes."""
    entries = []
    for kind in ("MCAP with an index", "MCAP without an index", "SQLite"):
        with tempfile.TemporaryDirectory() as folder:
            path = _written(Path(folder), kind)
            done = subprocess.run([sys.executable, __file__, str(path)], stdout=subprocess.PIPE, text=True, check=True)
        count, megabytes, seconds = done.stdout.split()
        if int(count) != COUNT:
            raise RuntimeError(f"{kind}: {count} of {COUNT} messages were read")
        name = f"20 GB bag, {kind}"
        entries.append(at_most(f"{name}: memory", float(megabytes), "MB", LIMIT_MB, f"{count} images of 1080p"))
        entries.append(reported(f"{name}: index and all images to RGB", float(seconds), "s"))
    return entries


def _written(folder: Path, kind: str) -> Path:
    """A bag of one topic."""
    data = np.random.default_rng(0).integers(0, 256, WIDTH * HEIGHT * 3, dtype=np.uint8)
    message = blank(ros.IMAGE, height=HEIGHT, width=WIDTH, encoding="rgb8", step=WIDTH * 3, data=data)
    serialized = bytes(serialize(message))
    if kind == "SQLite":
        with Writer(folder / "bag", version=9, storage_plugin=StoragePlugin.SQLITE3) as database:
            connection = database.add_connection("/camera/image", ros.IMAGE, typestore=typestore())
            for number in range(COUNT):
                database.write(connection, number * STEP_NS, serialized)
        return folder / "bag"
    path = folder / "bag.mcap"
    index = IndexType.ALL if kind == "MCAP with an index" else IndexType.NONE
    with path.open("wb") as file:
        writer = McapWriter(file, compression=CompressionType.NONE, index_types=index)
        writer.start("ros2")
        schema = writer.register_schema(ros.IMAGE, "ros2msg", definition(ros.IMAGE).encode())
        channel = writer.register_channel("/camera/image", "cdr", schema)
        for number in range(COUNT):
            writer.add_message(channel, number * STEP_NS, serialized, number * STEP_NS)
        writer.finish()
    return path


def _read(path: Path) -> None:
    """Read it all, and print the number of images, the most memory in MB, and seconds."""
    ended = threading.Event()
    peak = [0.0]

    def watch() -> None:
        while not ended.wait(INTERVAL):
            peak[0] = max(peak[0], _own_megabytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    started, count = time.monotonic(), 0
    with Bag(path) as bag:
        indexed = len(index_bag(bag).refs["/camera/image"])
        for message in bag.messages():
            count += raw_to_rgb(bag.decode(message)).shape == (HEIGHT, WIDTH, 3)
    ended.set()
    watcher.join()
    if indexed != count:
        raise RuntimeError(f"{indexed} messages in the index, {count} were read")
    print(count, peak[0], time.monotonic() - started)


def _own_megabytes() -> float:
    """Resident memory of this process that is no file's, in MB (proc(5), RssAnon)."""
    found = re.search(r"^RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"), re.MULTILINE)
    return float(found[1]) / 1000 if found else 0.0


if __name__ == "__main__":
    _read(Path(sys.argv[1]))
