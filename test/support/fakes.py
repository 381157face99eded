"""A fake Policy and a fake Segmenter with faults to inject. Deterministic, instant, no weights.

`from fakes import FakePolicy, FakeSegmenter`: `test/support` is on pytest's path (pyproject.toml).

    FakePolicy()                             # segments the middle of the view, then finishes with that mask
    FakePolicy([ABSENT])                     # any script: texts, Replies, exceptions, callables
    FakePolicy([SEGMENT, Hang()])            # hangs in turn 2, deaf to cancel, until `policy.release.set()`
    FakePolicy(looks=[NO, YES])              # what it says to second looks; without, nothing that can be read
    FakePolicy(POLICY_SCRIPTS["malformed"])  # by name, as the fake node of test/ros chooses them
    FakeSegmenter("nan_score")               # one of SEGMENTER_FAULTS
    FakeFinder({"mug": [Box(0, 0, 0.5, 1)]}) # one that takes words
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.actions import Finish, GiveUp, ReportAbsent, ReportAmbiguous, Segment, Zoom, render
from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message, Text
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.pictures import DEFAULT_PICTURES
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.agent.segmenter import FOREGROUND, Candidate, Detection, MaskPrompt

MIDDLE = Box(250, 250, 750, 750)
SEGMENT = "<think>The middle.</think>" + render(Segment(box=MIDDLE))
SEGMENT_LEFT = "<think>The left half.</think>" + render(Segment(box=Box(0, 0, 500, 1000)))
ZOOM = "<think>Closer.</think>" + render(Zoom(MIDDLE))
FINISH = "<think>That is it.</think>" + render(Finish((1,)))
FINISH_SECOND = "<think>Rather that.</think>" + render(Finish((2,)))
CAN_NOT_TELL = "<think>It may be that.</think>" + render(GiveUp("I can't tell whether it is", masks=(1,)))
ABSENT = "<think>Nothing.</think>" + render(ReportAbsent("there is nothing like it"))
AMBIGUOUS = "<think>Two fit.</think>" + render(ReportAmbiguous((1, 2), "the left one or the one in the middle?"))
MALFORMED = "<think>I am lost.</think>"
YES = "<think>It is.</think>" + render(Finish((1,)))
NO = "<think>It is not.</think>" + render(ReportAbsent("it is a plate"))


@dataclass(frozen=True)
class Hang:
    """A step that never returns: deaf to cancel and deadline. Once the policy's `release` is set it says FINISH.

    Attributes:
        seconds: It ends by itself after that; None: never.
    """

    seconds: float | None = None


@dataclass(frozen=True)
class Slow:
    """A step that takes its time, but heeds cancel and deadline; then says `text`."""

    seconds: float
    text: str = SEGMENT


Step = str | Reply | BaseException | Hang | Slow

FILMED = "<think>The box.</think>" + render(Segment(box=Box(312, 417, 488, 588)))
"""Segments the thing of `moving_pictures` where it is in the first frame."""

POLICY_SCRIPTS: Mapping[str, Sequence[Step]] = {
    "instant": (SEGMENT, FINISH),
    "absent": (ABSENT,),
    "filmed": (FILMED, FINISH),
    "filmed_slowly": (FILMED, Slow(1.5, FINISH)),
    "ambiguous": (SEGMENT, SEGMENT_LEFT, AMBIGUOUS),
    "never_ends": (SEGMENT,),
    "malformed": (MALFORMED, SEGMENT, "no call", "<tool_call>{", FINISH),
    "breaks_off": (SEGMENT, Reply("", stop="cancel")),
    "slow": (SEGMENT, Slow(30.0)),
    "hang": (SEGMENT, Hang()),
    "hang_at_once": (Hang(),),
    "raises": (SEGMENT, ValueError("a fault that was injected")),
    "out_of_memory": (SEGMENT, RunFailed(ErrorCode.OUT_OF_MEMORY, "fake: the GPU's memory is full")),
    "memory_error": (MemoryError(),),
    "insists": (SEGMENT, FINISH),
    "corrected": (SEGMENT, FINISH, SEGMENT_LEFT, FINISH_SECOND),
    "hangs_looking_again": (SEGMENT, FINISH),
    "outvoted": (SEGMENT, FINISH),
    "hangs_voting": (SEGMENT, FINISH),
}

LATER: Mapping[str, Sequence[Step]] = {"outvoted": (ABSENT,), "hangs_voting": (Hang(),)}
"""What the fake of that name says in conversations after its first; the others say the same again."""

SECOND_LOOKS: Mapping[str, Sequence[Step]] = {
    "instant": (YES,),
    "insists": (NO,),
    "corrected": (NO, YES),
    "hangs_looking_again": (Hang(),),
}
"""What the fake of that name says to second looks, one after the other; the others say nothing that can be read."""


class FakePolicy:
    """Says the steps of its script one after the other in every conversation, and the last one for ever.

    Attributes:
        release: Set it to end every hang.
        heard: For each conversation, every message it was given, in order.
        open_conversations: How many are not closed.
    """

    name = "fake_policy"
    pictures = DEFAULT_PICTURES

    def __init__(
        self,
        script: Sequence[Step] = POLICY_SCRIPTS["instant"],
        *,
        count_tokens: bool = False,
        remember: bool = True,
        looks: Sequence[Step] = (MALFORMED,),
        later: Sequence[Step] | None = None,
    ) -> None:
        """Follow a script.

        Args:
            script: What to say.
            count_tokens: Every reply claims one token for each of its words.
            remember: Keep what was heard; a fake that runs for long must not.
            looks: What to say to second looks, one after the other, and the last one for ever.
            later: What to say in conversations after the first; None: the same.
        """
        self.script = script
        self.later = later
        self.opened = 0
        self.looks = list(looks)
        self.count_tokens = count_tokens
        self.remember = remember
        self.release = threading.Event()
        self.heard: list[list[Message]] = []
        self.open_conversations = 0
        self.lock = threading.Lock()

    def open(self) -> FakeConversation:
        with self.lock:
            heard: list[Message] = []
            if self.remember:
                self.heard.append(heard)
            self.open_conversations += 1
            self.opened += 1
            first = self.opened == 1 or self.later is None
            return FakeConversation(self, heard, self.script if first else self.later)

    def next_look(self) -> Step:
        """What is said to the second look that comes now."""
        with self.lock:
            return self.looks.pop(0) if len(self.looks) > 1 else self.looks[0]


def content(chat: Sequence[Message]) -> list[tuple[str, list[object]]]:
    """A chat by value, so that two can be compared to the bit; arrays alone have no truth value."""
    return [
        (
            message.role,
            [
                part.text if isinstance(part, Text) else (part.kind, part.pixels.shape, part.pixels.tobytes())
                for part in message.parts
            ],
        )
        for message in chat
    ]


class FakeConversation:
    """One run through the script."""

    def __init__(self, policy: FakePolicy, heard: list[Message], script: Sequence[Step] | None = None) -> None:
        self._policy = policy
        self._script = policy.script if script is None else script
        self._heard = heard
        self._turn = 0
        self._closed = False

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        self._heard += new_messages
        step = self._script[min(self._turn, len(self._script) - 1)]
        self._turn += 1
        if "second_look" in new_messages[-1].text:
            step = self._policy.next_look()
        match step:
            case Reply():
                return step
            case BaseException():
                raise step.with_traceback(None)  # else its traceback grows with every goal
            case Hang(seconds):
                self._policy.release.wait(seconds)
                return Reply(FINISH)
            case Slow(seconds, text):
                return Reply(text, stop="cancel" if cancel.wait(seconds) else "call", seconds=seconds)
            case str():
                return Reply(step, sampled_tokens=len(step.split()) if self._policy.count_tokens else 0)

    def close(self) -> None:
        with self._policy.lock:
            if not self._closed:
                self._closed = True
                self._policy.open_conversations -= 1


SegmenterFault = Literal[
    "none", "hang", "slow", "out_of_memory", "memory_error", "raises", "empty_mask", "no_candidates", "nan_score",
    "wrong_shape", "wrong_dtype",
]  # fmt: skip
SEGMENTER_FAULTS: tuple[SegmenterFault, ...] = get_args(SegmenterFault)


class FakeSegmenter:
    """Masks a prompt's box and a small square around each positive point; negative points cut squares out.

    Attributes:
        fault: What goes wrong in `masks`.
        release: Set it to end every hang and every slow call.
        encoded: (height, width) of every image that was encoded, in order.
        prompts: Every prompt, in order.
    """

    name = "fake_segmenter"

    def __init__(
        self,
        fault: SegmenterFault = "none",
        *,
        score: float = 0.9,
        slow_seconds: float = 1.0,
        remember: bool = True,
    ) -> None:
        self.fault = fault
        self.score = score
        self.slow_seconds = slow_seconds
        self.remember = remember
        self.release = threading.Event()
        self.encoded: list[tuple[int, int]] = []
        self.prompts: list[MaskPrompt] = []

    def encode(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        shape = (image.shape[0], image.shape[1])
        if self.remember:
            self.encoded.append(shape)
        return shape

    def masks(self, encoding: tuple[int, int], prompt: MaskPrompt) -> list[Candidate]:
        if self.remember:
            self.prompts.append(prompt)
        mask = _drawn(encoding, prompt)
        score = self.score
        match self.fault:
            case "hang":
                self.release.wait()
            case "slow":
                self.release.wait(self.slow_seconds)
            case "out_of_memory":
                raise RunFailed(ErrorCode.OUT_OF_MEMORY, "fake: the GPU's memory is full")
            case "memory_error":
                raise MemoryError
            case "raises":
                raise ValueError("a fault that was injected")
            case "no_candidates":
                return []
            case "empty_mask":
                mask[:] = False
            case "nan_score":
                score = float("nan")
            case "wrong_shape":
                mask = mask[:-1]
            case "wrong_dtype":
                return [Candidate(mask.astype(np.uint8), score, _logits(mask))]
        return [Candidate(mask, score, _logits(mask))]


class FakeFinder(FakeSegmenter):
    """A FakeSegmenter that takes words, too: a made detector with known answers.

    Attributes:
        known: For each phrase the boxes of its instances, 0..1 of the view.
        found: Every phrase it was asked for, in order.
    """

    def __init__(self, known: Mapping[str, Sequence[Box]], fault: SegmenterFault = "none") -> None:
        super().__init__(fault)
        self.known = known
        self.found: list[str] = []

    def find(self, encoding: tuple[int, int], phrase: str) -> list[Detection]:
        self.found.append(phrase)
        height, width = encoding
        if self.fault == "out_of_memory":
            raise RunFailed(ErrorCode.OUT_OF_MEMORY, "fake: the GPU's memory is full")
        detections = []
        for number, box in enumerate(self.known.get(phrase, ())):
            x0, x1 = round(box.x0 * width), max(round(box.x0 * width) + 1, round(box.x1 * width))
            y0, y1 = round(box.y0 * height), max(round(box.y0 * height) + 1, round(box.y1 * height))
            part = np.full((y1 - y0, x1 - x0), self.fault != "empty_mask", dtype=np.bool_)
            score = float("nan") if self.fault == "nan_score" else self.score - number / 100
            part = part[:-1] if self.fault == "wrong_shape" else part
            detections.append(Detection(Box(x0, y0, x1, y1), part, score))
        return detections


def _drawn(shape: tuple[int, int], prompt: MaskPrompt) -> NDArray[np.bool_]:
    height, width = shape
    mask = np.zeros(shape, dtype=np.bool_) if prompt.mask_input is None else _resized(prompt.mask_input > 0, shape)
    if prompt.box is not None:
        box = Box(*prompt.box.tolist())
        mask[_rows(box, height), _columns(box, width)] = True
    for (x, y), label in zip(prompt.point_coords.tolist(), prompt.point_labels, strict=True):
        around = _around(Point(x, y), shape)
        mask[_rows(around, height), _columns(around, width)] = label == FOREGROUND
    return mask


def _around(point: Point, shape: tuple[int, int]) -> Box:
    half = max(1.0, min(shape) / 20)
    return Box(point.x - half, point.y - half, point.x + half, point.y + half)


def _rows(box: Box, height: int) -> slice:
    return slice(max(0, round(box.y0)), min(height, max(round(box.y1), 0)))


def _columns(box: Box, width: int) -> slice:
    return slice(max(0, round(box.x0)), min(width, max(round(box.x1), 0)))


def _resized(mask: NDArray[np.bool_], shape: tuple[int, int]) -> NDArray[np.bool_]:
    rows = np.arange(shape[0]) * mask.shape[0] // shape[0]
    columns = np.arange(shape[1]) * mask.shape[1] // shape[1]
    return mask[np.ix_(rows, columns)]


def _logits(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    return np.where(mask, np.float32(8), np.float32(-8)).astype(np.float32)
