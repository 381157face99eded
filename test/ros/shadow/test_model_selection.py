"""Which models may become active, on which evidence. Without DDS."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import rclpy
from shadow_cases import proof

from rsagent_ros.backends import Choice
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.shadow.model_choice import store_promotions, stored_promotions
from rsagent_ros.ros.shadow.model_selection import ModelSelection, PromotionRefused
from rsagent_ros.ros.shadow.shadow_comparison import ShadowComparison
from rsagent_ros.shadow.candidate import CandidateModels
from rsagent_ros.shadow.paired_result import PairedResult
from rsagent_ros.shadow.promotion import Promotions

SMALL, LARGE = CandidateModels(Choice(view_side=128)), CandidateModels(Choice(view_side=256))


def better(candidate: CandidateModels, incumbent: CandidateModels | None = None) -> PairedResult:
    """The end of a comparison in which the candidate was clearly better."""
    return proof(incumbent or CandidateModels(), candidate)


class Comparison:
    """The end of a comparison."""

    def __init__(self, candidate: CandidateModels | None = SMALL, problem: str = "") -> None:
        self.candidate = candidate
        self.result = None if candidate is None else better(candidate)
        self.problem = problem


@pytest.fixture
def parameters(tmp_path: Path) -> NodeParameters:
    return NodeParameters(record_dir=str(tmp_path))


@pytest.fixture
def selection(parameters: NodeParameters) -> ModelSelection:
    """The parameters' own choice is active."""
    selection = ModelSelection(rclpy.logging.get_logger("test"))
    (mine,) = selection.to_load(parameters)
    selection.loaded(mine, parameters)
    return selection


def refusal(selection: ModelSelection, parameters: NodeParameters, comparison: Comparison) -> str:
    with pytest.raises(PromotionRefused) as refused:
        selection.promotion(parameters, cast(ShadowComparison, comparison))
    return str(refused.value)


def test_a_change_is_written_down_once_its_models_are_active(
    selection: ModelSelection, parameters: NodeParameters
) -> None:
    change = selection.promotion(parameters, cast(ShadowComparison, Comparison()))
    assert (change.wanted, change.before) == (SMALL, CandidateModels())
    assert selection.to_load(parameters) == [CandidateModels()]
    selection.loaded(SMALL, parameters)
    selection.settle(change, parameters)
    assert selection.to_load(parameters) == [SMALL, CandidateModels()]
    back = selection.rollback(parameters)
    assert (back.wanted, back.before) == (CandidateModels(), SMALL)
    selection.loaded(CandidateModels(), parameters)
    selection.settle(back, parameters)
    assert selection.to_load(parameters) == [CandidateModels()]


def test_a_change_whose_models_could_not_be_loaded_is_not_written_down(
    selection: ModelSelection, parameters: NodeParameters
) -> None:
    change = selection.promotion(parameters, cast(ShadowComparison, Comparison()))
    selection.loaded(CandidateModels(), parameters, f"{SMALL.name} can't be loaded: there are no weights")
    with pytest.raises(PromotionRefused, match=r"not promoted: .* can't be loaded: there are no weights"):
        selection.settle(change, parameters)
    assert stored_promotions(parameters) == Promotions()


def test_without_a_comparison_nothing_is_promoted(selection: ModelSelection, parameters: NodeParameters) -> None:
    assert refusal(selection, parameters, Comparison(None)) == "nothing to promote: there is no comparison under way"


def test_a_comparison_that_has_failed_promotes_nothing(selection: ModelSelection, parameters: NodeParameters) -> None:
    problem = "given up after 5 tries in a row: it was killed by SIGSEGV"
    assert refusal(selection, parameters, Comparison(problem=problem)).endswith(problem)


def test_what_was_promoted_and_can_not_be_loaded_has_to_be_rolled_back_first(
    selection: ModelSelection, parameters: NodeParameters
) -> None:
    store_promotions(parameters, Promotions().promote(LARGE, CandidateModels(), better(LARGE)))
    assert selection.to_load(parameters) == [LARGE, CandidateModels()]
    selection.loaded(CandidateModels(), parameters, "256 pixels can't be loaded: there are no weights")
    told = refusal(selection, parameters, Comparison())
    assert "256 pixels was promoted before and can't be loaded; call ~/rollback first" in told
    assert "256 pixels can't be loaded: there are no weights" in selection.problem
    back = selection.rollback(parameters)
    assert selection.to_load(parameters, [back.wanted]) == [CandidateModels()]
    selection.loaded(CandidateModels(), parameters)
    assert selection.problem == ""


def test_parameters_that_were_not_taken_over_are_told(selection: ModelSelection, parameters: NodeParameters) -> None:
    changed = NodeParameters(**{**vars(parameters), "view_side": 512})
    assert "clean up and configure the node first" in refusal(selection, changed, Comparison())
    with pytest.raises(PromotionRefused, match="clean up and configure the node first"):
        selection.rollback(changed)
