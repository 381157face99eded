"""Which attempts are kept: every filter by a case that only it drops, and the balance by counting."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from played import box, play, scene_of, square

from rsagent_ros.agent.actions import Action, Finish, ReportAmbiguous, Segment, render
from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_training.jobs.filter_report import NothingLeft
from rsagent_training.rewards.quality import trajectory_iou
from rsagent_training.synthesis.attempt import Attempt, from_line, to_line
from rsagent_training.synthesis.config import SynthesisConfig
from rsagent_training.synthesis.selection import Summary, balanced, select, summary

ONE = scene_of(square(20, 20, 60, 60), name="one")
EITHER = scene_of(square(0, 0, 20, 20), square(40, 0, 60, 20), expected=Outcome.AMBIGUOUS, name="either")
SCENES = {scene.id: scene for scene in (ONE, EITHER)}
ANY = SynthesisConfig(balanced=False)

EXACT = Segment(box=box(20, 20, 60, 60))


def attempt(scene: Example, *script: Action | str, name: str = "a", learn: bool = True, max_turns: int = 8) -> Attempt:
    trace = play(scene, script, max_turns=max_turns)
    flags = (learn,) * len(trace.turns)
    return Attempt(name, scene.id, scene.require_expected(), "0", flags, trajectory_iou(trace, scene), trace)


def kept(*attempts: Attempt, config: SynthesisConfig = ANY) -> tuple[list[str], dict[str, dict[str, int]]]:
    """Ids that are kept, and what was dropped; a good one is always among them."""
    good = attempt(ONE, EXACT, Finish((1,)), name="good")
    found = [summary(one, SCENES, config) for one in (good, *attempts)]
    left, filters = select(found, config)
    dropped = {name: reasons for name, reasons in filters.to_json()["dropped"].items() if reasons}
    return [one.id for one in left if one.id != "good"], dropped


def test_an_attempt_survives_its_line() -> None:
    one = attempt(ONE, EXACT, Finish((1,)))
    assert from_line(to_line(one)) == one
    with pytest.raises(ValueError, match="not an attempt"):
        from_line(b"{}")


@pytest.mark.parametrize(
    ("bad", "filter_name", "reason"),
    [
        (attempt(ONE, EXACT, max_turns=1), "the right outcome", "gave_up (TURNS_SPENT) where found is right"),
        (attempt(EITHER, EXACT, Finish((1,))), "the right outcome", "found where ambiguous is right"),
        (attempt(ONE, ValueError("broken")), "the right outcome", "failed (POLICY_FAILED) where found is right"),  # type: ignore[arg-type]
        (attempt(ONE, Segment(box=box(20, 20, 60, 54)), Finish((1,))), "final IoU of at least 0.9", "IoU 0.8 to 0.9"),
        (attempt(ONE, EXACT, Finish((1,)), learn=False), "something to learn", "no turn carries loss"),
        (
            attempt(EITHER, *[Segment(box=box(0, 0, x, 20)) for x in (20, 30)], ReportAmbiguous((1, 2), "?")),
            "final IoU of at least 0.9",
            "candidates that are no thing's mask at IoU 0.8",
        ),
    ],
)  # fmt: skip
def test_each_filter_drops_what_it_is_for(bad: Attempt, filter_name: str, reason: str) -> None:
    left, dropped = kept(bad)
    assert left == []
    assert dropped == {filter_name: {reason: 1}}


def test_episodes_that_are_too_long_are_dropped() -> None:
    long = attempt(ONE, "no call", "no call", EXACT, Finish((1,)))
    assert kept(long)[0] == ["a"]
    assert kept(long, config=replace(ANY, max_turns=3)) == ([], {"at most 3 turns": {"too long": 1}})


def test_the_same_calls_on_the_same_picture_are_one() -> None:
    nearly = Segment(box=Box(203, 200, 600, 600))
    other = Segment(box=EXACT.box, positive=(Point(400, 400),))
    left, dropped = kept(
        attempt(ONE, "<think>In other words.</think>" + render(EXACT), Finish((1,)), name="words"),
        attempt(ONE, nearly, Finish((1,)), name="nearly"),
        attempt(ONE, other, Finish((1,)), name="other"),
    )
    assert left == ["other"]
    assert dropped == {"no duplicates": {"the same calls on the same picture": 2}}


def test_an_empty_set_names_the_filter_that_emptied_it() -> None:
    found = [summary(attempt(ONE, Segment(box=box(20, 20, 60, 40)), Finish((1,))), SCENES, ANY)]
    with pytest.raises(NothingLeft, match=r"left of 1: the filter 'final IoU of at least 0.9' .* \(1 IoU 0.5 to 0.6\)"):
        select(found, ANY)
    with pytest.raises(NothingLeft, match="nothing came in"):
        select([], ANY)


# --- balance


def made_up(outcome: Outcome, turns: int, number: int) -> Summary:
    return Summary(
        f"{outcome}-{turns}-{number}", "s", outcome, outcome, "NONE", 1.0, turns, True, turns, False, number, (), ()
    )


def crowd(counts: dict[tuple[Outcome, int], int]) -> list[Summary]:
    return [made_up(outcome, turns, n) for (outcome, turns), count in counts.items() for n in range(count)]


def test_what_is_over_represented_is_cut_to_its_share_and_turn_counts_are_even() -> None:
    found = crowd(
        {
            (Outcome.FOUND, 2): 130, (Outcome.FOUND, 3): 30, (Outcome.FOUND, 5): 10,
            (Outcome.NOT_IN_VIEW, 2): 25, (Outcome.AMBIGUOUS, 4): 5,
        }
    )  # fmt: skip
    chosen = balanced(found, SynthesisConfig())
    by = Counter((one.expected, one.turns) for one in found if one.id in chosen)
    # Of 200, 70 % are 140: 170 that were found are too many, the others are not.
    assert by[Outcome.NOT_IN_VIEW, 2] == 25
    assert by[Outcome.AMBIGUOUS, 4] == 5
    assert (by[Outcome.FOUND, 2], by[Outcome.FOUND, 3], by[Outcome.FOUND, 5]) == (100, 30, 10)


def test_a_scarce_outcome_costs_the_others_nothing(caplog: pytest.LogCaptureFixture) -> None:
    found = crowd({(Outcome.FOUND, 2): 800, (Outcome.NOT_IN_VIEW, 2): 100, (Outcome.AMBIGUOUS, 3): 3})
    chosen = balanced(found, SynthesisConfig())
    by = Counter(one.expected for one in found if one.id in chosen)
    assert by == {Outcome.FOUND: round(0.7 * 903), Outcome.NOT_IN_VIEW: 100, Outcome.AMBIGUOUS: 3}
    assert not caplog.text
    most_absent = crowd({(Outcome.FOUND, 2): 10, (Outcome.NOT_IN_VIEW, 2): 990})
    kept = len(balanced(most_absent, SynthesisConfig()))
    assert f"keeps {kept} of 1000 trajectories; set balanced to false" in caplog.text


def test_outcomes_that_do_not_occur_are_left_out_of_account() -> None:
    found = crowd({(Outcome.FOUND, 2): 10})
    assert len(balanced(found, SynthesisConfig())) == 10


def test_there_may_be_a_limit_and_there_may_be_no_balance() -> None:
    found = crowd({(Outcome.FOUND, 2): 100, (Outcome.NOT_IN_VIEW, 2): 100, (Outcome.AMBIGUOUS, 3): 100})
    assert len(balanced(found, SynthesisConfig(most=20))) == 20
    found = crowd({(Outcome.FOUND, 2): 90, (Outcome.NOT_IN_VIEW, 2): 10})
    assert len(balanced(found, SynthesisConfig(balanced=False))) == 100


cells = st.dictionaries(
    st.tuples(st.sampled_from([Outcome.FOUND, Outcome.NOT_IN_VIEW, Outcome.AMBIGUOUS]), st.integers(1, 8)),
    st.integers(1, 12),
)


@given(cells)
def test_no_outcome_has_more_than_its_share_and_only_such_are_cut(counts: dict[tuple[Outcome, int], int]) -> None:
    found = crowd(counts)
    config = SynthesisConfig()
    chosen = [one for one in found if one.id in balanced(found, config)]
    there = {outcome for outcome, _ in counts}
    whole = sum(config.shares[outcome] for outcome in there)
    for outcome in there:
        cap = round(len(found) * config.shares[outcome] / whole)
        before = sum(one.expected is outcome for one in found)
        assert sum(one.expected is outcome for one in chosen) == min(before, cap)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_scene": 0}, "per_scene is 0; it must be 1 or more"),
        ({"min_iou": 1.1}, "min_iou is 1.1; it must be 0 to 1"),
        ({"budget_seconds": 0.0}, "budget_seconds is 0.0"),
        ({"found": 0.0, "not_in_view": 0.0, "ambiguous": 0.0}, "are all 0; let at least one be more"),
    ],
)
def test_settings_that_can_not_be_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SynthesisConfig(**change)
