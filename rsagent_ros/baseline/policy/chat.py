"""The chat as the policy reads it: one observation for each message of the agent."""

from __future__ import annotations

import json
from dataclasses import dataclass

from rsagent_ros.agent.chat import Message, Picture
from rsagent_ros.agent.geometry import Box

UNKNOWN = "I do not know "
"""Beginning of the reason that this policy gives for a word that it does not know."""


@dataclass(frozen=True, eq=False)
class Observation:
    """One message from the agent.

    Attributes:
        instruction: In the first message; empty after that.
        mask: Id of the mask that was made; 0 for none.
        view: The view, pixels of the frame, where the message tells; None where it is as before.
        picture: Its picture; None for none.
        turns_left: Replies that are left, the next one included.
        previous: Earlier instructions, where this one answers a question; oldest first.
        confessed: Those of them of which this policy has said which words it does not know.
        hurried: Time is nearly up; set by the conversation.
        found: Ids of the masks that a phrase gave, and their boxes in the chat's coordinates of the view.
    """

    instruction: str
    mask: int
    view: Box | None
    picture: Picture | None
    turns_left: int
    previous: tuple[str, ...] = ()
    confessed: tuple[str, ...] = ()
    hurried: bool = False
    found: tuple[tuple[int, Box], ...] = ()


def observed(message: Message) -> Observation:
    """Read a message of the role "user". Facts that are missing are as when nothing happened."""
    facts = json.loads(message.text)
    view = facts.get("view")
    if view is None and "instruction" in facts:
        view = [0, 0, *facts["image"]]
    previous = facts.get("previous", ())
    return Observation(
        facts.get("instruction", ""),
        facts.get("mask", 0),
        None if view is None else Box(*view),
        message.pictures[-1] if message.pictures else None,
        facts.get("turns_left", 1),
        tuple(one["instruction"] for one in previous),
        tuple(one["instruction"] for one in previous if one["question"].startswith(UNKNOWN)),
        found=tuple((one["mask"], Box(*one["box"])) for one in facts.get("masks", ())),
    )
