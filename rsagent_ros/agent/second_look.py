"""The second look: is the mask of an answer what was asked for? Asked in a fresh conversation that sees only its crop.

Whoever has thought itself into an answer sees in the picture what it thought. A conversation that knows nothing of
that sees a crop around the mask, clean and as a spotlight, and the words; it says yes with `finish`, no with
`report_absent`, so that every backend's parser and grammar will do. Anything else is no opinion, and the answer stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent import actions, parsing
from rsagent_ros.agent.actions import CALL_CLOSE, CALL_OPEN, Finish, ReportAbsent, render
from rsagent_ros.agent.chat import Message, Text
from rsagent_ros.agent.errors import ReplyError, RunFailed, plain
from rsagent_ros.agent.geometry import Box, View
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.pictures import PictureFormat, draw_picture
from rsagent_ros.agent.policy import Reply, Stop
from rsagent_ros.agent.prompt import Exchange, asked, told

MARGIN = 0.5
"""What is shown around a mask, on each side, relative to the longer side of its box."""

LEAST_MARGIN = 16.0
"""Pixels of the frame that are shown around it at least."""

DOUBTED = 0.5
"""What is left of the confidence in a mask to which a second look said no, and on which the policy insists."""

SAME_MASK = 0.95
"""IoU from which on two masks are one: to draw a mask again does not make it another."""

SHOWN_AS = 1
"""The mask's id in the fresh conversation, whatever it is in the episode."""

MAX_REASON = 300
"""Characters of a reason that the policy is told."""

Verdict = Literal["yes", "no", "unreadable", "failed"]

SYSTEM = f"""You check an answer. A robot was told in words what to find in its camera image, and marked something \
with mask {SHOWN_AS}.
You are shown only the part of the image around the mask: first as it is, then with the mask as a spotlight: what the \
mask covers is bright, the rest is dark, a magenta line runs along the edge. That second picture is a square, with the \
part at its top left and black filling the rest.
Is what the mask covers the thing that the instruction means, or one of the things that it means? Go by what these two \
pictures can show: what it is, its colours, its shape, its parts. Where it is in the image, whether it is the largest \
or the second, and what stands beside it out of these pictures can't be told from here: count that as true. The edge \
need not be exact. When you can't tell, say yes.
Think in <think>...</think>, then make exactly one tool call and stop:
- yes: {render(Finish((SHOWN_AS,)))}
- no: {CALL_OPEN}{{"name": "report_absent", "arguments": {{"reason": "what it is instead"}}}}{CALL_CLOSE}"""


@dataclass(frozen=True)
class SecondLook:
    """What a fresh conversation said about one mask of an answer.

    Attributes:
        mask_id: Of the mask, in the episode.
        view: Crop that was shown: x0, y0, x1, y1 in full-frame pixels.
        verdict: `yes` and `no`; `unreadable`: the reply was neither; `failed`: there was no reply.
        reason: Why not, in one sentence; why there is no opinion; empty for `yes`.
        same_as: Earlier mask that is the same and whose second look this is; 0: this one was asked about.
        reply: The text, word for word; only the beginning of one that is too long.
        stop: How the reply ended, as in `policy.Reply`.
        degraded: A fallback policy gave the reply.
        token_ids, logprobs: Of the sampled tokens, where the backend has them.
        prompt_tokens, cached_tokens, sampled_tokens: As counted by the backend, 0 where it does not.
        reply_seconds: Steady clock, from the question to the opinion: opening the conversation included.
    """

    mask_id: int
    view: tuple[int, int, int, int]
    verdict: Verdict
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

    def as_reply(self) -> Reply:
        """The reply that led to this opinion, for whoever plays it back.

        Raises:
            RunFailed: There was none: with the reason that was noted then.
        """
        if self.verdict == "failed":
            raise RunFailed(ErrorCode.POLICY_FAILED, self.reason)
        text = self.reply
        if self.reason.startswith("too_long"):  # the record has its beginning only
            text = text.ljust(parsing.MAX_REPLY_CHARS + 1)
        return Reply(
            text,
            self.stop,
            self.token_ids,
            self.logprobs,
            self.prompt_tokens,
            self.cached_tokens,
            self.sampled_tokens,
            self.reply_seconds,
            self.degraded,
        )


def crop_around(box: Box, width: int, height: int) -> View:
    """The view that a second look is shown: a mask's bounding box, both in full-frame pixels, and what is around it."""
    whole = View.whole(width, height)
    margin = max(LEAST_MARGIN, MARGIN * max(box.width, box.height))
    around = Box(box.x0 - margin, box.y0 - margin, box.x1 + margin, box.y1 + margin)
    return whole.zoom(whole.box_to_view(around.intersection(Box(0, 0, width, height))))


def question(
    instruction: str,
    previous: Sequence[Exchange],
    frame: NDArray[np.uint8],
    mask: Mask,
    view: View,
    pictures: PictureFormat,
) -> list[Message]:
    """What the fresh conversation is told: the whole of it.

    Args:
        instruction: What was asked for; with `previous`, the answer to its last question.
        previous: What was said about it before, oldest first.
        frame: (H, W, 3) uint8 RGB.
        mask: (H, W) bool, of the answer.
        view: From `crop_around`.
        pictures: Format that the policy's model wants.
    """
    facts = asked(instruction, previous) | {"second_look": SHOWN_AS}
    shown = (draw_picture(frame, view, None, pictures), draw_picture(frame, view, mask, pictures))
    return [Message("system", (Text(SYSTEM),)), Message("user", (Text(told(facts)), *shown))]


def opinion(mask_id: int, view: View, heard: Reply | str, seconds: float) -> SecondLook:
    """What a fresh conversation's reply says, whatever it is.

    Args:
        mask_id: In the episode.
        view: That was shown.
        heard: The reply, or a sentence that says why there is none.
        seconds: That it took.
    """
    if isinstance(heard, str):
        return SecondLook(mask_id, view.key, "failed", plain(heard), reply_seconds=seconds)
    text = plain(heard.text[: parsing.MAX_REPLY_CHARS + 1])
    verdict, reason = _read(text, heard.stop)
    return SecondLook(
        mask_id,
        view.key,
        verdict,
        plain(reason),
        reply=text[: parsing.MAX_REPLY_CHARS],
        stop=heard.stop,
        degraded=heard.degraded,
        token_ids=heard.token_ids,
        logprobs=heard.logprobs,
        prompt_tokens=heard.prompt_tokens,
        cached_tokens=heard.cached_tokens,
        sampled_tokens=heard.sampled_tokens,
        reply_seconds=seconds,
    )


def objection(looks: Sequence[SecondLook]) -> str:
    """What the policy is told when a second look says no: each mask with its reason, and what to do."""
    doubts = "; ".join(f"mask {look.mask_id}: {look.reason[:MAX_REASON]}" for look in looks)
    return (
        f"A second look at a part of the image around your answer says no: {doubts}. Correct it or look elsewhere; "
        "if you are sure, end with the same answer again."
    )


def _read(reply: str, stop: Stop) -> tuple[Verdict, str]:
    """The verdict of a reply, and its reason."""
    if stop in ("cancel", "deadline"):
        return "unreadable", "the reply was broken off"
    try:
        action = parsing.parse(reply)
    except ReplyError as error:
        return "unreadable", f"{error.code}: {error.message}"
    match action:
        case Finish((mask,)) if mask == SHOWN_AS:
            return "yes", ""
        case ReportAbsent(reason):
            return "no", reason
    return "unreadable", f"the reply calls {actions.to_json(action)[0]}, which is neither yes nor no"
