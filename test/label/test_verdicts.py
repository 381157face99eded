"""What judgements say."""

from __future__ import annotations

import numpy as np
import pytest
from fakes import ABSENT, POLICY_SCRIPTS
from recorded import recorded

from rsagent_ros.agent.mask import encode_rle
from rsagent_ros.label.verdicts import MAX_NOTE, Judgement, mask_at_hand, says_the_same, state_of, tidy, verdict_for
from rsagent_ros.records.record import Verdict, answer_mask

DRAWN = np.zeros((48, 64), np.bool_)
DRAWN[3:9, 5:20] = True


@pytest.mark.parametrize(
    ("script", "judgement", "accepted", "absent", "state"),
    [
        ("instant", "accept", True, False, "accepted"),
        ("instant", "reject", False, False, "rejected"),
        ("instant", "absent", False, True, "absent"),
        ("absent", "accept", True, True, "accepted"),
        ("absent", "absent", True, True, "accepted"),
        ("absent", "reject", False, False, "rejected"),
        ("ambiguous", "accept", True, False, "accepted"),
    ],
)
def test_judgements(script: str, judgement: Judgement, accepted: bool, absent: bool, state: str) -> None:
    verdict = verdict_for(recorded(POLICY_SCRIPTS[script]), judgement, " what was meant\n")
    assert (verdict.accepted, verdict.absent, verdict.mask) == (accepted, absent, None)
    assert (verdict.source, verdict.goal_id, verdict.note) == ("operator", "goal-1", "what was meant")
    assert state_of(verdict) == state


@pytest.mark.parametrize("script", ["instant", "absent"])
def test_a_correction_is_the_mask_and_nothing_else(script: str) -> None:
    verdict = verdict_for(recorded(POLICY_SCRIPTS[script]), "correct", masks=[encode_rle(DRAWN)])
    assert verdict.mask is not None
    assert (verdict.mask == DRAWN).all()
    assert (verdict.accepted, verdict.absent, state_of(verdict)) == (False, False, "corrected")


def test_an_answer_that_is_none_can_not_be_accepted() -> None:
    with pytest.raises(ValueError, match="nothing to accept"):
        verdict_for(recorded(("no call",) * 8), "accept")


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (encode_rle(DRAWN[:-1]), r"the mask is \(47, 64\)"),
        (encode_rle(np.zeros_like(DRAWN)), "empty"),
        ({"size": [48, 64], "counts": "zz"}, "RLE"),
        ({"size": [48, 64], "counts": 5}, "RLE"),
        ("all of it", "RLE"),
        (None, "RLE"),
    ],
)
def test_masks_that_are_no_truth(mask: object, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        verdict_for(recorded(), "correct", masks=[mask])


def test_a_correction_of_several_things_keeps_them_apart() -> None:
    left, right = DRAWN, np.roll(DRAWN, 30, 1)
    verdict = verdict_for(recorded(), "correct", masks=[encode_rle(left), encode_rle(right)], annotator=" Ada\n")
    assert verdict.mask is not None
    assert (verdict.mask == (left | right)).all()
    assert all(map(np.array_equal, verdict.instances, (left, right)))
    assert verdict.annotator == "Ada"
    example = recorded(verdicts=(verdict,)).to_example()
    assert all(map(np.array_equal, example.masks, (left, right)))
    with pytest.raises(ValueError, match="65 masks"):
        verdict_for(recorded(), "correct", masks=[encode_rle(left)] * 65)


def test_a_name_is_no_essay() -> None:
    with pytest.raises(ValueError, match="the name has 101 characters"):
        verdict_for(recorded(), "accept", annotator="x" * 101)


def test_a_correction_has_a_mask() -> None:
    with pytest.raises(ValueError, match="a correction has a mask"):
        verdict_for(recorded(), "correct")


def test_a_mask_belongs_to_nothing_but_a_correction() -> None:
    with pytest.raises(ValueError, match="belongs to a correction"):
        verdict_for(recorded(), "accept", masks=[encode_rle(DRAWN)])


def test_a_note_keeps_what_a_person_said_before() -> None:
    mine = Verdict("goal-1", "operator", accepted=False, mask=DRAWN, stamp_ns=5)
    gripper = Verdict("goal-1", "grasp", accepted=True, stamp_ns=9)
    verdict = verdict_for(recorded(verdicts=(mine, gripper)), "note", "the left one")
    assert verdict.mask is DRAWN
    assert (verdict.source, verdict.note) == ("operator", "the left one")
    with pytest.raises(ValueError, match="nobody has judged"):
        verdict_for(recorded(verdicts=(gripper,)), "note", "the left one")


def test_of_verdicts_of_one_moment_the_last_one_counts() -> None:
    first = Verdict("goal-1", "operator", accepted=False, mask=DRAWN)
    last = Verdict("goal-1", "operator", accepted=False, mask=~DRAWN)
    assert mask_at_hand(recorded(verdicts=(first, last))) is last.mask


def test_notes_are_plain_text() -> None:
    assert tidy(" a\x00b\x1b[31m\u0085\tc\nd\ud800 ") == "ab[31m\tc\nd?"
    assert len(tidy("x" * MAX_NOTE)) == MAX_NOTE
    with pytest.raises(ValueError, match="2001 characters"):
        tidy("x" * (MAX_NOTE + 1))


def test_what_says_the_same() -> None:
    one = Verdict("goal-1", "operator", accepted=False, mask=DRAWN, note="n", stamp_ns=1)
    assert says_the_same(one, Verdict("goal-1", "operator", accepted=False, mask=DRAWN.copy(), note="n", stamp_ns=2))
    for other in (
        Verdict("goal-1", "operator", accepted=False, mask=~DRAWN, note="n"),
        Verdict("goal-1", "operator", accepted=False, note="n"),
        Verdict("goal-1", "grasp", accepted=False, mask=DRAWN, note="n"),
        Verdict("goal-1", "operator", accepted=False, mask=DRAWN, note=""),
        Verdict("goal-1", "operator", accepted=False, mask=DRAWN, note="n", annotator="Ada"),
        Verdict("goal-1", "operator", accepted=False, mask=DRAWN, note="n", instances=(DRAWN,)),
    ):
        assert not says_the_same(one, other)


def test_a_correction_starts_from_the_last_one_or_the_answer() -> None:
    record = recorded()
    answer = answer_mask(record.trace)
    assert answer is not None
    at_hand = mask_at_hand(record)
    assert at_hand is not None
    assert (at_hand == answer).all()
    mine = Verdict("goal-1", "operator", accepted=False, mask=DRAWN, stamp_ns=5)
    assert mask_at_hand(recorded(verdicts=(mine,))) is DRAWN
    assert mask_at_hand(recorded((ABSENT,))) is None
