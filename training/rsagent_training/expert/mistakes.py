"""Mistakes made on purpose: what they look like in a chat. None of them carries loss; what puts them right does."""

from __future__ import annotations

import json

import numpy as np

from rsagent_ros.agent.actions import CALL_CLOSE, CALL_OPEN
from rsagent_ros.agent.geometry import Box
from rsagent_training.expert.episode_state import EpisodeState, ExpertReply, Replies
from rsagent_training.expert.pointing import around


def perhaps_spoiled(state: EpisodeState, reply: ExpertReply, spoil: bool) -> Replies:
    """A reply; before it, if that is wanted, one whose call can't be used."""
    if spoil:
        yield ExpertReply(reply.thought, unusable(reply.call, state.rng), learn=False)
        reply = ExpertReply(state.thought("refused", error=state.error), reply.call)
    yield reply


def unusable(call: str, rng: np.random.Generator) -> str:
    """Spoil a call as models do: cut off, misspelt, or missing; with nothing that is read in spite of its slip."""
    body = json.loads(call.removeprefix(CALL_OPEN).removesuffix(CALL_CLOSE))
    name, arguments = body["name"], body["arguments"]
    ways = [
        call.removesuffix("}" + CALL_CLOSE) + CALL_CLOSE,  # a brace is missing
        call.removesuffix("}}" + CALL_CLOSE),  # cut off
        "",  # no call at all
        call + call,
        _call({"segment": "select", "zoom": "zoom_in"}.get(name, name + "_mask"), arguments),
        _call(name, {"rectangle": arguments["box"]} if "box" in arguments else {"target": "it"}),
    ]
    if "box" in arguments:
        x0, y0, x1, y1 = arguments["box"]
        ways += [_call(name, arguments | {"box": [[x0, y0], [x1, y1]]}), _call(name, arguments | {"box": [x0, y0, x1]})]
    return ways[int(rng.integers(len(ways)))]


def beside(box: Box, rng: np.random.Generator, width: int, height: int) -> Box:
    """A box beside this one or of another size, as somebody draws it who has not looked closely; frame pixels."""
    way = int(rng.integers(3))
    if way == 2:
        return around(box, float(rng.uniform(0.5, 1.2)), width, height)
    if way == 1:  # a part of it
        across, down = rng.uniform(0.35, 0.6, 2)
        x, y = box.x0 + rng.uniform(0, 1 - across) * box.width, box.y0 + rng.uniform(0, 1 - down) * box.height
        wrong = Box(x, y, x + across * box.width, y + down * box.height)
    else:
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 0.8)
        dx, dy = np.cos(angle) * box.width * far, np.sin(angle) * box.height * far
        wrong = Box(box.x0 + dx, box.y0 + dy, box.x1 + dx, box.y1 + dy)
    # Never out of the frame, and never nothing.
    x0, y0 = min(max(0.0, wrong.x0), width - 2.0), min(max(0.0, wrong.y0), height - 2.0)
    return Box(x0, y0, max(x0 + 2.0, min(float(width), wrong.x1)), max(y0 + 2.0, min(float(height), wrong.y1)))


def _call(name: str, arguments: dict[str, object]) -> str:
    return CALL_OPEN + json.dumps({"name": name, "arguments": arguments}) + CALL_CLOSE
