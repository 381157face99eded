"""Bags for tests, made with rosbags: a camera that shows discs, goals, and whatever a test wants to go wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.interfaces import blank, typestore

SECOND = 1_000_000_000
START = 1_763_735_700 * SECOND
WIDTH, HEIGHT = 160, 120


def discs(shift: int = 0) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: a red and a blue disc on grey."""
    pixels = np.full((HEIGHT, WIDTH, 3), 190, np.uint8)
    cv2.circle(pixels, (45 + shift, 60), 20, (210, 40, 40), -1)
    cv2.circle(pixels, (115, 60), 20, (30, 80, 200), -1)
    return pixels


def truth(shift: int = 0) -> NDArray[np.bool_]:
    """Where the red disc is."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, (45 + shift, 60), 20, 1, -1)
    return mask.astype(np.bool_)


def header(time: int) -> Any:
    stamp = blank("builtin_interfaces/msg/Time", sec=time // SECOND, nanosec=time % SECOND)
    return blank("std_msgs/msg/Header", stamp=stamp, frame_id="camera")


def image(pixels: NDArray[Any], time: int, encoding: str = "rgb8") -> Any:
    height, width = pixels.shape[:2]
    data = np.frombuffer(pixels.tobytes(), np.uint8)
    step = data.size // height
    return blank(ros.IMAGE, header=header(time), height=height, width=width, encoding=encoding, step=step, data=data)


def compressed(pixels: NDArray[np.uint8], time: int, suffix: str = ".png") -> Any:
    data = cv2.imencode(suffix, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))[1].reshape(-1)
    return blank(ros.COMPRESSED_IMAGE, header=header(time), format=suffix[1:], data=data)


def camera_info(time: int) -> Any:
    k = np.array([100.0, 0, 80, 0, 100, 60, 0, 0, 1])
    return blank(ros.CAMERA_INFO, header=header(time), width=WIDTH, height=HEIGHT, k=k)


def goal(words: str = "the red circle", **fields: Any) -> Any:
    return blank(ros.GOAL, instruction=words, **fields)


def text(words: str) -> Any:
    return blank(ros.STRING, data=words)


@dataclass
class Tape:
    """The messages of a bag: (time in nanoseconds, topic, message)."""

    rows: list[tuple[int, str, Any]] = field(default_factory=list)

    def put(self, seconds: float, topic: str, message: Any) -> Tape:
        self.rows.append((START + round(seconds * SECOND), topic, message))
        return self

    def write(
        self,
        folder: Path,
        storage: StoragePlugin = StoragePlugin.MCAP,
        version: Any = 9,
        compress: Any = None,
        definitions: Typestore | None = None,
    ) -> Path:
        """Write the bag; its one storage file is in `folder`."""
        store = definitions or typestore()
        writer = Writer(folder, version=version, storage_plugin=storage)
        if compress is not None:
            writer.set_compression(*compress)
        with writer:
            known: dict[str, Any] = {}
            for time, topic, message in sorted(self.rows, key=lambda row: row[0]):
                kind = message.__msgtype__
                if topic not in known:
                    known[topic] = writer.add_connection(topic, kind, typestore=store)
                writer.write(known[topic], time, store.serialize_cdr(message, kind))
        return folder


def camera_tape(seconds: Iterable[float] = (0.0, 0.1, 0.2, 0.3, 0.4), topic: str = "/camera/image") -> Tape:
    """A camera in which the red disc moves by two pixels a frame, with depth and calibration; nothing is asked."""
    tape = Tape()
    depth = np.linspace(0.5, 2.0, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)
    for number, moment in enumerate(seconds):
        time = START + round(moment * SECOND)
        tape.put(moment, topic, image(discs(2 * number), time))
        tape.put(moment + 0.001, "/camera/depth", image(depth, time, "32FC1"))
        tape.put(moment + 0.001, "/camera/camera_info", camera_info(time))
    return tape


def humble() -> Typestore:
    """The types of Humble."""
    return get_typestore(Stores.ROS2_HUMBLE)
