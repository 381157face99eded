"""Taking people out of a record before it is written, where they are not what the record is about.

`faces` finds upright faces with OpenCV's cascades (Viola and Jones, 2001) and misses some: small ones, covered ones,
those that look away. `surroundings` finds nothing and so misses nothing: nothing outside of a mask's box can be
recognised any more, in the depth image too. Neither touches the words of the trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask, bounding_box
from rsagent_ros.agent.turn import Trace
from rsagent_ros.records.record import REDACTIONS, Record, Redaction

CASCADES = ("haarcascade_frontalface_alt2.xml", "haarcascade_profileface.xml")
FOLDERS = (Path("/usr/share/opencv4/haarcascades"), Path("/usr/share/opencv/haarcascades"))
"""Folders of Linux distributions' packages; the wheels of OpenCV bring their own."""

LEAST_FACE = 24
"""Pixels; the cascades were trained on faces of 20."""

MARGIN = 0.25
"""Around a face or a mask, of its box's sides."""

BLOCKS = 24
"""Along the longer side of a picture whose surroundings are redacted: what is left is where light and dark was."""

FACE_BLOCKS = 4
"""Along the longer side of a face."""

Redact = Callable[[Record], Record]
Region = tuple[slice, slice]


def redactor(kind: Redaction) -> Redact:
    """The function that redacts records so.

    Raises:
        ValueError: There is no such redaction.
        FileNotFoundError: This OpenCV can't find faces; the message says what to do.
    """
    match kind:
        case "none":
            return lambda record: record
        case "faces":
            classifiers = _classifiers()
            return lambda record: replace(record, image=_without_faces(record.image, classifiers), redaction=kind)
        case "surroundings":
            return _without_surroundings
    raise ValueError(f"there is no redaction {kind!r}; choose one of {', '.join(REDACTIONS)}")


def _classifiers() -> list[cv2.CascadeClassifier]:
    data = getattr(cv2, "data", None)
    folders = [*([Path(data.haarcascades)] if data is not None else []), *FOLDERS]
    for folder in folders:
        files = [folder / name for name in CASCADES]
        if all(file.is_file() for file in files) and hasattr(cv2, "CascadeClassifier"):
            return [cv2.CascadeClassifier(str(file)) for file in files]
    raise FileNotFoundError(
        f"OpenCV's cascades that find faces are in none of {', '.join(map(str, folders))}; "
        "apt install opencv-data, or choose the redaction surroundings"
    )


def _without_faces(image: NDArray[np.uint8], classifiers: list[cv2.CascadeClassifier]) -> NDArray[np.uint8]:
    redacted = image.copy()
    for box in _faces(image, classifiers):
        redacted[box] = _pixelated(redacted[box], FACE_BLOCKS)
    return redacted


def _faces(image: NDArray[np.uint8], classifiers: list[cv2.CascadeClassifier]) -> Iterator[Region]:
    """Faces with a margin. The profile cascade knows one side of a face, so the mirrored picture is searched, too."""
    width = image.shape[1]
    grey = cv2.equalizeHist(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY))
    for classifier in classifiers:
        for mirrored in (False, True):
            # Two neighbours are enough: a face that is missed is worse than a thing that is taken for one.
            found = classifier.detectMultiScale(
                grey[:, ::-1].copy() if mirrored else grey, 1.1, 2, minSize=(LEAST_FACE, LEAST_FACE)
            )
            for x, y, w, h in found:
                yield _region(width - x - w if mirrored else x, y, w, h)


def _without_surroundings(record: Record) -> Record:
    height, width = record.image.shape[:2]
    kept = np.zeros((height, width), dtype=np.bool_)
    for mask in _masks(record.trace):
        box = bounding_box(mask)
        if box is not None:
            kept[_region(box.x0, box.y0, box.width, box.height)] = True
    image = np.where(kept[..., None], record.image, _pixelated(record.image, BLOCKS))
    depth = None if record.depth is None else np.where(kept, record.depth, np.float32(np.nan)).astype(np.float32)
    return replace(record, image=image, depth=depth, redaction="surroundings")


def _masks(trace: Trace) -> Iterator[Mask]:
    """The masks of the answer. Others were only tried on the way, on people too: the record is not about them."""
    masks = (trace.mask(number) for number in {*trace.instance_ids, *trace.candidate_ids})
    yield from (mask for mask in masks if mask is not None)


def _region(x: float, y: float, width: float, height: float) -> Region:
    """Rows and columns of a box in pixels and its margin; numpy cuts off what is beyond the picture."""
    dx, dy = MARGIN * width, MARGIN * height
    return (
        slice(max(0, round(y - dy)), max(0, round(y + height + dy))),
        slice(max(0, round(x - dx)), max(0, round(x + width + dx))),
    )


def _pixelated(image: NDArray[np.uint8], blocks: int) -> NDArray[np.uint8]:
    """The mean colour of each block: what was in it is not in the picture any more, as it would be in a blurred one."""
    height, width = image.shape[:2]
    scale = blocks / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
