"""SAM 3 over a tiny random network from disk: words and prompts by one pass of the backbone, faults, episodes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch
from fakes import FINISH, SEGMENT, FakePolicy
from sam2_cases import BOX, POINT, picture
from transformers import Sam3Model, Sam3VideoModel
from transformers.models.sam3.modeling_sam3 import Sam3ViTModel

from rsagent_ros.agent.actions import Find, Finish, Segment, Zoom, render
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed, ToolFailed
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import decode_rle
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.segmenter import MaskPrompt, PhraseSegmenter
from rsagent_ros.segmenters.sam2_tensors import to_pixels
from rsagent_ros.segmenters.sam3 import Sam3Segmenter, open_sam3
from rsagent_ros.segmenters.sam3_config import Sam3Config
from rsagent_ros.segmenters.transformers_sam3 import TransformersSam3
from rsagent_ros.weights.tiny_sam3 import save_tiny_sam3

ENCODING_BYTES = 3_276_800
"""Of this network's six maps in float32."""


def on_cpu(checkpoint: Path, **options: Any) -> Sam3Config:
    """A configuration by which everything that the network proposes is found: it is sure of nothing."""
    return Sam3Config(str(checkpoint), device="cpu", **{"threshold": 0.0, **options})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_sam3(folder)
    return folder


@pytest.fixture(scope="module")
def segmenter(made: Path) -> Sam3Segmenter:
    return open_sam3(on_cpu(made))


class Backbone:
    """Counts its passes, and fails where it is told to."""

    def __init__(self) -> None:
        self.passes = 0
        self.faults: list[Exception] = []


@pytest.fixture
def backbone(monkeypatch: pytest.MonkeyPatch) -> Backbone:
    watched, forward = Backbone(), Sam3ViTModel.forward

    def counted(*arguments: Any, **options: Any) -> Any:
        watched.passes += 1
        if watched.faults:
            raise watched.faults.pop()
        return forward(*arguments, **options)

    monkeypatch.setattr(Sam3ViTModel, "forward", counted)
    return watched


def test_one_pass_of_the_backbone_serves_words_prompts_and_refinement(made: Path, backbone: Backbone) -> None:
    segmenter = open_sam3(on_cpu(made))
    encoding = segmenter.encode(picture())
    assert segmenter.find(encoding, "red mug")
    assert segmenter.find(encoding, "blue ball")
    (box,) = segmenter.masks(encoding, MaskPrompt.of(box=BOX))
    assert len(segmenter.masks(encoding, MaskPrompt.of(positive=(POINT,)))) == 3
    (refined,) = segmenter.masks(encoding, MaskPrompt.of(positive=(POINT,), mask_input=box.logits))
    assert not np.array_equal(box.logits, refined.logits)
    assert backbone.passes == 1
    assert segmenter.encoding_bytes == ENCODING_BYTES


def test_an_encoding_that_was_dropped_is_made_again(made: Path, backbone: Backbone) -> None:
    segmenter = open_sam3(on_cpu(made, encodings_megabytes=1.5 * ENCODING_BYTES / 1e6))
    kept, other = segmenter.encode(picture()), segmenter.encode(picture()[::-1])
    before = segmenter.find(other, "red mug")
    segmenter.find(kept, "red mug")
    after = segmenter.find(other, "red mug")
    assert backbone.passes == 4
    assert [one.score for one in after] == [one.score for one in before]


def test_both_necks_give_what_they_give_in_the_model_for_video(made: Path) -> None:
    network = TransformersSam3.load(on_cpu(made))
    stock = Sam3VideoModel.from_pretrained(made).eval()
    pixels = to_pixels(picture(), network.input_format, network.device)
    with torch.inference_mode():
        maps = network.embed(pixels)
        seen = stock.detector_model.get_vision_features(pixels)
        prompted, _ = stock.get_vision_features_for_tracker(seen)
        prompted[-1] = prompted[-1] + stock.tracker_model.no_memory_embedding
    for ours, theirs in zip(maps[:3], prompted, strict=True):
        assert torch.allclose(ours.flatten(2).permute(2, 0, 1), theirs, atol=1e-5)
    for ours, theirs in zip(maps[3:], seen.fpn_hidden_states, strict=False):
        assert torch.allclose(ours, theirs, atol=1e-5)


