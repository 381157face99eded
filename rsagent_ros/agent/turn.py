"""One turn, and the trace of a whole episode: the one record for feedback, topic, bag, report and training sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent import parsing
from rsagent_ros.agent.actions import FIRST_TOOLS
from rsagent_ros.agent.chat import Message, Picture, PictureKind, Text
from rsagent_ros.agent.errors import plain
from rsagent_ros.agent.found_mask import FoundMask, check_drawable
from rsagent_ros.agent.geometry import View
from rsagent_ros.agent.mask import Mask, Rle, decode_rle
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.pictures import (
    DEFAULT_PICTURES,
    PictureFormat,
    as_seen,
    blank_picture,
    draw_marked,
    draw_picture,
)
from rsagent_ros.agent.policy import Reply, Stop
from rsagent_ros.agent.prompt import Exchange, opening
from rsagent_ros.agent.slips import Slip
from rsagent_ros.agent.verification import REJECTED_FACTOR, Verification

VERSION = 2
"""Version of the JSON form of a Trace. A reader refuses a newer one and migrates an older one."""

MAX_TRACE_BYTES = 64_000_000

MAX_PADDING = 10_000_000
"""Characters of a reply that was refused as too long, when it is given again; the turn has its beginning only."""


@dataclass(frozen=True)
class Turn:
    """One reply of the policy, its effect, and the observation that followed.

    Attributes:
        index: 1 for the first turn.
        reply: The policy's text, word for word; only the beginning of one that was refused as too long.
        stop: How the reply ended, as in `policy.Reply`.
        thought: What stood before the call.
        tool: Name of the tool; empty when the reply held no valid call.
        arguments: Its arguments, coordinates converted to 0..1000 of the view the call was made in.
        error_code: Why the reply was refused or the tool failed; empty when all went well.
        error_msg: One sentence about it, as the policy was told.
        observation: JSON text for the policy; empty when the episode ended with this turn.
        picture: The kind of picture that went with it.
        view: Crop that is looked at after this turn: x0, y0, x1, y1 in full-frame pixels.
        mask_id: The one mask made in this turn; 0 for none, or several.
        mask: Its run lengths, full frame.
        score: The segmenter's estimate for it, 0..1.
        stability: IoU of the mask's logits cut at -1 and at +1, 0..1.
        degraded: A fallback policy gave the reply.
        token_ids, logprobs: Of the sampled tokens, where the backend has them.
        prompt_tokens, cached_tokens, sampled_tokens: As counted by the backend, 0 where it does not.
        reply_seconds, tool_seconds: Steady clock.
        second_looks: Verifications of the masks it ended with, where that was asked for; in conversations of their own,
            whose tokens and seconds the numbers of this turn do not hold.
        reply_chars: Characters of the whole reply, where `reply` is only its beginning; else 0.
        picture_sizes: As in `policy.Reply`: what this reply's model saw of the pictures before it.
        slips: Of the reply, which was read all the same.
        found: The masks of a phrase, the surest first.
    """

    index: int
    reply: str
    view: tuple[int, int, int, int]
    stop: Stop = "call"
    thought: str = ""
    tool: str = ""
    arguments: dict[str, Any] | None = None
    error_code: str = ""
    error_msg: str = ""
    observation: str = ""
    picture: PictureKind | None = None
    mask_id: int = 0
    mask: Rle | None = None
    score: float = 0.0
    stability: float = 0.0
    degraded: bool = False
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    sampled_tokens: int = 0
    reply_seconds: float = 0.0
    tool_seconds: float = 0.0
    second_looks: tuple[Verification, ...] = ()
    reply_chars: int = 0
    picture_sizes: tuple[tuple[int, int], ...] = ()
    slips: tuple[Slip, ...] = ()
    found: tuple[FoundMask, ...] = ()

    @staticmethod
    def from_reply(index: int, reply: Reply, view: tuple[int, int, int, int]) -> Turn:
        """A turn that holds the reply, and nothing done about it yet.

        Args:
            index: 1 for the first turn.
            reply: Of what may be endless the beginning is kept: the parser refuses it anyway.
            view: Crop that is looked at, full-frame pixels.
        """
        text = plain(reply.text[: parsing.MAX_REPLY_CHARS])
        return Turn(
            index=index,
            reply=text,
            view=view,
            stop=reply.stop,
            thought=parsing.thought(text),
            degraded=reply.degraded,
            token_ids=reply.token_ids,
            logprobs=reply.logprobs,
            prompt_tokens=reply.prompt_tokens,
            cached_tokens=reply.cached_tokens,
            sampled_tokens=reply.sampled_tokens,
            reply_seconds=reply.seconds,
            reply_chars=len(reply.text) if len(reply.text) > parsing.MAX_REPLY_CHARS else 0,
            picture_sizes=reply.picture_sizes,
        )

    @property
    def masks(self) -> tuple[FoundMask, ...]:
        """All masks made in this turn."""
        one = () if self.mask is None else (FoundMask(self.mask_id, self.mask, self.score, self.stability),)
        return (*one, *self.found)

    @property
    def replies(self) -> tuple[Turn | Verification, ...]:
        """All replies of the policy in this turn, for sums: the turn itself, and its verifications."""
        return (self, *self.second_looks)

    def shown(self, frame: NDArray[np.uint8], pictures: PictureFormat) -> Picture | None:
        """The picture that went with this turn's observation, drawn anew from the (H, W, 3) frame."""
        if self.picture is None:
            return None
        view = View(*self.view, frame_width=frame.shape[1], frame_height=frame.shape[0])
        if self.picture == "marks":
            marks = filter(None, (one.mark() for one in self.found))
            return draw_marked(frame, view, list(marks), pictures)
        full = None if self.mask is None else decode_rle(self.mask)
        return draw_picture(frame, view, full if self.picture == "overlay" else None, pictures)

    def messages(self, picture: Picture | None) -> list[Message]:
        """The messages that this turn adds to the chat: the reply, and the observation unless the episode ended."""
        reply = Message("assistant", (Text(self.reply),))
        if not self.observation:
            return [reply]
        parts = (Text(self.observation),) if picture is None else (Text(self.observation), picture)
        return [reply, Message("user", parts)]

    def as_reply(self) -> Reply:
        """The reply that led to this turn, to be played back: an episode makes the same of it again."""
        stop = self.stop
        if self.error_code == "broken_off" and stop not in ("cancel", "deadline"):
            stop = "deadline"  # it came when the time was over, which it is not now
        return Reply(
            self.reply.ljust(min(self.reply_chars, MAX_PADDING)),
            stop,
            self.token_ids,
            self.logprobs,
            self.prompt_tokens,
            self.cached_tokens,
            self.sampled_tokens,
            self.reply_seconds,
            self.degraded,
            self.picture_sizes,
        )


