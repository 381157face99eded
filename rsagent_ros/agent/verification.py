"""Verification of an answer: is its mask what was asked for? Asked in a fresh conversation that sees only its crop.

A conversation that has thought itself into an answer sees in the picture what it thought. One that knows nothing of
that sees a crop around the mask, clean and as a spotlight, and the words; it says yes with `finish`, no with
`report_absent`, so that every backend's parser and grammar will do. Anything else is no opinion, and the answer stands.

The budget's switch for it, the JSON of records and the chat call it `second_look`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent import actions, parsing
from rsagent_ros.agent.actions import CALL_CLOSE, CALL_OPEN, Action, Finish, ReportAbsent, render
from rsagent_ros.agent.chat import Message, Text
from rsagent_ros.agent.errors import ReplyError, RunFailed, plain
from rsagent_ros.agent.geometry import Box, View
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.pictures import PictureFormat, draw_picture
from rsagent_ros.agent.policy import Reply, Stop
from rsagent_ros.agent.prompt import Exchange, format_observation, goal_facts

MARGIN = 0.5
"""Share of the longer side of a mask's box that is shown around it, on each side."""

LEAST_MARGIN = 16.0
"""Pixels of the frame that are shown around it at least."""

REJECTED_FACTOR = 0.5
"""Factor on the confidence in a mask that a verification rejected and on which the policy insists."""

SAME_MASK = 0.95
"""Least IoU of two masks that count as one: to draw a mask again does not make it another."""

SHOWN_AS = 1
"""The mask's id in the fresh conversation, whatever it is in the episode."""

MAX_REASON = 300
"""Characters of a reason that the policy is told."""

Opinion = Literal["yes", "no", "either", "unreadable", "failed"]

_SYSTEM = f"""You check an answer. A robot was told in words what to find in its camera image, and marked something \
with mask {SHOWN_AS}.
You are shown only the part of the image around the mask: first as it is, then with the mask as a spotlight: what the \
mask covers is bright, the rest is dark, a magenta line runs along the edge.%s
Is what the mask covers the thing that the instruction means, or one of the things that it means? Go by what these two \
pictures can show: what it is, its colours, its shape, its parts. Where it is in the image, whether it is the largest \
or the second, and what stands beside it out of these pictures can't be told from here: count that as true. The edge \
need not be exact. When you can't tell, say yes.
Think in <think>...</think>, then make exactly one tool call and stop:
- yes: {render(Finish((SHOWN_AS,)))}
- no: {CALL_OPEN}{{"name": "report_absent", "arguments": {{"reason": "what it is instead"}}}}{CALL_CLOSE}"""
_SQUARE = " That second picture is a square, with the part at its top left and black filling the rest."


@dataclass(frozen=True)
class Verification:
    """The opinion of a fresh conversation about one mask of an answer.

    Attributes:
        mask_id: Of the mask, in the episode.
        view: Crop that was shown: x0, y0, x1, y1 in full-frame pixels.
        verdict: `yes` and `no`; `either`: of two masks, none for sure; `unreadable`: the reply was none of these;
            `failed`: there was no reply.
        reason: Why not, in one sentence; why there is no opinion; empty for `yes`.
        same_as: Earlier mask that is the same and whose verification this is; 0: this one was asked about.
        reply: The text, word for word; only the beginning of one that is too long.
        stop: How the reply ended, as in `policy.Reply`.
        degraded: A fallback policy gave the reply.
        token_ids, logprobs: Of the sampled tokens, where the backend has them.
        prompt_tokens, cached_tokens, sampled_tokens: As counted by the backend, 0 where it does not.
        reply_seconds: Steady clock, from the question to the opinion: opening the conversation included.
        reply_chars: Characters of a reply that is longer than `reply`, counted to one over its limit; else 0.
        picture_sizes: As in `policy.Reply`.
        against: Mask that the other way of looking found, where this one was compared with it; 0 where it was not.
        swapped: That mask was shown first.
    """

    mask_id: int
    view: tuple[int, int, int, int]
    verdict: Opinion
    reason: str = ""
    same_as: int = 0
    reply: str = ""
    stop: Stop = "call"
    degraded: bool = False
    token_ids: tuple[int, ...] | None = None
    logprobs: tuple[float, ...] | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    sampled_tokens: int = 0
    reply_seconds: float = 0.0
    reply_chars: int = 0
    picture_sizes: tuple[tuple[int, int], ...] = ()
    against: int = 0
    swapped: bool = False

    @property
    def doubts(self) -> bool:
        """Whether the mask is trusted less: for a no, or since another one was found and this one not preferred."""
        return self.verdict == "no" or bool(self.against and self.verdict != "yes")

    def as_reply(self) -> Reply:
        """The reply that led to this opinion, for whoever plays it back.

        Raises:
            RunFailed: There was none: with the reason that was noted then.
        """
        if self.verdict == "failed":
            raise RunFailed(ErrorCode.POLICY_FAILED, self.reason)
        return Reply(
            self.reply.ljust(self.reply_chars),
            self.stop,
            self.token_ids,
            self.logprobs,
            self.prompt_tokens,
            self.cached_tokens,
            self.sampled_tokens,
            self.reply_seconds,
            self.degraded,
            self.picture_sizes,
        )


