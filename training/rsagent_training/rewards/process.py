"""Process reward: the progress of each turn towards the answer, less its cost.

The progress of an episode telescopes: whatever way it takes, the gains of its turns add up to the quality of its
answer, because a good mask that is left for a worse answer is paid back at the last turn. So gains say which turn did
it and can't be farmed (Ng, Harada and Russell, 1999: potential-based shaping).
"""

from __future__ import annotations

from rsagent_ros.agent.geometry import Box, Point, View
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_training.rewards.config import RewardConfig

POINT_SHARE = 0.1
"""Sides of the box that a point stands for, as a share of the frame's."""


def gains(best: list[float], answer: float) -> list[float]:
    """Progress of each turn; the sum is `answer`.

    Args:
        best: After each turn, the best quality so far; never falls.
        answer: Quality of what the episode ended with.
    """
    before = [0.0, *best]
    earned = [after - earlier for earlier, after in zip(before, best, strict=False)]
    if earned:
        # The answer is what the last turn leads to: what it adds to the best so far, or what it leaves behind.
        earned[-1] += answer - best[-1]
    return earned


def costs(trace: Trace, ended_itself: bool, config: RewardConfig) -> list[float]:
    """Cost of each turn, >= 0: the turn itself unless it ended the episode, and each point beyond the free ones.

    A reply that could not be used costs its turn too: else such replies would be a cheap way to wait.
    """
    last = len(trace.turns) - 1
    return [
        (0.0 if number == last and ended_itself else config.turn_cost)
        + config.point_cost * max(0, _points(turn) - config.free_points)
        for number, turn in enumerate(trace.turns)
    ]


def novelties(trace: Trace, best: list[float], config: RewardConfig) -> list[float]:
    """The bonus of each turn for a mask whose prompt is elsewhere than every earlier one."""
    boxes: list[Box] = []
    bonuses = []
    given = 0
    for turn, before in zip(trace.turns, [0.0, *best], strict=False):
        box = _box(turn, trace)
        new = (
            box is not None
            and turn.mask_id > 0
            and before < config.novelty_below
            and given < config.novelty_limit
            and all(box.iou(earlier) < config.novelty_iou for earlier in boxes)
        )
        given += new
        bonuses.append(config.novelty_bonus if new else 0.0)
        if box is not None:
            boxes.append(box)
    return bonuses


def _points(turn: Turn) -> int:
    arguments = turn.arguments or {}
    return len(arguments.get("positive", ())) + len(arguments.get("negative", ()))


def _box(turn: Turn, trace: Trace) -> Box | None:
    """The place that a segment call points at, in pixels of the frame; such a call leaves the view as it was.

    Its box, or a box around its positive points; None where it has neither.
    """
    arguments = turn.arguments or {}
    if turn.tool != "segment":
        return None
    view = View(*turn.view, frame_width=trace.width, frame_height=trace.height)
    if "box" in arguments:
        return view.box_to_frame(Box(*arguments["box"]))
    points = [view.to_frame(Point(*point)) for point in arguments.get("positive", ())]
    if not points:
        return None
    across, down = (POINT_SHARE * side / 2 for side in (trace.width, trace.height))
    return Box(
        min(point.x for point in points) - across,
        min(point.y for point in points) - down,
        max(point.x for point in points) + across,
        max(point.y for point in points) + down,
    )
