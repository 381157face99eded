"""Episodes with second looks, for the tests of what comes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from fakes import (
    MIDDLE,
    FakePolicy,
    FakeSegmenter,
    Step,
)

from rsagent_ros.agent.actions import Finish, Segment, render
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.turn import Trace

FRAME = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
FINISH_2, FINISH_BOTH = render(Finish((2,))), render(Finish((1, 2)))
ALMOST_MIDDLE = render(Segment(box=Box(MIDDLE.x0, MIDDLE.y0, MIDDLE.x1, MIDDLE.y1 + 10)))
SECOND_LOOK = Budget(seconds=600.0, second_look=True)


def begin(budget: Budget = SECOND_LOOK) -> Episode:
    return Episode(FRAME, "the mug", FakeSegmenter(), budget)


def driven(script: Sequence[Step], looks: Sequence[Step], budget: Budget = SECOND_LOOK) -> tuple[Episode, FakePolicy]:
    episode, policy = begin(budget), FakePolicy(script, looks=looks)
    drive(episode, policy)
    assert policy.open_conversations == 0
    assert Trace.from_json(episode.trace.to_json()) == episode.trace
    return episode, policy


def verdicts(episode: Episode) -> list[list[tuple[int, str, int]]]:
    return [[(look.mask_id, look.verdict, look.same_as) for look in turn.second_looks] for turn in episode.trace.turns]
