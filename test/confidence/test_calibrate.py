"""A calibration learns what is in the answers, and says so of answers that it has not seen."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from rsagent_ros.confidence.calibrate import (
    KINDS,
    JudgedAnswer,
    best_kind,
    brier,
    calibrate,
    out_of_fold,
    vectors,
)
from rsagent_ros.confidence.calibration import Kind, raw_confidence
from rsagent_ros.confidence.evidence import Evidence
from rsagent_ros.confidence.measures import ece, kept, worth


def drawn(count: int, seed: int = 0) -> list[JudgedAnswer]:
    """Answers that claim 0.85 to 1 and are right far less often: the more rivals and mistakes, the less."""
    rng = np.random.default_rng(seed)
    answers = []
    for _ in range(count):
        score, rival, mistakes = rng.uniform(0.85, 1.0), rng.uniform(), rng.uniform(0, 1.5)
        chance = 1 / (1 + np.exp(-(2.0 - 4.0 * rival - 1.0 * mistakes + 20 * (score - 0.92))))
        agreement = float("nan") if rng.uniform() < 0.5 else rng.uniform(0.5, 1.0)
        evidence = Evidence(score, 1.0, agreement, 0.0, rival, rng.uniform(), mistakes)
        right = bool(rng.uniform() < chance)
        answers.append(JudgedAnswer(evidence, right, "policy", "segmenter"))
    return answers


def truth(answers: list[JudgedAnswer]) -> NDArray[np.bool_]:
    return np.array([answer.right for answer in answers])


@pytest.mark.parametrize("kind", KINDS)
def test_confidences_mean_what_they_say_on_answers_not_seen(kind: Kind) -> None:
    calibration = calibrate(drawn(600), kind)
    unseen = drawn(2000, seed=1)
    before, after = raw_confidence(vectors(unseen)), calibration.confidences(vectors(unseen))
    assert ece(before, truth(unseen)) > 0.3
    assert ece(after, truth(unseen)) < 0.07
    assert brier(after, truth(unseen)) < brier(before, truth(unseen))
    assert ((after >= 0) & (after <= 1)).all()
    assert calibration.kind == kind
    assert (calibration.policy, calibration.segmenter) == ("policy", "segmenter")


def test_evidence_beyond_the_score_puts_the_wrong_answers_last() -> None:
    unseen = drawn(2000, seed=1)
    platt = worth(calibrate(drawn(600), "platt").confidences(vectors(unseen)), truth(unseen))
    isotonic = worth(calibrate(drawn(600), "isotonic").confidences(vectors(unseen)), truth(unseen))
    assert platt.aurc < isotonic.aurc - 0.05
    assert calibrate(drawn(600)).kind == "platt"


def test_auto_takes_steps_where_there_is_nothing_else_and_many_answers() -> None:
    rng = np.random.default_rng(3)
    scores = rng.uniform(0, 1, 1500)
    evidence = np.tile(Evidence(0.5, 1.0, 0.5, 0.0, 0.0, 0.5, 0.0).vector(), (1500, 1))
    evidence[:, 0] = scores
    right = (scores > 0.3) & (rng.uniform(size=1500) < 0.9) | (scores > 0.8)
    assert best_kind(evidence, right) == "isotonic"
    assert best_kind(evidence[:400], right[:400]) == "platt"


def test_the_same_answers_give_the_same_calibration_in_any_number_of_runs() -> None:
    assert calibrate(drawn(200)) == calibrate(drawn(200))


def test_a_threshold_keeps_fewer_and_better_answers() -> None:
    answers = drawn(600)
    confidence = out_of_fold(vectors(answers), truth(answers), "platt")
    shares = [kept(confidence, truth(answers), level) for level in (0.0, 0.5, 0.8)]
    assert shares[0][0] == 1.0
    assert shares[0][0] > shares[1][0] > shares[2][0] > 0
    rights = [right for _, right in shares if right is not None]
    assert rights == sorted(rights)
    assert rights[2] > 0.75
    assert kept(confidence, truth(answers), 1.01) == (0.0, None)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        (drawn(19), "needs 20"),
        ([one for one in drawn(300) if one.right], "5 right and 5 wrong"),
        ([], "0 answers"),
    ],
)
def test_too_little_to_calibrate_with(answers: list[JudgedAnswer], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        calibrate(answers)


def test_answers_of_two_policies_are_not_mixed() -> None:
    mixed = [*drawn(50), JudgedAnswer(drawn(1)[0].evidence, True, "another", "segmenter")]
    with pytest.raises(ValueError, match="calibrate each by itself"):
        calibrate(mixed)


def test_isotonic_steps_by_hand() -> None:
    scores = [0.1] * 10 + [0.4] * 5 + [0.6] * 5 + [0.9] * 10
    rights = [False] * 10 + [True] * 3 + [False] * 2 + [True] * 2 + [False] * 3 + [True] * 10
    answers = [
        JudgedAnswer(Evidence(score, 1.0, 1.0, 0.0, 0.0, 0.5, 0.0), right)
        for score, right in zip(scores, rights, strict=True)
    ]
    calibration = calibrate(answers, "isotonic")
    # 0.6 of those at 0.4 and 0.4 of those at 0.6 are right: a step may not fall, so both get 0.5.
    assert calibration.knots == pytest.approx((0.1, 0.4, 0.6, 0.9))
    assert calibration.levels == pytest.approx((0.0, 0.5, 0.5, 1.0))


def test_platt_by_hand() -> None:
    """The mean of Platt's targets, (25 + 1) / (25 + 2) and 1 / (15 + 2), where the evidence tells nothing."""
    answers = [JudgedAnswer(Evidence(0.5, 1.0, 0.5, 0.0, 0.0, 0.5, 0.0), number < 25) for number in range(40)]
    calibration = calibrate(answers, "platt")
    share = (25 * 26 / 27 + 15 * 1 / 17) / 40
    assert calibration.weights == pytest.approx((0.0,) * len(calibration.weights))
    assert calibration.confidence(answers[0].evidence) == pytest.approx(share)


def test_without_scikit_learn_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ValueError, match=r"pip install .*\[evaluation\]"):
        calibrate(drawn(200))


def test_calibration_error_by_hand() -> None:
    confidence, right = np.array([0.95, 0.95, 0.15, 0.15]), np.array([True, False, False, False])
    assert ece(confidence, right) == pytest.approx((2 * 0.45 + 2 * 0.15) / 4)
    assert worth(np.array([1.0, 1.0]), np.array([True, True])).ece == 0.0
