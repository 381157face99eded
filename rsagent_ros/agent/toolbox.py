"""The tools: what a valid call does to the view and to the masks.

`Toolbox.run` changes nothing that the episode can see; it says what would change, and the episode takes it or leaves
it (it leaves it when the goal was stopped meanwhile). Only the encodings of views are kept inside: the segmenter
encodes each distinct view once, however often the policy comes back to it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.actions import Combine, Find, ResetView, Segment, Zoom
from rsagent_ros.agent.chat import PictureKind
from rsagent_ros.agent.errors import RunFailed, ToolFailed
from rsagent_ros.agent.evidence import MaskEntry, entry_of, pick, stability
from rsagent_ros.agent.geometry import EXTENT, Box, View
from rsagent_ros.agent.mask import area, bounding_box
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.prompt import view_metadata
from rsagent_ros.agent.segmenter import Candidate, Detection, MaskPrompt, PhraseSegmenter, Segmenter

MAX_MARKS = 24
"""Instances of a phrase that become masks, the surest; the others are only counted."""

MASK_INPUT_SIDE = 256
MASK_INPUT_LOGIT = 6.0
"""A combined mask has no logits; as `mask_input` it is +-6, which SAM reads as almost sure."""


@dataclass(frozen=True, eq=False)
class Effect:
    """The effect of one call.

    Attributes:
        view: The view from now on.
        entry: The mask it made, if it made one.
        facts: For the policy, as JSON values.
        picture: The picture that goes with them; None for none.
        found: The masks of a phrase, the surest first.
    """

    view: View
    entry: MaskEntry | None
    facts: dict[str, object]
    picture: PictureKind | None
    found: tuple[MaskEntry, ...] = ()

    @property
    def entries(self) -> tuple[MaskEntry, ...]:
        """All masks that it made."""
        return self.found if self.entry is None else (self.entry,)


class Toolbox:
    """The tools over one frame."""

    def __init__(self, frame: NDArray[np.uint8], segmenter: Segmenter[Any], pictures: PictureFormat) -> None:
        """Prepare; nothing is encoded yet.

        Args:
            frame: (H, W, 3) uint8 RGB.
            segmenter: The segmentation model.
            pictures: Format of the chat, which decides the unit of coordinates.
        """
        self._frame = frame
        self._pictures = pictures
        self._segmenter = segmenter
        self._encodings: dict[tuple[int, int, int, int], object] = {}
        self._found: dict[tuple[tuple[int, int, int, int], str], str] = {}
        """Result of each phrase in each view, in words."""

    def run(
        self,
        action: Find | Segment | Zoom | ResetView | Combine,
        view: View,
        masks: list[MaskEntry],
    ) -> Effect:
        """Carry out one call.

        Args:
            action: The call.
            view: The current view.
            masks: Masks made so far; mask n is `masks[n - 1]`.

        Raises:
            ReplyError: It names a mask that does not exist.
            ToolFailed: It has no usable effect.
            RunFailed: The segmenter can't go on, or broke its contract.
        """
        match action:
            case Find(phrase):
                return self._find(phrase, view, masks)
            case Segment():
                return self._segment(action, view, masks)
            case Zoom(box):
                return self._look(view.zoom(box), view)
            case ResetView():
                return self._look(view.root, view)
            case Combine():
                return self._combine(action, view, masks)

    def _look(self, wanted: View, view: View) -> Effect:
        if wanted.key == view.key:
            raise ToolFailed("same_view", "That is what you are looking at already; nothing changed.")
        facts: dict[str, object] = {
            "view": [wanted.x0, wanted.y0, wanted.x1, wanted.y1],
            "image": [wanted.frame_width, wanted.frame_height],
        }
        return Effect(wanted, None, facts | view_metadata(wanted, self._pictures), "view")

    def _segment(self, action: Segment, view: View, masks: list[MaskEntry]) -> Effect:
        base = None if action.refine is None else pick(masks, action.refine)
        if action.box is not None:
            self._check_size(action.box, view)
        prompt = MaskPrompt.of(
            None if action.box is None else view.box_to_crop(action.box),
            tuple(view.to_crop(point) for point in action.positive),
            tuple(view.to_crop(point) for point in action.negative),
            None if base is None else _mask_input(base, view),
        )
        candidates = self._segmenter.masks(self._encoding(view), prompt)
        best = _choose(candidates, view)
        entry = entry_of(
            len(masks) + 1,
            best.mask,
            view,
            score=min(1.0, max(0.0, float(best.score))),
            stability=stability(best.logits),
            logits=best.logits,
            parents=() if base is None else (base.mask_id,),
        )
        return self._made(entry, view, "Nothing could be segmented there. Try another box or point.")

    def _check_size(self, box: Box, view: View) -> None:
        """Refuse a box of less than a pixel, by which nothing can be meant: its numbers may be of another unit."""
        pixels = view.box_to_crop(box)
        if min(pixels.width, pixels.height) >= 1:
            return
        across, down = self._pictures.extent(view.width, view.height)
        raise ToolFailed(
            "bad_prompt",
            "The box covers less than a pixel of the image. Draw a larger one: numbers run from 0 to "
            f"{across:g} across and to {down:g} down.",
        )

    def _find(self, phrase: str, view: View, masks: list[MaskEntry]) -> Effect:
        if not isinstance(self._segmenter, PhraseSegmenter):
            raise ToolFailed("no_words", "The segmentation model takes no words here; call segment.")
        words = " ".join(phrase.split())
        tried = view.key, words.casefold()
        if tried in self._found:
            raise ToolFailed("tried_before", f"You have looked for that in this view: {self._found[tried]}.")
        entries = self.instances(words, view, len(masks) + 1)
        facts: dict[str, object] = {"found": len(entries)}
        entries = entries[:MAX_MARKS]
        if not entries:
            self._found[tried] = "it found nothing"
            return Effect(view, None, facts, None)
        self._found[tried] = f"it found masks {entries[0].mask_id} to {entries[-1].mask_id}"
        facts["masks"] = [
            {
                "mask": one.mask_id,
                "score": round(one.score, 3),
                "box": self._pictures.box(view.box_to_view(one.box), view, "marks"),
            }
            for one in entries
        ]
        return Effect(view, None, facts | view_metadata(view, self._pictures, "marks"), "marks", tuple(entries))

    def show(self, entries: tuple[MaskEntry, ...], view: View, *, shown: bool) -> Effect | None:
        """The effect of masks that no call asked for: they are there, and in the whole view, where `shown`."""
        if not entries:
            return None
        if not shown:
            return Effect(view, None, {}, None, entries)
        whole = view.root
        facts: dict[str, object] = {
            "view": [whole.x0, whole.y0, whole.x1, whole.y1],
            "image": [whole.frame_width, whole.frame_height],
        }
        return Effect(whole, None, facts | view_metadata(whole, self._pictures, "marks"), "marks", entries)

    def instances(self, phrase: str, view: View, first_id: int) -> list[MaskEntry]:
        """Masks of every instance of what a phrase names in a view, the surest first; none where none is taken.

        Raises:
            ToolFailed, RunFailed: As in `run`.
        """
        if not isinstance(self._segmenter, PhraseSegmenter):
            return []
        detections = _checked(self._segmenter.find(self._encoding(view), phrase), view)
        surest = sorted(detections, key=lambda one: -one.score)
        return [_found(number, one, view, phrase) for number, one in enumerate(surest, first_id)]

    def boxed(self, box: Box, view: View, mask_id: int) -> list[MaskEntry]:
        """The mask of what a box is around, in full-frame pixels; none where there is nothing.

        Raises:
            ToolFailed, RunFailed: As in `run`.
        """
        seen = view.box_to_crop(view.box_to_view(box))
        best = _choose(self._segmenter.masks(self._encoding(view), MaskPrompt.of(seen)), view)
        score, firm = min(1.0, max(0.0, float(best.score))), stability(best.logits)
        entry = entry_of(mask_id, best.mask, view, score=score, stability=firm, logits=best.logits)
        return [] if entry is None else [entry]

    def _encoding(self, view: View) -> object:
        """The view as the segmenter keeps it, made at its first use."""
        if view.key not in self._encodings:
            self._encodings[view.key] = self._segmenter.encode(np.ascontiguousarray(view.crop(self._frame)))
        return self._encodings[view.key]

    def _combine(self, action: Combine, view: View, masks: list[MaskEntry]) -> Effect:
        added = [pick(masks, number) for number in action.add]
        cut = [pick(masks, number) for number in action.subtract]
        mask = np.logical_or.reduce([entry.mask for entry in added])
        for part in cut:
            mask &= ~part.mask
        entry = entry_of(
            len(masks) + 1,
            mask,
            view.root,
            score=min(part.score for part in added),
            stability=min(part.stability for part in added),
            parents=action.add + action.subtract,
        )
        return self._made(entry, view, "Nothing is left of these masks.")

    def _made(self, entry: MaskEntry | None, view: View, nothing: str) -> Effect:
        """The effect of a call that should make a mask."""
        if entry is None:
            raise ToolFailed("empty_mask", nothing)
        shown = view.crop(entry.mask)
        seen = view.box_to_view(entry.box).intersection(Box(0, 0, EXTENT, EXTENT))
        facts: dict[str, object] = {
            "mask": entry.mask_id,
            "score": round(entry.score, 3),
            "area_percent": round(100 * area(shown) / shown.size, 2),
            "box": self._pictures.box(seen, view, "overlay") if seen.area > 0 else None,
        }
        return Effect(view, entry, facts | view_metadata(view, self._pictures, "overlay"), "overlay")


def _choose(candidates: list[Candidate], view: View) -> Candidate:
    """The candidate of the best score that has any pixels.

    Raises:
        ToolFailed: None has.
        RunFailed: A candidate is not what the Segmenter protocol promises.
    """
    usable = []
    for candidate in candidates:
        if candidate.mask.shape != (view.height, view.width) or candidate.mask.dtype != np.bool_:
            raise RunFailed(
                ErrorCode.SEGMENTER_FAILED,
                f"the segmenter returned a mask of {candidate.mask.shape} {candidate.mask.dtype} "
                f"for a view of {(view.height, view.width)} (height, width); bool is expected",
            )
        if math.isfinite(candidate.score) and candidate.mask.any():
            usable.append(candidate)
    if not usable:
        raise ToolFailed("empty_mask", "Nothing could be segmented there. Try another box or point.")
    return max(usable, key=lambda candidate: candidate.score)


def _checked(detections: list[Detection], view: View) -> list[Detection]:
    """The detections that have any pixels.

    Raises:
        RunFailed: One is not what the PhraseSegmenter protocol promises.
    """
    for one in detections:
        box = one.box
        fits = 0 <= box.x0 < box.x1 <= view.width and 0 <= box.y0 < box.y1 <= view.height
        if not fits or one.part.shape != (box.height, box.width) or one.part.dtype != np.bool_:
            raise RunFailed(
                ErrorCode.SEGMENTER_FAILED,
                f"the segmenter found a mask of {one.part.shape} {one.part.dtype} in {box} of a view of "
                f"{(view.height, view.width)} (height, width); bool of the box's size is expected",
            )
    return [one for one in detections if math.isfinite(one.score) and one.part.any()]


def _found(mask_id: int, one: Detection, view: View, phrase: str) -> MaskEntry:
    """A detection, whose part has pixels, as a mask of the frame."""
    tight = bounding_box(one.part) or Box(0, 0, one.part.shape[1], one.part.shape[0])
    x, y = one.box.x0 + view.x0, one.box.y0 + view.y0
    return MaskEntry(
        mask_id,
        one.part[int(tight.y0) : int(tight.y1), int(tight.x0) : int(tight.x1)],
        Box(x + tight.x0, y + tight.y0, x + tight.x1, y + tight.y1),
        (view.frame_height, view.frame_width),
        min(1.0, max(0.0, float(one.score))),
        min(1.0, max(0.0, float(one.stability))),
        view.key,
        None,
        (),
        phrase=phrase,
    )


def _mask_input(base: MaskEntry, view: View) -> NDArray[np.float32]:
    """An earlier mask as logits of the current view."""
    if base.logits is not None and base.view_key == view.key:
        return base.logits
    seen = view.crop(base.mask)
    if not seen.any():
        raise ToolFailed("mask_out_of_view", f"Mask {base.mask_id} has no pixel in the current view.")
    cover = cv2.resize(
        np.ascontiguousarray(seen).view(np.uint8) * np.float32(1.0),
        (min(view.width, MASK_INPUT_SIDE), min(view.height, MASK_INPUT_SIDE)),
        interpolation=cv2.INTER_AREA,
    )
    return np.asarray((cover * 2 - 1) * MASK_INPUT_LOGIT, dtype=np.float32)