@dataclass(frozen=True)
class Trace:
    """A whole episode but for its frame.

    Attributes:
        goal_id, instruction, policy, segmenter: The goal, and the models that answered it.
        width, height: Of the frame, pixels.
        max_turns, pictures: Limit of turns, and format and tools that the chat was made with.
        turns: In order.
        outcome: None while the episode runs; the next six are the Result's.
        instance_ids, candidate_ids: Ids of the masks that were the answer, or could be.
        confidences: Of the instances, or of the candidates of an ambiguous goal; none where nothing was marked.
        seconds: Steady clock, whole episode.
        previous: Earlier instructions and questions, oldest first; empty unless the goal follows up an ambiguous one.
        calibrated: Outcome and confidences are those of a calibration and its threshold, no longer the episode's own.
        attempts: The other episodes of the goal, whole and in their order, where votes were asked for.
        attempt: Number of this one among them all; 1 is the first.
        votes: For each of them all, in their order, the number of the group of answers that its own belongs to, 1 for
            the one with the most votes; 0 for no vote. Empty where nothing was voted on.
        second_look_below, cross_checked: As in the budget, where answers were looked at again.
        version: Version of this record.
    """

    goal_id: str
    instruction: str
    width: int
    height: int
    max_turns: int
    pictures: PictureFormat = DEFAULT_PICTURES
    policy: str = ""
    segmenter: str = ""
    turns: tuple[Turn, ...] = ()
    outcome: Outcome | None = None
    error_code: ErrorCode = ErrorCode.NONE
    error_msg: str = ""
    instance_ids: tuple[int, ...] = ()
    candidate_ids: tuple[int, ...] = ()
    confidences: tuple[float, ...] = ()
    question: str = ""
    reason: str = ""
    partial: bool = False
    seconds: float = 0.0
    previous: tuple[Exchange, ...] = ()
    calibrated: bool = False
    attempts: tuple[Trace, ...] = ()
    attempt: int = 1
    votes: tuple[int, ...] = ()
    second_look_below: float = 1.0
    cross_checked: bool = False
    version: int = VERSION

    def messages(self, frame: NDArray[np.uint8]) -> list[Message]:
        """The chat of the episode, pictures drawn anew from the (H, W, 3) frame it was about.

        They have the sizes at which the policy's model saw them when it last gave them.
        """
        whole = View.whole(self.width, self.height)
        picture = draw_picture(frame, whole, None, self.pictures)
        chat = opening(self.instruction, whole, picture, self.max_turns, self.pictures, self.previous)
        for turn in self.turns:
            chat += turn.messages(turn.shown(frame, self.pictures))
        return as_seen(chat, next(_sizes_seen(self.turns), ()))

    def outline(self) -> list[Message]:
        """The chat as `messages` has it, with blank pictures of the same sizes: for counts, nothing is drawn."""
        whole = View.whole(self.width, self.height)
        kinds: list[tuple[View, PictureKind]] = [(whole, "view")]
        for turn in self.turns:
            if turn.picture is not None:
                kinds.append((View(*turn.view, frame_width=self.width, frame_height=self.height), turn.picture))
        blank = [blank_picture(view, kind, self.pictures) for view, kind in kinds]
        for number, (width, height) in enumerate(next(_sizes_seen(self.turns), ())):
            blank[number] = Picture(np.broadcast_to(np.uint8(0), (height, width, 3)), blank[number].kind)
        rest = iter(blank)
        chat = opening(self.instruction, whole, next(rest), self.max_turns, self.pictures, self.previous)
        for turn in self.turns:
            chat += turn.messages(next(rest) if turn.picture is not None else None)
        return chat

    def mask(self, mask_id: int) -> Mask | None:
        """The (H, W) mask of that id; None where there is none."""
        made = self.masks.get(mask_id)
        return None if made is None else decode_rle(made.mask)

    @property
    def drawn(self) -> dict[int, FoundMask]:
        """The masks of all turns by their ids, in order."""
        return {one.mask_id: one for turn in self.turns for one in turn.masks}

    @property
    def masks(self) -> dict[int, FoundMask]:
        """The masks of all turns by their ids, then those that other attempts answered with."""
        borrowed = {number: replace(one.drawn[own], mask_id=number) for number, (one, own) in self.borrowed.items()}
        return self.drawn | borrowed

    @property
    def borrowed(self) -> dict[int, tuple[Trace, int]]:
        """The masks that other attempts answered with, by the ids that they have here: the attempt, and its own id."""
        answers = [
            (one, mask_id)
            for one in self.attempts
            for mask_id in dict.fromkeys((*one.instance_ids, *one.candidate_ids))
            if mask_id in one.drawn
        ]
        return dict(enumerate(answers, max(self.drawn, default=0) + 1))

    @property
    def all_attempts(self) -> tuple[Trace, ...]:
        """All episodes of the goal in their order, this one among them."""
        before = self.attempt - 1
        return (*self.attempts[:before], replace(self, attempts=()), *self.attempts[before:])

    @property
    def replies(self) -> tuple[Turn | Verification, ...]:
        """All replies of the policy to the goal, for sums: those of other attempts, too."""
        return tuple(reply for one in (self, *self.attempts) for turn in one.turns for reply in turn.replies)

    @property
    def second_looks(self) -> tuple[Verification, ...]:
        """The verifications of all turns, in order."""
        return tuple(one for turn in self.turns for one in turn.second_looks)

    def trust(self, mask_id: int) -> float:
        """Factor on the confidence in a mask: REJECTED_FACTOR where a verification doubts it, else 1."""
        owner, own = self.borrowed.get(mask_id, (self, mask_id))
        rejected = any(one.mask_id == own and one.doubts for one in owner.second_looks)
        return REJECTED_FACTOR if rejected else 1.0

    def confidence(self, mask_id: int) -> float:
        """Evidence for a mask in one number, 0..1, as the episode counted it: not calibrated; 0 for an unknown id."""
        made = self.masks.get(mask_id)
        return 0.0 if made is None else min(1.0, max(0.0, made.score * made.stability)) * self.trust(mask_id)

    def ended(self, result: Result) -> Trace:
        """This trace with the answer of a result."""
        answers = result.candidates if result.outcome is Outcome.AMBIGUOUS else result.instances
        return replace(
            self,
            outcome=result.outcome,
            error_code=result.error_code,
            error_msg=result.error_msg,
            instance_ids=tuple(instance.mask_id for instance in result.instances),
            candidate_ids=tuple(instance.mask_id for instance in result.candidates),
            confidences=tuple(instance.confidence for instance in answers),
            question=result.question,
            reason=result.reason,
            partial=result.partial,
        )

    def to_json(self) -> str:
        """This trace as JSON text; `from_json` gives an equal one."""
        return msgspec.json.encode(self).decode()

    @staticmethod
    def from_json(text: str | bytes) -> Trace:
        """Read a trace from anywhere.

        Raises:
            ValueError: Not a trace of this version; the message names the field.
        """
        if len(text) > MAX_TRACE_BYTES:
            raise ValueError(f"a trace of {len(text)} bytes is over the limit of {MAX_TRACE_BYTES}")
        try:
            version = msgspec.json.decode(text, type=_Versioned).version
            if version not in (1, VERSION):
                raise ValueError(f"the trace is of version {version}; this release reads versions 1 to {VERSION}")
            trace = msgspec.json.decode(text, type=Trace)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ValueError(f"not a trace: {error}") from error
        try:
            _check_turns(trace, "$")
            for number, one in enumerate(trace.attempts):
                if one.attempts or (one.width, one.height) != (trace.width, trace.height):
                    raise ValueError(f"another frame, or attempts of its own - at `$.attempts[{number}]`")
                _check_turns(one, f"$.attempts[{number}]")
        except ValueError as error:
            raise ValueError(f"not a trace: {error}") from error
        return _from_version_1(trace) if version == 1 else trace


