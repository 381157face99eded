"""Whole groups of episodes: whatever is tried to earn more than the answer is worth, honesty has the advantage."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from fakes import MALFORMED
from played import box, play, scene_of, square

from rsagent_ros.agent.actions import (
    Action,
    Combine,
    Finish,
    GiveUp,
    ReportAbsent,
    ReportAmbiguous,
    ResetView,
    Segment,
    Zoom,
)
from rsagent_ros.agent.geometry import Point
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_training.rewards import RewardConfig, credit, episode_reward

DEFAULTS = RewardConfig()

ONE = scene_of(square(20, 20, 60, 60))
EITHER = scene_of(square(0, 0, 20, 20), square(40, 0, 60, 20), expected=Outcome.AMBIGUOUS)
NONE = scene_of()

EXACT = Segment(box=box(20, 20, 60, 60))
HALF = Segment(box=box(20, 20, 60, 40))  # IoU 0.5 with ONE
FIFTH = Segment(box=box(20, 20, 60, 28))  # IoU 0.2
TENTH = Segment(box=box(20, 20, 60, 23))  # IoU 0.075: another object
ABSENT = ReportAbsent("there is none")
LEFT, RIGHT, ELSEWHERE = (Segment(box=box(x, 0, x + 20, 20)) for x in (0, 40, 80))
QUESTION = ReportAmbiguous((1, 2), "which?")
GIVE_UP: list[Action] = [ResetView()] * 8
"""Turns until the limit."""

CAN_NOT_TELL = GiveUp("I can't tell.")

Script = Sequence[Action | str]


def finish(mask: int = 1) -> Finish:
    return Finish((mask,))


def advantages(
    scene: Example, scripts: Sequence[Script], config: RewardConfig = DEFAULTS, max_turns: int = 8
) -> list[float]:
    """Advantages of a group that plays each script once: one for each, the same for all its turns."""
    rewards = [episode_reward(play(scene, script, max_turns=max_turns), scene, config) for script in scripts]
    return [turns[0] for turns in credit(rewards, config)]


RANKED: dict[str, tuple[Example, list[list[Script]]]] = {
    "present": (
        ONE,
        [
            [[EXACT, finish()]],
            [[HALF, finish()]],
            [[HALF, *GIVE_UP], [TENTH, *GIVE_UP], GIVE_UP, [CAN_NOT_TELL], [HALF, CAN_NOT_TELL]],
            [
                [TENTH, finish()],
                [ELSEWHERE, finish()],
                [HALF, ELSEWHERE, finish(2)],
                [ABSENT],
                [HALF, ABSENT],
                [LEFT, RIGHT, QUESTION],
            ],
        ],
    ),
    "absent": (
        NONE,
        [[[ABSENT], [LEFT, ABSENT]], [GIVE_UP, [CAN_NOT_TELL]], [[LEFT, finish()], [LEFT, RIGHT, QUESTION]]],
    ),
    "ambiguous": (
        EITHER,
        [
            [[LEFT, RIGHT, QUESTION]],
            [[LEFT, finish()]],
            [[LEFT, *GIVE_UP], GIVE_UP, [CAN_NOT_TELL]],
            [[ELSEWHERE, finish()], [LEFT, ABSENT], [ABSENT], [ELSEWHERE, ELSEWHERE, QUESTION]],
        ],
    ),
}
"""For each truth what can be done, the best first; what stands in one list is not compared."""


@pytest.mark.parametrize("config", [RewardConfig(), RewardConfig(wrong_charge=0.5), RewardConfig(deviation_floor=None)])
@pytest.mark.parametrize("truth", RANKED)
def test_right_is_worth_more_than_partly_right_than_giving_up_than_misleading(truth: str, config: RewardConfig) -> None:
    scene, ranks = RANKED[truth]
    group = advantages(scene, [script for rank in ranks for script in rank], config)
    found = iter(group)
    by_rank = [[next(found) for _ in rank] for rank in ranks]
    for better, worse in pairwise(by_rank):
        assert min(better) > max(worse)


def test_a_wrong_answer_early_is_worth_less_than_giving_up_late() -> None:
    """What the hole in the reward was: two more looks and an honest end earned less than any mask called found."""
    wrong, gave_up = advantages(ONE, [[ELSEWHERE, finish()], [ELSEWHERE, LEFT, RIGHT, *GIVE_UP]])
    assert wrong < 0 < gave_up


@pytest.mark.parametrize(
    ("scene", "right", "wrong"),
    [
        (ONE, [EXACT, finish()], [ELSEWHERE, finish()]),
        (ONE, [EXACT, finish()], [ABSENT]),
        (NONE, [ABSENT], [LEFT, finish()]),
        (EITHER, [LEFT, RIGHT, QUESTION], [ELSEWHERE, LEFT, finish()]),
    ],
)
def test_trying_is_better_than_giving_up_if_three_in_ten_come_right(
    scene: Example, right: Script, wrong: Script
) -> None:
    """Ten episodes of a policy that tries, three of them right, and ten of one that gives up at once."""
    for surrender in ([CAN_NOT_TELL], [ResetView()] * 3):
        group = advantages(scene, [*[right] * 3, *[wrong] * 7, *[surrender] * 10], max_turns=3)
        tries, gives_up = group[:10], group[10:]
        assert sum(tries) > 0 > sum(gives_up)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param([FIFTH, HALF, EXACT, finish(3)], id="slowly up"),
        pytest.param([FIFTH, EXACT, FIFTH, EXACT, FIFTH, EXACT, finish(6)], id="up and down again"),
        pytest.param([EXACT, EXACT, EXACT, EXACT, finish()], id="the same call again"),
        pytest.param([EXACT, Combine((1,)), Combine((2,)), finish(3)], id="copies of a mask"),
        pytest.param([EXACT, Zoom(box(0, 0, 50, 50)), ResetView(), Zoom(box(0, 0, 50, 50)), finish()], id="looking"),
        pytest.param([EXACT, MALFORMED, MALFORMED, MALFORMED, finish()], id="padding with what can't be read"),
        pytest.param([MALFORMED, ResetView(), ResetView(), EXACT, finish()], id="padding after a bad reply"),
        pytest.param([Segment(box=EXACT.box, positive=(Point(400, 400),) * 32), finish()], id="point spam"),
        pytest.param([LEFT, RIGHT, ELSEWHERE, EXACT, finish(4)], id="prompts all over for novelty"),
        pytest.param(
            [*(Segment(positive=(Point(x, 900),)) for x in (100, 500, 900)), EXACT, finish(4)],
            id="points all over for novelty",
        ),
        pytest.param([EXACT] * 8, id="never ending"),
        pytest.param([FIFTH, finish()], id="ending early"),
        pytest.param([ABSENT], id="claiming absent"),
        pytest.param([EXACT, ABSENT], id="claiming absent with the mask in hand"),
        pytest.param([EXACT, HALF, ReportAmbiguous((1, 2), "?")], id="asking instead"),
        pytest.param([EXACT, LEFT, Finish((1, 2))], id="all masks at once"),
    ],
)
def test_no_detour_has_the_advantage_over_the_straight_way(script: list[Action | str]) -> None:
    straight: Script = [EXACT, finish()]
    *_, tried = advantages(ONE, [straight, straight, straight, script])
    assert tried < 0


def test_up_and_down_is_worth_less_than_going_straight_to_the_same_mask() -> None:
    straight, detour = advantages(ONE, [[HALF, finish()], [FIFTH, EXACT, HALF, finish(3)]])
    assert straight > detour
    # Less by the turns it took alone, since what was gained on the way up is paid back: far under the floor.
    assert straight - detour < 0.5


def test_every_turn_that_is_padded_costs() -> None:
    for padding in (MALFORMED, ResetView(), EXACT, Combine((1,)), finish(9)):
        levels = advantages(ONE, [[EXACT, *[padding] * count, finish()] for count in range(5)])
        assert all(more < fewer for fewer, more in pairwise(levels)), padding


def test_where_the_target_is_absent_nothing_beats_saying_so() -> None:
    others: list[Script] = [
        [LEFT, ABSENT], [LEFT, RIGHT, ELSEWHERE, ABSENT], [LEFT, finish()], [LEFT] * 8, [MALFORMED] * 8,
    ]  # fmt: skip
    best, *rest = advantages(NONE, [[ABSENT], *others])
    assert best > max(rest)


def test_claiming_absent_on_every_scene_is_worth_less_than_trying() -> None:
    """Half of the scenes absent, and masks of IoU 0.5 on the rest: an honest try has the advantage over the claim."""
    lazy, honest = advantages(ONE, [[ABSENT], [HALF, finish()]])
    assert honest > lazy
    of_absent = advantages(NONE, [[ABSENT], [ABSENT]])
    assert of_absent == [0.0, 0.0]
