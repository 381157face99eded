"""A record: one goal that looked at an image, with all it takes to run it again, and the verdicts about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.data.example import Example, as_id
from rsagent_ros.data.files import depth_remarks

VerdictSource: TypeAlias = Literal["operator", "grasp", "planner"]
VERDICT_SOURCES: tuple[VerdictSource, ...] = get_args(VerdictSource)
"""Sources of verdicts, in the order of their numbers in `msg/Verdict.msg`, which begin at 1."""


WALL_CLOCK = 946_684_800_000_000_000
"""Begin of the year 2000 in nanoseconds: an earlier stamp is of a clock that a simulator began at 0."""

Redaction: TypeAlias = Literal["none", "faces", "surroundings"]
REDACTIONS: tuple[Redaction, ...] = get_args(Redaction)


@dataclass(frozen=True, eq=False)
class Verdict:
    """Truth about a goal, as somebody found it out.

    Attributes:
        goal_id: The goal it is about.
        source: Operator, grasp or planner.
        accepted: The result was right.
        absent: Nothing that fits the instruction was in view.
        mask: (H, W) bool, what would have been right, of the goal's image; None where not given.
        note: Free text, such as what was meant.
        stamp_ns: Time of the verdict, nanoseconds.
        instances: (H, W) bool each: the things that `mask` is of, where they were given one by one.
        annotator: Name of the person; empty where nobody gave one.
    """

    goal_id: str
    source: VerdictSource
    accepted: bool
    absent: bool = False
    mask: Mask | None = None
    note: str = ""
    stamp_ns: int = 0
    instances: tuple[Mask, ...] = ()
    annotator: str = ""


def newest(verdicts: Iterable[Verdict]) -> Verdict | None:
    """The verdict that counts, of those in the order they came: of equal stamps the last one."""
    return max(reversed(list(verdicts)), key=lambda verdict: verdict.stamp_ns, default=None)


@dataclass(frozen=True, eq=False)
class Record:
    """One goal, its image, its trace, and the verdicts about it.

    Attributes:
        goal_id: As in the trace.
        stamp_ns: Of the image, nanoseconds.
        camera: Name of the camera as the goal gave it; empty for the default one.
        image: (H, W, 3) uint8 RGB, as the agent saw it.
        trace: The whole episode.
        depth: (H, W) float32 metres; None where there was none.
        camera_info: Of the image; None where unknown.
        verdicts: In the order they came.
        frame_id: Of the image's header.
        redaction: What was taken out of image and depth before they were written; `none`: they are as the agent saw
            them, and the episode can be repeated.

    Raises:
        ValueError: The parts are not of one image.
    """

    goal_id: str
    stamp_ns: int
    camera: str
    image: NDArray[np.uint8]
    trace: Trace
    depth: NDArray[np.float32] | None = None
    camera_info: PinholeCamera | None = None
    verdicts: tuple[Verdict, ...] = ()
    frame_id: str = ""
    redaction: Redaction = "none"

    def __post_init__(self) -> None:
        size = (self.trace.height, self.trace.width)
        if self.image.shape != (*size, 3) or self.image.dtype != np.uint8:
            raise ValueError(f"the image is {self.image.shape} {self.image.dtype}; the trace is of {(*size, 3)} uint8")
        if self.depth is not None and (self.depth.shape != size or self.depth.dtype != np.float32):
            raise ValueError(f"depth is {self.depth.shape} {self.depth.dtype}; the trace is of {size} float32")
        for verdict in self.verdicts:
            for mask in (verdict.mask, *verdict.instances):
                if mask is not None and mask.shape != size:
                    raise ValueError(f"a verdict's mask is {mask.shape} (height, width), the image {size}")

    def to_example(self, name: str = "") -> Example:
        """The goal as an example, with what its newest verdict makes of it.

        A corrected mask is the truth itself, "absent" means that there was nothing to find, and "accepted" makes the
        answer the truth: its masks are then the agent's own, and the example is marked as self-judged. Where no verdict
        says what is right, `expected` is None; a rejection alone says only what is wrong.

        Args:
            name: Id of the example; without, the goal's own.

        Raises:
            ValueError: No id can be made of the goal's, the verdict accepts an answer that has no mask, or its own mask
                is empty.
        """
        expected, masks, self_judged = self._truth()
        camera, remarks = self.camera_info, depth_remarks(self.depth)
        if camera is not None and (camera.height, camera.width) != self.image.shape[:2]:
            remarks += (f"its camera_info is of {camera.width} x {camera.height} pixels, and so is left out",)
            camera = None
        return Example(
            name or as_id(self.goal_id),
            self.image,
            self.trace.instruction,
            expected,
            masks,
            previous=self.trace.previous,
            depth=self.depth,
            camera=camera,
            source="record",
            tags=(self.camera,) if self.camera else (),
            remarks=remarks,
            self_judged=self_judged,
            stamp_ns=self.stamp_ns if self.stamp_ns >= WALL_CLOCK else 0,
        )

    def _truth(self) -> tuple[Outcome | None, tuple[Mask, ...], bool]:
        """The right outcome and its masks by the newest verdict, and whether the masks are the agent's own."""
        verdict = newest(self.verdicts)
        if verdict is None:
            return None, (), False
        if verdict.absent:
            return Outcome.NOT_IN_VIEW, (), False
        if verdict.mask is not None:
            masks = verdict.instances or (verdict.mask,)
            return Outcome.FOUND, tuple(np.asarray(mask, dtype=np.bool_) for mask in masks), False
        if not verdict.accepted:
            return None, (), False
        if self.trace.outcome is Outcome.NOT_IN_VIEW:
            return Outcome.NOT_IN_VIEW, (), False
        answers = tuple(answer_masks(self.trace))
        if not answers:
            raise ValueError(f"its verdict accepts an answer that has no mask (outcome {self.trace.outcome})")
        return (Outcome.AMBIGUOUS if self.trace.outcome is Outcome.AMBIGUOUS else Outcome.FOUND), answers, True


def answer_mask(trace: Trace) -> Mask | None:
    """All that a trace ended with, together, as one (H, W) mask: instances, or the candidates; None for nothing."""
    masks = answer_masks(trace)
    return np.asarray(np.logical_or.reduce(masks), dtype=np.bool_) if masks else None


def answer_masks(trace: Trace) -> list[Mask]:
    """The masks that a trace ended with: its instances, or the candidates of an ambiguous goal."""
    ids = trace.candidate_ids if trace.outcome is Outcome.AMBIGUOUS else trace.instance_ids
    return [mask for mask in map(trace.mask, ids) if mask is not None]