def _from_version_1(trace: Trace) -> Trace:
    """A trace of release 0.1.0.

    Overlays were squares, there were fewer tools, no slip was read, and only the errors told the length of a reply cut
    short.
    """

    def complete(turn: Turn) -> Turn:
        length = next((int(word) for word in turn.error_msg.split() if word.isdigit()), 0)
        verifications = tuple(
            replace(one, reply_chars=parsing.MAX_REPLY_CHARS + 1) if one.reason.startswith("too_long") else one
            for one in turn.second_looks
        )
        reply_chars = length if turn.error_code == "too_long" else 0
        return replace(turn, second_looks=verifications, reply_chars=reply_chars)

    pictures = replace(trace.pictures, overlay="square", lenient=False, tools=FIRST_TOOLS)
    return replace(trace, turns=tuple(map(complete, trace.turns)), pictures=pictures, version=VERSION)


def _check_turns(trace: Trace, where: str) -> None:
    """Refuse turns from outside that could not be drawn: their views, masks or pictures are of no such frame."""
    for number, turn in enumerate(trace.turns):
        views = [turn.view, *(one.view for one in turn.second_looks)]
        try:
            check_drawable(views, turn.masks, turn.picture_sizes, (trace.width, trace.height), trace.pictures.side)
        except ValueError as error:
            raise ValueError(f"{error} - at `{where}.turns[{number}]`") from error


@dataclass(frozen=True)
class _Versioned:
    version: int


def _sizes_seen(turns: Sequence[Turn]) -> Iterator[tuple[tuple[int, int], ...]]:
    """Sizes at which the model saw the pictures, of the newest turn that tells first."""
    return (turn.picture_sizes for turn in reversed(turns) if turn.picture_sizes)
