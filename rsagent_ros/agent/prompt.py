"""What a policy is told: the system prompt, and each observation as one line of JSON and one picture.

The chat is append-only: turn k's messages are a byte-exact prefix of turn k + 1's. That keeps a model server's prefix
cache warm and makes an episode one training sequence. Instruction and reasons are JSON strings, so that no text from
outside can pose as another message.
"""

from __future__ import annotations

import json

from rsagent_ros.agent.actions import CALL_CLOSE, CALL_OPEN, TOOLS
from rsagent_ros.agent.chat import Message, Picture, Text
from rsagent_ros.agent.geometry import EXTENT, View
from rsagent_ros.agent.mask import OVERLAY_SIDE

SYSTEM = f"""You find things in a robot's camera image and mark their pixels with a mask.
You work in turns. In each turn, think in <think>...</think>, then make exactly one tool call and stop:
{CALL_OPEN}{{"name": "segment", "arguments": {{"box": [120, 340, 260, 520]}}}}{CALL_CLOSE}
Coordinates are integers from 0 to {EXTENT} across and down the CURRENT view, x first. After a zoom they are those of \
the zoomed view.
A new mask comes back as a spotlight on the current view: what the mask covers is bright, the rest is dark, a magenta \
line runs along the edge. That picture is {OVERLAY_SIDE}x{OVERLAY_SIDE}, with the view at its top left and black \
filling the rest.
Look at it before you end: is it the right thing, all of it, and nothing else? If not, correct it with a box, with \
positive and negative points, with another view, or by combining masks.
If the thing is not there, say so. If several things fit the words, mark each and ask.
Tools:
""" + "\n".join(
    f"- {name}({', '.join(key + ('' if argument.required else '?') for key, argument in tool.arguments.items())}): "
    f"{tool.meaning}" + "".join(f" {key}: {argument.meaning}." for key, argument in tool.arguments.items())
    for name, tool in TOOLS.items()
)


def opening(instruction: str, view: View, picture: Picture, turns: int) -> list[Message]:
    """The first messages of an episode: the system prompt, then the instruction and the whole view."""
    facts = {
        "instruction": instruction,
        "image": [view.width, view.height],
        "turns_left": turns,
    }
    return [Message("system", (Text(SYSTEM),)), observation(facts, picture)]


def observation(facts: dict[str, object], picture: Picture | None) -> Message:
    """One observation: facts as a line of JSON, then the picture, if the turn made one."""
    text = Text(json.dumps(facts, ensure_ascii=True))
    return Message("user", (text,) if picture is None else (text, picture))
