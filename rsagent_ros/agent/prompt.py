"""The prompt of a policy: the system prompt, and each observation as one line of JSON and one picture.

The chat is append-only: turn k's messages are a byte-exact prefix of turn k + 1's. That keeps a model server's prefix
cache warm and makes an episode one training sequence. Instruction and reasons are JSON strings, so that no text from
outside can pose as another message.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rsagent_ros.agent.actions import CALL_CLOSE, CALL_OPEN, TOOLS, ToolSet
from rsagent_ros.agent.chat import Message, Picture, PictureKind, Text
from rsagent_ros.agent.geometry import EXTENT, View
from rsagent_ros.agent.pictures import PictureFormat

_TASK = f"""You find things in a robot's camera image and mark their pixels with a mask.
You work in turns. In each turn, think in <think>...</think>, then make exactly one tool call and stop:
{CALL_OPEN}{{"name": "segment", "arguments": {{"box": [120, 340, 260, 520]}}}}{CALL_CLOSE}
"""
_THOUSANDTHS = f"""Coordinates are integers from 0 to {EXTENT} across and down the CURRENT view, x first. After a zoom \
they are those of the zoomed view."""
_NEWEST_PIXELS = """Coordinates are pixels of the NEWEST picture, x first; its size is told as `picture`. An overlay \
may be smaller than the clean picture of the same view."""
_CLEAN_PIXELS = """Coordinates are pixels of the clean picture of the CURRENT view, x first; its size is told as \
`picture`. After a zoom they are those of the zoomed view's picture."""
_OVERLAY = """
A new mask comes back as a spotlight on the current view: what the mask covers is bright, the rest is dark, a magenta \
line runs along the edge."""
_SQUARE = " That picture is a square, with the view at its top left and black filling the rest."
_CHECK = """
Look at it before you end: is it the right thing, all of it, and nothing else? If not, correct it with a box, with \
positive and negative points, with another view, or by combining masks.
If the thing is not there, say so. If several things fit the words, mark each and ask."""
_GIVE_UP = " If you do not know what is meant, or can't tell whether something is it, give up: never guess."


@dataclass(frozen=True)
class Exchange:
    """An earlier instruction and the question that the policy asked back: a follow-up goal answers it.

    It is carried as words. The pictures and masks of that time are not: they are of another frame, and their
    coordinates would be wrong in this one.
    """

    instruction: str
    question: str


def system(pictures: PictureFormat) -> str:
    """The system prompt, with coordinates and overlays of the pictures' format."""
    square = pictures.overlay == "square"
    pixels = _CLEAN_PIXELS if square else _NEWEST_PIXELS
    coordinates = _THOUSANDTHS if pictures.coordinates == "thousandths" else pixels
    give_up = _GIVE_UP if "give_up" in pictures.tools else ""
    overlay = _OVERLAY + (_SQUARE if square else "")
    return f"{_TASK}{coordinates}{overlay}{_CHECK}{give_up}\nTools:\n{_listed(pictures.tools)}"


def _listed(tools: ToolSet) -> str:
    """One line for each tool: its arguments, optional ones with a question mark, and what they mean."""
    return "\n".join(
        f"- {name}({', '.join(key + ('' if one.required else '?') for key, one in TOOLS[name].arguments.items())}): "
        f"{TOOLS[name].meaning}" + "".join(f" {key}: {one.meaning}." for key, one in TOOLS[name].arguments.items())
        for name in tools
    )


def opening(
    instruction: str,
    view: View,
    picture: Picture,
    turns: int,
    pictures: PictureFormat,
    previous: Sequence[Exchange] = (),
) -> list[Message]:
    """The first messages of an episode: the system prompt, then the instruction and the whole view.

    Args:
        instruction: The thing to look for; with `previous`, the answer to its last question.
        view: The whole view.
        picture: Of it.
        turns: Replies that there may be.
        pictures: Format that the policy's model wants.
        previous: Earlier instructions and questions about it, oldest first.
    """
    facts = goal_facts(instruction, previous) | {"image": [view.width, view.height]}
    facts |= view_metadata(view, pictures) | {"turns_left": turns}
    return [Message("system", (Text(system(pictures)),)), observation(facts, picture)]


def goal_facts(instruction: str, previous: Sequence[Exchange]) -> dict[str, object]:
    """The instruction, and what was said about it before, as JSON values."""
    facts: dict[str, object] = {"instruction": instruction}
    if previous:
        facts["previous"] = [{"instruction": one.instruction, "question": one.question} for one in previous]
    return facts


def view_metadata(view: View, pictures: PictureFormat, newest: PictureKind = "view") -> dict[str, object]:
    """Facts that coordinates can't be read off a picture without: its size, where they are its pixels.

    Args:
        view: The view that the picture shows.
        pictures: Format of the chat.
        newest: The kind of that picture.
    """
    # Where overlays are squares, coordinates are the clean picture's, whose size was told with it.
    if pictures.coordinates == "thousandths" or (pictures.overlay == "square" and newest == "overlay"):
        return {}
    return {"picture": [*pictures.extent(view.width, view.height, newest)]}


def observation(facts: dict[str, object], picture: Picture | None) -> Message:
    """One observation: facts as a line of JSON, then the picture, if the turn made one."""
    text = Text(format_observation(facts))
    return Message("user", (text,) if picture is None else (text, picture))


def format_observation(facts: dict[str, object]) -> str:
    """Facts as a line of JSON in ASCII without `<`: a model server can't take a goal's text for its special tokens."""
    return json.dumps(facts, ensure_ascii=True).replace("<", "\\u003c")