def test_words_give_what_the_detector_gives_by_itself(made: Path) -> None:
    network = TransformersSam3.load(on_cpu(made))
    stock = Sam3Model.from_pretrained(made).eval()
    pixels = to_pixels(picture(), network.input_format, network.device)
    with torch.inference_mode():
        answers = {phrase: network.find(network.embed(pixels), phrase) for phrase in ("red mug", "blue ball")}
        ids = torch.tensor([ids_of(made, "red mug")])
        expected = stock(pixel_values=pixels, input_ids=ids, attention_mask=torch.ones_like(ids))
    scores = (expected.pred_logits.sigmoid() * expected.presence_logits.sigmoid())[0]
    assert torch.allclose(answers["red mug"][0], scores, atol=1e-5)
    assert torch.allclose(answers["red mug"][1], expected.pred_masks[0], atol=1e-3)
    assert not torch.allclose(answers["blue ball"][0], scores, atol=1e-4)


def ids_of(folder: Path, phrase: str) -> list[int]:
    """Tokens of a phrase, without padding."""
    from transformers import CLIPTokenizer

    ids: list[int] = CLIPTokenizer.from_pretrained(folder)(phrase)["input_ids"]
    return ids


def test_detections_are_in_the_image_each_once_the_surest_first(segmenter: Sam3Segmenter) -> None:
    assert isinstance(segmenter, PhraseSegmenter)
    found = segmenter.find(segmenter.encode(picture()), "red mug")
    assert found
    for one in found:
        assert 0 <= one.box.x0 < one.box.x1 <= 260
        assert 0 <= one.box.y0 < one.box.y1 <= 150
        assert one.part.shape == (one.box.height, one.box.width)
        assert one.part.dtype == np.bool_
        assert one.part.any()
        assert 0.0 < one.score <= 1.0
        assert 0.0 <= one.stability <= 1.0
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_what_it_is_not_sure_of_is_not_found(made: Path) -> None:
    sure = open_sam3(on_cpu(made, threshold=0.99))
    assert sure.find(sure.encode(picture()), "red mug") == []


@pytest.mark.parametrize(
    ("phrase", "code"),
    [
        ("", "bad_phrase"),
        (" \n", "bad_phrase"),
        ("a very red mug " * 667, "phrase_too_long"),
        ("x" * 10_000, "phrase_too_long"),
        ("красная кружка слева от синей тарелки", "phrase_too_long"),
    ],
    ids=["empty", "blank", "10,000 characters", "one long word", "long in another language"],
)
def test_phrases_that_can_not_be_looked_for(segmenter: Sam3Segmenter, phrase: str, code: str) -> None:
    with pytest.raises(ToolFailed) as failure:
        segmenter.find(segmenter.encode(picture()), phrase)
    assert failure.value.code == code


@pytest.mark.parametrize("phrase", ["кружка", "红杯", "<|endoftext|>", "🍎", "Mug!?"])
def test_any_other_phrase_is_looked_for(segmenter: Sam3Segmenter, phrase: str) -> None:
    assert isinstance(segmenter.find(segmenter.encode(picture()), phrase), list)


