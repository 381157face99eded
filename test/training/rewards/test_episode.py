"""The reward of an episode: each term by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes import MALFORMED
from hypothesis import given
from hypothesis import strategies as st
from played import box, play, scene_of, square
from strategies import actions, thousandths

from rsagent_ros.agent.actions import (
    Action,
    Combine,
    Finish,
    ReportAbsent,
    ReportAmbiguous,
    ResetView,
    Segment,
    Zoom,
    render,
)
from rsagent_ros.agent.geometry import Point
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.prediction import is_bad_reply, prediction_of
from rsagent_ros.scoring.score import score
from rsagent_training.rewards import Reward, RewardConfig, episode_reward
from rsagent_training.rewards.process import costs, gains, novelties
from rsagent_training.rewards.quality import best_so_far, masks_by_id, trajectory_iou

ONE = scene_of(square(20, 20, 60, 60))
TWO = scene_of(square(0, 0, 20, 20), square(40, 0, 60, 20))
EITHER = scene_of(square(0, 0, 20, 20), square(40, 0, 60, 20), expected=Outcome.AMBIGUOUS)
NONE = scene_of()

EXACT = Segment(box=box(20, 20, 60, 60))
HALF = Segment(box=box(20, 20, 60, 40))  # IoU 0.5 with ONE
FIFTH = Segment(box=box(20, 20, 60, 28))  # IoU 0.2
GOOD = Segment(box=box(20, 20, 60, 56))  # IoU 0.9
ABSENT = ReportAbsent("there is none")
LEFT, RIGHT, ELSEWHERE = (Segment(box=box(x, 0, x + 20, 20)) for x in (0, 40, 80))


def worth(scene: Example, *script: Action | str, max_turns: int = 8) -> Reward:
    return episode_reward(play(scene, script, max_turns=max_turns), scene)


def finish(mask: int = 1) -> Finish:
    return Finish((mask,))


# --- each term, by hand


def test_a_straight_way_to_the_mask() -> None:
    reward = worth(ONE, EXACT, finish())
    assert reward.final == 1.0
    assert reward.process == pytest.approx((1.0 - 0.02 + 0.01, 0.0))
    assert reward.format == 1.0
    assert reward.total == pytest.approx(1.0 + 0.5 * 0.99 + 0.2)


def test_each_turn_earns_what_it_adds_to_the_best_so_far() -> None:
    reward = worth(ONE, FIFTH, GOOD, HALF, finish(2))
    assert reward.process == pytest.approx((0.2 - 0.02 + 0.01, 0.7 - 0.02 + 0.01, -0.02, 0.0))
    assert reward.final == pytest.approx(0.9)


def test_pixels_to_ignore_are_left_out_of_progress_as_of_the_answer() -> None:
    scene = replace(ONE, ignore=square(60, 20, 100, 60))
    wide = Segment(box=box(20, 20, 100, 60))  # right, but for what counts neither for nor against it
    reward = worth(scene, wide, finish())
    assert reward.final == 1.0
    assert reward.process == pytest.approx((1.0 - 0.02 + 0.01, 0.0))


def test_leaving_a_good_mask_for_a_worse_one_costs_what_was_gained() -> None:
    reward = worth(ONE, FIFTH, GOOD, HALF, finish(3))
    assert reward.process[-1] == pytest.approx(0.5 - 0.9)
    assert reward.final == pytest.approx(0.5)


def test_several_things_are_one_union_in_the_answer_and_earn_one_by_one() -> None:
    reward = worth(TWO, LEFT, RIGHT, Finish((1, 2)))
    assert reward.final == 1.0
    assert reward.process == pytest.approx((0.5 - 0.02 + 0.01, 0.5 - 0.02, 0.0))  # half is found: no novelty any more
    assert worth(TWO, LEFT, Finish((1,))).final == 0.5


def test_one_mask_of_all_things_counts_as_all() -> None:
    reward = worth(TWO, LEFT, RIGHT, Combine((1, 2)), finish(3))
    assert reward.final == 1.0
    assert sum(reward.process) == pytest.approx(1.0 - 3 * 0.02 + 0.01)


def test_an_absent_target_is_right_or_wrong_and_there_is_no_progress() -> None:
    assert worth(NONE, ABSENT) == Reward(1.0, (0.0,), 1.0, 1.0 + 0.2 * 1.0)
    wrong = worth(NONE, LEFT, finish())
    assert wrong.final == -0.2
    assert wrong.process == pytest.approx((-0.02 + 0.01, 0.0))


@pytest.mark.parametrize(
    ("script", "f1"),
    [
        ((LEFT, RIGHT, ReportAmbiguous((1, 2), "which?")), 1.0),
        ((LEFT, RIGHT, ELSEWHERE, ReportAmbiguous((1, 2, 3), "which?")), 0.8),
        ((LEFT, ELSEWHERE, ReportAmbiguous((1, 2), "which?")), 0.5),
        # The same thing twice is one thing.
        ((LEFT, LEFT, ReportAmbiguous((1, 2), "which?")), 0.5),
    ],
)
def test_an_ambiguous_scene_is_worth_the_f1_of_its_candidates(script: tuple[Action, ...], f1: float) -> None:
    reward = worth(EITHER, *script)
    assert reward.final == pytest.approx(f1)
    config = RewardConfig(turn_cost=0.0, novelty_bonus=0.0)
    assert sum(episode_reward(play(EITHER, script), EITHER, config).process) == pytest.approx(f1)


def test_one_of_several_that_fit_is_worth_half_of_its_iou() -> None:
    assert worth(EITHER, LEFT, Finish((1,))).final == pytest.approx(0.5)
    assert worth(EITHER, ABSENT).final == pytest.approx(-0.2)


def test_asking_where_the_words_are_clear_is_worth_half_of_the_candidates() -> None:
    assert worth(ONE, EXACT, HALF, ReportAmbiguous((1, 2), "which?")).final == pytest.approx((1 + 0.5) / 2 / 2)
    assert worth(ONE, FIFTH, LEFT, ReportAmbiguous((1, 2), "which?")).final == pytest.approx(-0.2)


def test_giving_up_is_worth_half_of_the_mask_at_hand_and_its_format() -> None:
    reward = worth(ONE, GOOD, Zoom(box(0, 0, 50, 50)), max_turns=2)
    assert reward.final == pytest.approx(0.45)
    assert reward.format == 1.0
    assert sum(reward.process) == pytest.approx(0.9 - 2 * 0.02 + 0.01)


def test_points_beyond_the_free_ones_cost_in_each_call() -> None:
    points = tuple(Point(300 + 10 * number, 300) for number in range(7))
    script: list[Action] = [Segment(box=EXACT.box, positive=points[:3], negative=points[3:]), EXACT, finish()]
    assert costs(play(ONE, script), True, RewardConfig()) == pytest.approx([0.02 + 0.03, 0.02, 0.0])


def test_novelty_is_for_two_prompts_that_are_elsewhere_while_nothing_is_found() -> None:
    config = RewardConfig()

    def bonuses(*script: Action) -> list[float]:
        trace = play(ONE, script)
        return novelties(trace, best_so_far(trace.turns, masks_by_id(trace), ONE), config)

    nowhere = [Segment(box=box(70, y, 90, y + 20)) for y in (0, 25, 50)]
    assert bonuses(*nowhere, finish()) == [0.01, 0.01, 0.0, 0.0]
    assert bonuses(nowhere[0], nowhere[0], nowhere[1], finish()) == [0.01, 0.0, 0.01, 0.0]
    assert bonuses(EXACT, nowhere[0], finish()) == [0.01, 0.0, 0.0]
    # The same place through another view is the same place.
    closer = Segment(box=box(0, 0, 100, 100))
    assert bonuses(nowhere[0], Zoom(box(70, 0, 90, 20)), closer, finish()) == [0.01, 0.0, 0.0, 0.0]
    # Points are places as well: beside a box of their own size, and two of them one frame's tenth apart.
    inside, beside = (Segment(positive=(Point(x, 100),)) for x in (800, 200))
    assert bonuses(beside, beside, inside, finish()) == [0.01, 0.0, 0.01, 0.0]
    assert bonuses(Segment(box=box(75, 5, 85, 15)), inside, finish()) == [0.01, 0.0, 0.0]
    # A box that no mask came of is no find.
    assert bonuses(Segment(box=box(10, 10, 10, 10)), finish())[0] == 0.0


def test_the_format_is_about_replies_that_could_be_used() -> None:
    assert worth(ONE, MALFORMED, EXACT, finish()).format == 0.5
    assert worth(ONE, finish(), EXACT, finish()).format == 0.5  # a mask that there is not
    assert worth(ONE, MALFORMED, MALFORMED, MALFORMED, EXACT, finish()).format == 0.0
    # A reply that is read in spite of a slip costs no turn, and is not of the format all the same.
    slip = f"<think>It is.</think>{render(finish())}".removesuffix("</tool_call>")
    assert worth(ONE, EXACT, slip).format == 0.5
    # A valid call whose tool had nothing to give is no mistake of format.
    assert worth(ONE, EXACT, ResetView(), finish()).format == 1.0
    assert [is_bad_reply(turn) for turn in play(ONE, [MALFORMED, finish(), EXACT, ResetView(), finish()]).turns] == [
        True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize("opening", ["", "I see it.", "<think></think>", "<think>No end.", "Here.<think>Late.</think>"])
def test_a_reply_without_the_thought_that_the_prompt_asks_for_has_no_full_format(opening: str) -> None:
    assert worth(ONE, EXACT, f"{opening}{render(finish())}").format == pytest.approx(0.9)
    costly = RewardConfig(no_thought_cost=0.5)
    assert episode_reward(play(ONE, [EXACT, f"{opening}{render(finish())}"]), ONE, costly).format == 0.5


@pytest.mark.parametrize("code", [ErrorCode.TOKENS_SPENT, ErrorCode.TIME_SPENT, ErrorCode.CONTEXT_TOO_LONG])
def test_only_an_end_by_its_own_call_or_the_last_turn_is_clean(code: ErrorCode) -> None:
    trace = play(ONE, [GOOD], max_turns=1)
    assert episode_reward(trace, ONE).format == 1.0
    assert episode_reward(replace(trace, error_code=code), ONE).format == 0.0


def test_a_trace_of_another_size_or_without_an_end_is_refused() -> None:
    trace = play(ONE, [EXACT, finish()])
    with pytest.raises(ValueError, match=r"frame of \(100, 100\), scene wide of \(100, 200\)"):
        episode_reward(trace, replace(NONE, id="wide", image=np.zeros((100, 200, 3), dtype=np.uint8)))
    with pytest.raises(ValueError, match="has not ended"):
        episode_reward(replace(trace, outcome=None), ONE)


# --- properties

steps = st.lists(
    st.one_of(
        actions(thousandths, st.just("why")),
        st.sampled_from([EXACT, HALF, FIFTH, LEFT, RIGHT, ABSENT, finish(), finish(2), MALFORMED]),
    ),
    min_size=1,
    max_size=8,
)


@given(steps, st.sampled_from([ONE, TWO, EITHER, NONE]))
def test_gains_telescope_and_rewards_are_bounded(script: list[Action | str], scene: Example) -> None:
    trace = play(scene, script, max_turns=6)
    reward = episode_reward(trace, scene)
    assert len(reward.process) == len(trace.turns) <= 6
    assert -0.2 <= reward.final <= 1.0
    assert 0.0 <= reward.format <= 1.0
    free = episode_reward(trace, scene, RewardConfig(turn_cost=0.0, point_cost=0.0, novelty_bonus=0.0))
    gave_up = trace.outcome is Outcome.GAVE_UP and scene.expected is Outcome.FOUND
    made = score(prediction_of(trace), scene)
    answer = 0.0 if scene is NONE else 2 * made.credit if gave_up else made.credit
    assert sum(free.process) == pytest.approx(answer)
    assert reward.final == pytest.approx(made.value)
    gave_up_itself = trace.error_code in (ErrorCode.NOT_UNDERSTOOD, ErrorCode.UNSURE)
    ended_itself = gave_up_itself or trace.outcome is not Outcome.GAVE_UP
    spent = sum(costs(trace, ended_itself, RewardConfig()))
    assert sum(reward.process) <= answer + 2 * 0.01 - spent + 1e-9
    assert -0.2 - 0.5 * spent - 1e-9 <= reward.total <= 1.0 + 0.5 * 1.0 + 0.2
    assert 0.0 <= trajectory_iou(trace, scene) <= 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9).map(sorted), st.floats(0, 1))
def test_gains_add_up_to_the_answer(best: list[float], answer: float) -> None:
    assert sum(gains(best, answer)) == pytest.approx(answer)


# --- configuration


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"turn_cost": -0.1}, "turn_cost is -0.1; it must be 0 or more"),
        ({"final_weight": float("nan")}, "final_weight is nan"),
        ({"novelty_iou": 1.5}, "novelty_iou is 1.5; it must be 0 to 1"),
        ({"wrong_charge": 0.1}, "wrong_charge is 0.1; with less than 0.2"),
        ({"deviation_floor": 0.0}, "deviation_floor is 0"),
        ({"deviation_floor": -1.0}, "deviation_floor is -1.0; it must be 0 or more"),
        ({"credit": "token"}, "credit is 'token'; it must be episode or turn"),
        ({"novelty_bonus": 0.03}, "novelty_bonus 0.03 is more than turn_cost 0.02"),
    ],
)
def test_constants_that_can_not_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RewardConfig(**change)