def crop_around(box: Box, width: int, height: int) -> View:
    """The view for a verification: a mask's bounding box, both in full-frame pixels, and a margin around it."""
    whole = View.whole(width, height)
    margin = max(LEAST_MARGIN, MARGIN * max(box.width, box.height))
    around = Box(box.x0 - margin, box.y0 - margin, box.x1 + margin, box.y1 + margin)
    return whole.zoom(whole.box_to_view(around.intersection(Box(0, 0, width, height))))


def verification_messages(
    instruction: str,
    previous: Sequence[Exchange],
    frame: NDArray[np.uint8],
    mask: Mask,
    view: View,
    pictures: PictureFormat,
) -> list[Message]:
    """All messages of the fresh conversation.

    Args:
        instruction: The thing that was asked for; with `previous`, the answer to its last question.
        previous: Earlier instructions and questions about it, oldest first.
        frame: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, of the answer.
        view: From `crop_around`.
        pictures: Format that the policy's model wants.
    """
    facts = goal_facts(instruction, previous) | {"second_look": SHOWN_AS}
    shown = (draw_picture(frame, view, None, pictures), draw_picture(frame, view, mask, pictures))
    system = _SYSTEM % (_SQUARE if pictures.overlay == "square" else "")
    return [Message("system", (Text(system),)), Message("user", (Text(format_observation(facts)), *shown))]


def verification_of(
    mask_id: int,
    view: View,
    reply: Reply | str,
    seconds: float,
    read: Callable[[Action], tuple[Opinion, str]] | None = None,
) -> Verification:
    """The opinion in a fresh conversation's reply, whatever it is.

    Args:
        mask_id: In the episode.
        view: The crop that was shown.
        reply: The reply, or a sentence that says why there is none.
        seconds: Steady clock, from the question on.
        read: Takes verdict and reason from the call; None: as the question about one mask wants.
    """
    if isinstance(reply, str):
        return Verification(mask_id, view.key, "failed", plain(reply), reply_seconds=seconds)
    text = plain(reply.text[: parsing.MAX_REPLY_CHARS + 1])
    verdict, reason = _opinion(text, reply.stop, read or _yes_or_no)
    return Verification(
        mask_id,
        view.key,
        verdict,
        plain(reason),
        reply=text[: parsing.MAX_REPLY_CHARS],
        stop=reply.stop,
        degraded=reply.degraded,
        token_ids=reply.token_ids,
        logprobs=reply.logprobs,
        prompt_tokens=reply.prompt_tokens,
        cached_tokens=reply.cached_tokens,
        sampled_tokens=reply.sampled_tokens,
        reply_seconds=seconds,
        reply_chars=len(text) if len(text) > parsing.MAX_REPLY_CHARS else 0,
        picture_sizes=reply.picture_sizes,
    )


def objection(rejections: Sequence[Verification]) -> str:
    """The error that sends an answer back: each rejected mask with its reason, and a remedy."""
    reasons = "; ".join(f"mask {one.mask_id}: {one.reason[:MAX_REASON]}" for one in rejections)
    return (
        f"A second look at a part of the image around your answer says no: {reasons}. Correct it or look elsewhere; "
        "if you are sure, end with the same answer again."
    )


def _opinion(reply: str, stop: Stop, read: Callable[[Action], tuple[Opinion, str]]) -> tuple[Opinion, str]:
    """The verdict of a reply, and its reason."""
    if stop in ("cancel", "deadline"):
        return "unreadable", "the reply was broken off"
    try:
        action = parsing.parse(reply)
    except ReplyError as error:
        return "unreadable", f"{error.code}: {error.message}"
    return read(action)


def _yes_or_no(action: Action) -> tuple[Opinion, str]:
    """Opinion of a call on one mask, and the reason."""
    match action:
        case Finish((mask,)) if mask == SHOWN_AS:
            return "yes", ""
        case ReportAbsent(reason):
            return "no", reason
    return "unreadable", f"the reply calls {actions.to_json(action)[0]}, which is neither yes nor no"
