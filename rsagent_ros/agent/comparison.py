"""Comparison of two masks by a fresh conversation: which of them is what the instruction means?

Asked where the two ways to a mask disagree: what words find, and what a box gives (`other_way`). A model that is shown
two things tends to prefer the first, so it is asked in both orders, and only what it says in both counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent import actions
from rsagent_ros.agent.actions import Action, Finish, ReportAbsent, ReportAmbiguous, render
from rsagent_ros.agent.chat import Message, Text
from rsagent_ros.agent.evidence import MaskEntry
from rsagent_ros.agent.geometry import Box, View
from rsagent_ros.agent.pictures import PictureFormat, draw_picture
from rsagent_ros.agent.prompt import Exchange, format_observation, goal_facts
from rsagent_ros.agent.verification import Opinion, crop_around

QUESTION = "Words and box point at different things; which of these is meant?"

Agreement = Literal["answer", "other", "unclear", "unjudged"]
"""Opinion of both orders together: the answer, the other mask, neither for sure, or none at all."""

_SYSTEM = f"""You choose between two answers. A robot was told in words what to find in its camera image, and two ways \
of looking marked different things, mask 1 and mask 2.
You are shown only the part of the image around both: first as it is, then with mask 1 as a spotlight, then with mask \
2: what a mask covers is bright, the rest is dark, a magenta line runs along the edge.
Which of them is what the instruction means? The edges need not be exact.
Think in <think>...</think>, then make exactly one tool call and stop:
- the first: {render(Finish((1,)))}
- the second: {render(Finish((2,)))}
- both could be, or you can't tell: {render(ReportAmbiguous((1, 2), "which of them is meant?"))}
- neither: {render(ReportAbsent("what they are instead"))}"""


@dataclass(frozen=True, eq=False)
class Pair:
    """A mask of the answer, and the one that the other way of looking found instead."""

    entry: MaskEntry
    other: MaskEntry

    @property
    def view(self) -> View:
        """The crop of the frame around both."""
        one, other = self.entry.box, self.other.box
        both = Box(min(one.x0, other.x0), min(one.y0, other.y0), max(one.x1, other.x1), max(one.y1, other.y1))
        return crop_around(both, self.entry.shape[1], self.entry.shape[0])


def comparison_messages(
    instruction: str,
    previous: Sequence[Exchange],
    frame: NDArray[np.uint8],
    pair: Pair,
    pictures: PictureFormat,
    *,
    swapped: bool,
) -> list[Message]:
    """All messages of the fresh conversation.

    Args:
        instruction: The thing that was asked for; with `previous`, the answer to its last question.
        previous: Earlier instructions and questions about it, oldest first.
        frame: (H, W, 3) uint8 RGB.
        pair: The two masks.
        pictures: Format that the policy's model wants.
        swapped: The other mask is shown first.
    """
    view, masks = pair.view, [pair.entry.mask, pair.other.mask]
    shown = [None, *(reversed(masks) if swapped else masks)]
    facts = goal_facts(instruction, previous) | {"second_look": [1, 2]}
    drawn = [draw_picture(frame, view, mask, pictures) for mask in shown]
    return [Message("system", (Text(_SYSTEM),)), Message("user", (Text(format_observation(facts)), *drawn))]


def read_comparison(action: Action, *, swapped: bool) -> tuple[Opinion, str]:
    """Opinion of a call on the answer's mask, and the reason: `no` prefers the other, `either` prefers none."""
    match action:
        case Finish((1 | 2 as mask,)):
            return ("yes", "") if (mask == 2) is swapped else ("no", "the other way of looking found what fits better")
        case ReportAmbiguous():
            return "either", "both could be meant"
        case ReportAbsent(reason):
            return "either", f"neither of the two: {reason}"
    return "unreadable", f"the reply calls {actions.to_json(action)[0]}, which chooses none"


def agreement(opinions: Sequence[Opinion]) -> Agreement:
    """The opinions of both orders as one."""
    if all(one == "yes" for one in opinions):
        return "answer"
    if all(one == "no" for one in opinions):
        return "other"
    return "unclear" if {"no", "either"} & {*opinions} else "unjudged"