def test_a_full_memory_is_freed_and_the_phrase_looked_for_again(made: Path, backbone: Backbone) -> None:
    segmenter = open_sam3(on_cpu(made, encodings_megabytes=ENCODING_BYTES / 1e6))
    encoding = segmenter.encode(picture())
    segmenter.encode(picture()[::-1])
    backbone.faults = [torch.OutOfMemoryError("injected")]
    assert segmenter.find(encoding, "red mug")
    segmenter.encode(picture()[::-1])
    backbone.faults = [torch.OutOfMemoryError("injected")] * 2
    with pytest.raises(RunFailed, match="memory of cpu is full") as failure:
        segmenter.find(encoding, "red mug")
    assert failure.value.code is ErrorCode.OUT_OF_MEMORY


def test_an_answer_that_is_no_number_is_a_failed_tool(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter, forward = open_sam3(on_cpu(made)), Sam3Model.forward

    def spoilt(*arguments: Any, **options: Any) -> Any:
        answer = forward(*arguments, **options)
        answer.pred_masks[..., -1] = float("nan")
        return answer

    monkeypatch.setattr(Sam3Model, "forward", spoilt)
    with pytest.raises(ToolFailed, match="not a number"):
        segmenter.find(segmenter.encode(picture()), "red mug")


def test_half_precision_changes_little_and_takes_less(made: Path, segmenter: Sam3Segmenter) -> None:
    half = open_sam3(on_cpu(made, dtype="bfloat16"))
    encoding = half.encode(picture())
    assert half.encoding_bytes < 0.6 * ENCODING_BYTES
    (one,) = half.masks(encoding, MaskPrompt.of(box=BOX))
    (other,) = segmenter.masks(segmenter.encode(picture()), MaskPrompt.of(box=BOX))
    assert np.mean(one.mask != other.mask) < 0.1
    (rounded, *_), (precise, *_) = (each.find(each.encode(picture()), "red mug") for each in (half, segmenter))
    assert rounded.score == pytest.approx(precise.score, abs=0.05)


def test_warm_up_leaves_nothing(made: Path, backbone: Backbone) -> None:
    segmenter = open_sam3(on_cpu(made))
    segmenter.warm_up()
    assert (backbone.passes, segmenter.encoding_bytes) == (1, 0)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"checkpoint": ""}, "checkpoint is empty; name a folder that `rsagent models fetch sam3` made"),
        ({"threshold": 1.5}, "threshold is 1.5; allowed: 0 to 1"),
    ],
)
def test_a_configuration_that_can_not_be(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Sam3Config(**{"checkpoint": "tiny", **wrong})


def test_an_episode_finds_refines_and_finishes_on_full_frame_masks(made: Path, backbone: Backbone) -> None:
    script = [
        render(Find("red mug")),
        render(Segment(refine=1, box=Box(100, 100, 600, 800))),
        SEGMENT,
        render(Zoom(Box(0, 0, 500, 500))),
        render(Find("red mug")),
        render(Finish((1,))),
    ]
    episode = Episode(picture(), "the red mug", open_sam3(on_cpu(made)), Budget(seconds=60.0))
    result = drive(episode, FakePolicy([f"<think>So.</think>{reply}" for reply in script]))
    assert result.outcome is Outcome.FOUND
    assert backbone.passes == 2, "once for each view"
    zoomed = episode.trace.turns[4].masks
    assert zoomed
    for one in zoomed:
        mask = decode_rle(one.mask)
        assert mask.shape == (150, 260)
        assert mask[:75, :130].any()
        assert not mask[76:].any()
        assert not mask[:, 131:].any()


def test_words_without_an_instance_and_a_phrase_that_is_too_long_cost_a_turn_each(made: Path) -> None:
    segmenter = open_sam3(on_cpu(made, threshold=0.99))
    long = render(Find("qz " * 40))
    policy = FakePolicy([render(Find("red mug")), long, SEGMENT, FINISH])
    episode = Episode(picture(), "the red mug", segmenter, Budget(seconds=60.0))
    assert drive(episode, policy).outcome is Outcome.FOUND
    none, failed, *_ = episode.trace.turns
    assert (none.tool, none.error_code) == ("find", "")
    assert failed.error_code == "phrase_too_long"
