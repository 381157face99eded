"""Reading 1080p images from MCAP, one core: rosbags alone as the floor, then as `rsagent replay` does; and records.

CPU time, not wall time: the target is per core, and the disk is not what is measured.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from entry import Entry, reported
from numpy.typing import NDArray
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.images import compressed_to_rgb, raw_to_rgb
from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.bag import Bag
from rsagent_ros.records.interfaces import blank, serialize, typestore
from rsagent_ros.records.limits import Limits
from rsagent_ros.records.reader import read_record
from rsagent_ros.records.record import Record
from rsagent_ros.records.salvage import whole_messages
from rsagent_ros.records.writer import RecordWriter

WIDTH, HEIGHT, FRAMES = 1920, 1080, 90
LIMIT_FPS = 100.0
TIMES = 3


def run() -> list[Entry]:
    """Measure; the best of three, as the machine may be busy with others."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        raw, bgr, jpeg = (_bag(Path(folder) / kind, kind) for kind in ("rgb8", "bgr8", "jpeg"))
        (file,) = raw.glob("*.mcap")
        speeds = {
            "rosbags alone, messages as bytes": _speed(lambda: _rosbags(raw)),
            "rosbags alone, decoded": _speed(lambda: _rosbags(raw, decode=True)),
            "rgb8 to RGB": _speed(lambda: _ours(raw)),
            "bgr8 to RGB": _speed(lambda: _ours(bgr)),
            "JPEG to RGB": _speed(lambda: _ours(jpeg)),
            "salvage, front to back, as bytes": _speed(lambda: sum(1 for _ in whole_messages(file, print))),
        }
        entries = [_entry(name, speed) for name, speed in speeds.items()]
        return entries + _records(Path(folder) / "records")


def _entry(name: str, speed: float) -> Entry:
    title = f"read 1080p from MCAP: {name}"
    if not name.endswith("8 to RGB"):
        return reported(title, speed, "1/s")
    return Entry(title, round(speed, 1), "1/s", f">= {LIMIT_FPS:g}", speed >= LIMIT_FPS)


def _picture(number: int) -> NDArray[np.uint8]:
    """Smooth with some noise, as a camera's are: (H, W, 3)."""
    small = np.random.default_rng(number).integers(0, 256, (HEIGHT // 20, WIDTH // 20, 3), dtype=np.uint8)
    smooth = cv2.resize(small, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    noise: NDArray[np.uint8] = np.random.default_rng(0).integers(0, 4, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return np.asarray(cv2.add(smooth, noise), dtype=np.uint8)


def _bag(folder: Path, kind: str) -> Path:
    compressed = kind == "jpeg"
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        msgtype = ros.COMPRESSED_IMAGE if compressed else ros.IMAGE
        connection = writer.add_connection("/camera/image", msgtype, typestore=typestore())
        for number in range(FRAMES):
            pixels = _picture(number % 10)
            message = blank(msgtype, format="jpeg", data=_jpeg(pixels)) if compressed else _raw(pixels, kind)
            writer.write(connection, number * 33_000_000, serialize(message))
    return folder


def _raw(pixels: NDArray[np.uint8], encoding: str) -> Any:
    return blank(ros.IMAGE, height=HEIGHT, width=WIDTH, encoding=encoding, step=WIDTH * 3, data=np.ravel(pixels))


def _jpeg(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ravel(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def _rosbags(folder: Path, decode: bool = False) -> int:
    count = 0
    with Reader(folder) as reader:
        for connection, _, data in reader.messages():
            if decode:
                typestore().deserialize_cdr(data, connection.msgtype)
            count += 1
    return count


def _ours(folder: Path) -> int:
    count = 0
    with Bag(folder) as bag:
        for message in bag.messages():
            content = bag.decode(message)
            rgb = compressed_to_rgb(content) if message.type == ros.COMPRESSED_IMAGE else raw_to_rgb(content)
            count += rgb.shape == (HEIGHT, WIDTH, 3)
    return count


def _speed(job: Callable[[], int]) -> float:
    """Images a second of CPU time.

    Raises:
        RuntimeError: The job did not read all of them.
    """
    best = 0.0
    for _ in range(TIMES):
        started = time.process_time()
        if job() != FRAMES:
            raise RuntimeError("not all images were read")
        best = max(best, FRAMES / (time.process_time() - started))
    return best


def _records(folder: Path) -> list[Entry]:
    trace = Trace("g", "the red mug", WIDTH, HEIGHT, 8, outcome=Outcome.NOT_IN_VIEW)
    writer = RecordWriter(folder, Limits(free_megabytes=0))
    write, read = [], []
    for number in range(10):
        record = Record("g", number, "", _picture(number), trace, np.full((HEIGHT, WIDTH), 1.5, np.float32))
        started = time.process_time()
        path = writer.write(record)
        write.append(time.process_time() - started)
        started = time.process_time()
        read_record(path)
        read.append(time.process_time() - started)
    megabytes = f"{writer.megabytes / writer.count:.1f} MB each: PNG and depth, lossless"
    return [
        reported("write a 1080p record: CPU", min(write) * 1000, "ms", megabytes),
        reported("read a 1080p record: CPU", min(read) * 1000, "ms"),
    ]
