"""Outcomes and error codes have the numbers of the message; a Result sums up what it holds."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.outcome import ErrorCode, Instance, Outcome, Result

CONSTANT = re.compile(r"^(uint8|uint16) ([A-Z_]+)=(\d+)", re.MULTILINE)


def instance(x0: int, x1: int, confidence: float) -> Instance:
    mask = np.zeros((4, 8), dtype=np.bool_)
    mask[:, x0:x1] = True
    return Instance(mask, Box(x0, 0, x1, 4), confidence, 1)


def test_numbers_are_those_of_the_message() -> None:
    message = (Path(__file__).parents[2] / "msg" / "Result.msg").read_text()
    constants = CONSTANT.findall(message)
    outcomes = {name: int(number) for kind, name, number in constants if kind == "uint8"}
    codes = {name: int(number) for kind, name, number in constants if kind == "uint16"}
    assert outcomes == {"UNKNOWN": 0} | {outcome.name: number for number, outcome in enumerate(Outcome, 1)}
    assert codes == {code.name: code.value for code in ErrorCode}


def test_result_without_instances_has_neither_mask_nor_confidence() -> None:
    assert Result(Outcome.NOT_IN_VIEW).mask() is None
    assert Result(Outcome.NOT_IN_VIEW).confidence is None


def test_result_joins_its_instances_and_is_as_sure_as_the_least_sure() -> None:
    left, right = instance(0, 3, 0.9), instance(2, 5, 0.6)
    result = Result(Outcome.FOUND, instances=(left, right))
    joined = result.mask()
    assert joined is not None
    np.testing.assert_array_equal(joined, left.mask | right.mask)
    assert not np.shares_memory(joined, left.mask)
    assert result.confidence == 0.6


def test_a_question_is_as_sure_as_its_surest_candidate() -> None:
    candidates = (instance(0, 3, 0.9), instance(2, 5, 0.6))
    assert Result(Outcome.AMBIGUOUS, candidates=candidates).confidence == 0.9
    assert Result(Outcome.AMBIGUOUS, candidates=candidates).mask() is None
