"""A candidate's models in the place of those that the parameters choose."""

from __future__ import annotations

from rsagent_ros.backends import Choice
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.shadow.model_choice import chosen_by, with_models
from rsagent_ros.shadow.candidate import CandidateModels


def test_a_candidate_takes_the_place_of_what_the_parameters_choose() -> None:
    parameters = NodeParameters(policy="local", tracker="sam2_video", calibration="/mine.json", max_turns=3)
    mine = {"local.checkpoint": "/model", "local.lora": "/old", "sam2.checkpoint": "/sam2"}
    parameters = NodeParameters(**{**vars(parameters), "backends": {**parameters.backends, **mine}})
    candidate = CandidateModels(Choice("local", settings={"local.checkpoint": "/model"}), "/its.json")
    then = with_models(candidate, parameters)
    assert chosen_by(then) == candidate
    assert then.backends["local.lora"] == ""  # what its file leaves out is at its default
    assert then.backends["sam2.checkpoint"] == "/sam2"  # the tracker is not up to it
    assert (then.tracker, then.max_turns, then.calibration) == ("sam2_video", 3, "/its.json")
    with_sam2 = CandidateModels(Choice(segmenter="sam2", settings={"sam2.checkpoint": "/other"}))
    assert with_models(with_sam2, parameters).backends["sam2.checkpoint"] == "/other"
    assert with_models(chosen_by(parameters), parameters) is parameters
