"""Pictures for people: each mask with a fill, an outline and a label, as detection tools draw them.

Models are shown spotlights and sets of marks instead (`mask.draw_overlay`, `marks.draw_marks`): a fill would change the
very colours that they have to check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.marks import colour_of, ink_on
from rsagent_ros.agent.mask import Mask, bounding_box, resize
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace

FILL = 0.4
"""Share of its colour on what a mask covers."""

MOST_LABEL = 40
"""Characters of a label."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, eq=False)
class Annotation:
    """One thing to show.

    Attributes:
        mask: (H, W) bool, of the image that is drawn on.
        label: Beside it; empty for none. OpenCV draws ASCII only, the rest becomes `?`.
    """

    mask: Mask
    label: str = ""


def annotate(image: NDArray[np.uint8], annotations: Sequence[Annotation], width: int, height: int) -> NDArray[np.uint8]:
    """Draw annotations on an image, each in a colour of its own.

    Args:
        image: (h, w, 3) uint8 RGB.
        annotations: The things to show; where they overlap, later ones are on top.
        width: Of the picture, pixels.
        height: Of the picture, pixels.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    drawn = resize(image, width, height)
    line = max(1, round(min(width, height) / 240))
    boxes: list[tuple[Box, int, str]] = []
    for number, one in enumerate(annotations, 1):
        inside = _shrunk(one.mask, width, height)
        box = bounding_box(inside)
        if box is None:
            continue
        part = drawn[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
        covered = inside[int(box.y0) : int(box.y1), int(box.x0) : int(box.x1)]
        part[covered] = np.round((1 - FILL) * part[covered] + FILL * np.array(colour_of(number))).astype(np.uint8)
        contours, _ = cv2.findContours(inside.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, contours, -1, colour_of(number), line, cv2.LINE_AA)
        boxes.append((box, number, one.label))
    taken: list[Box] = []
    for box, number, label in boxes:
        if label:
            taken.append(_write(drawn, box, label, colour_of(number), taken))
    return drawn


def answer_annotations(trace: Trace) -> list[Annotation]:
    """The answer of an episode with its confidences; several things are numbered in the order of the question."""
    ids = trace.candidate_ids or trace.instance_ids
    confident = trace.candidate_ids if trace.outcome is Outcome.AMBIGUOUS else trace.instance_ids
    confidences = dict(zip(confident, trace.confidences, strict=False))
    annotations = []
    for number, mask_id in enumerate(ids, 1):
        mask = trace.mask(mask_id)
        words = [str(number)] if len(ids) > 1 else []
        words += [f"{confidences[mask_id]:.2f}"] if mask_id in confidences else []
        if mask is not None:
            annotations.append(Annotation(mask, "  ".join(words)))
    return annotations


def _shrunk(mask: Mask, width: int, height: int) -> Mask:
    """A mask in the size of the picture; a thing of a pixel or two does not vanish."""
    cover = cv2.resize(
        np.ascontiguousarray(mask).view(np.uint8) * np.uint8(255), (width, height), interpolation=cv2.INTER_AREA
    )
    inside = np.asarray(cover >= 128)
    if not inside.any() and mask.any():
        rows, columns = np.nonzero(mask)
        inside[rows * height // mask.shape[0], columns * width // mask.shape[1]] = True
    return inside


def _write(drawn: NDArray[np.uint8], box: Box, label: str, colour: tuple[int, int, int], taken: Sequence[Box]) -> Box:
    """Write a label at a box's top left corner, or where it hides no other; returns its place."""
    height, width = drawn.shape[:2]
    words = label[:MOST_LABEL].encode("ascii", "replace").decode()
    scale, thick = max(0.4, min(width, height) / 1000), 1 if min(width, height) < 720 else 2
    (across, up), below = cv2.getTextSize(words, _FONT, scale, thick)
    pad = max(3, round(6 * scale))
    columns, rows = across + 2 * pad, up + below + 2 * pad
    x = min(max(0, int(box.x0)), max(0, width - columns))
    places = [int(box.y0) - rows, int(box.y0), int(box.y1), int(box.y1) - rows]
    inside = [y for y in places if 0 <= y <= height - rows] or [0]
    spots = [Box(x, y, x + columns, y + rows) for y in inside]
    spot = next((one for one in spots if not any(_meet(one, other) for other in taken)), spots[0])
    y = int(spot.y0)
    cv2.rectangle(drawn, (x, y), (x + columns - 1, y + rows - 1), colour, -1)
    cv2.putText(drawn, words, (x + pad, y + pad + up), _FONT, scale, ink_on(colour), thick, cv2.LINE_AA)
    return spot


def _meet(one: Box, other: Box) -> bool:
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1
