"""Detectors that take words, over tiny random networks from disk: boxes, phrases, and what is wrong with a folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch
from checkpoint_faults import assert_refused, change, forbid_network
from fakes import FakePolicy
from numpy.typing import NDArray
from sam2_cases import picture
from transformers import BertTokenizer, CLIPTokenizer, Owlv2ForObjectDetection

from rsagent_ros.agent.actions import Find, Finish, render
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import ToolFailed
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.segmenters.detector import MOST_BOXES, Detector, open_detector
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.segmenters.sam2_finder import open_sam2_finder
from rsagent_ros.weights.tiny_detectors import save_tiny_mm_grounding_dino, save_tiny_owlv2
from rsagent_ros.weights.tiny_sam2 import save_tiny_sam2

KINDS = {"dino": save_tiny_mm_grounding_dino, "owl": save_tiny_owlv2}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("models")
    for name, save in KINDS.items():
        save(folder / name)
    save_tiny_sam2(folder / "sam2")
    return folder


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def folder(made: Path, kind: str, tmp_path: Path) -> Path:
    """A copy of a good checkpoint, to be spoilt."""
    return Path(shutil.copytree(made / kind, tmp_path / kind))


def opened(folder: Path, threshold: float = 0.01) -> Detector:
    return open_detector(Sam2Config("unused", device="cpu", finder=str(folder), finder_threshold=threshold))


def find(detector: Detector, phrase: str, image: NDArray[np.uint8] | None = None) -> tuple[Any, Any]:
    with torch.inference_mode():
        return detector.find(picture() if image is None else image, phrase)


def test_boxes_are_in_the_image_the_surest_first(made: Path, kind: str) -> None:
    detector = opened(made / kind)
    for image in (picture(), picture().transpose(1, 0, 2), picture(40, 40)):
        height, width = image.shape[:2]
        boxes, scores = find(detector, "red mug", image)
        assert 0 < len(boxes) == len(scores) <= MOST_BOXES
        assert (boxes >= 0).all()
        assert (boxes <= [width, height, width, height]).all()
        assert (boxes[:, 2:] > boxes[:, :2]).all()
        assert (np.diff(scores) <= 0).all()
        assert ((scores > 0.01) & (scores <= 1)).all()


def test_the_phrase_matters_and_its_case_and_spaces_do_not(made: Path, kind: str) -> None:
    detector = opened(made / kind)
    _, red = find(detector, "red mug")
    _, same = find(detector, "  Red\nMUG ")
    _, blue = find(detector, "blue ball")
    assert np.allclose(red, same)
    assert red.shape != blue.shape or not np.allclose(red, blue, atol=1e-4)


def test_the_threshold_is_the_least_score_and_has_a_usual_value(made: Path, kind: str) -> None:
    usual = {"dino": 0.25, "owl": 0.1}[kind]
    _, all_scores = find(opened(made / kind), "red mug")
    _, scores = find(opened(made / kind, threshold=0.0), "red mug")
    assert np.allclose(scores, all_scores[all_scores > usual])
    middle = float(np.median(all_scores))
    _, scores = find(opened(made / kind, threshold=middle), "red mug")
    assert np.allclose(scores, all_scores[all_scores > middle])
    boxes, _ = find(opened(made / kind, threshold=1.0), "red mug")
    assert boxes.shape == (0, 4)


@pytest.mark.parametrize(
    ("phrase", "codes"),
    [
        ("", {"dino": "bad_phrase", "owl": "bad_phrase"}),
        (" \t", {"dino": "bad_phrase", "owl": "bad_phrase"}),
        ("..?", {"dino": "bad_phrase", "owl": ""}),
        ("a very red mug " * 667, {"dino": "phrase_too_long", "owl": "phrase_too_long"}),
        ("x" * 10_000, {"dino": "unknown_words", "owl": "phrase_too_long"}),
        ("красная кружка", {"dino": "unknown_words", "owl": "phrase_too_long"}),
        ("红杯", {"dino": "unknown_words", "owl": ""}),
        ("mug 🍎", {"dino": "unknown_words", "owl": ""}),
        ("tasse à café", {"dino": "", "owl": ""}),
    ],
    ids=["empty", "blank", "stops", "10,000 characters", "one long word", "Russian", "Chinese", "emoji", "French"],
)
def test_phrases_of_every_kind(made: Path, kind: str, phrase: str, codes: dict[str, str]) -> None:
    detector = opened(made / kind)
    if not codes[kind]:
        find(detector, phrase)
        return
    with pytest.raises(ToolFailed) as failure:
        find(detector, phrase)
    assert failure.value.code == codes[kind]


def test_a_full_stop_does_not_make_two_phrases_of_one(made: Path) -> None:
    detector = opened(made / "dino")
    _, one = find(detector, "red mug blue ball")
    _, other = find(detector, "red mug. blue ball?")
    assert np.allclose(one, other)


def test_words_that_look_like_the_end_do_not_end_a_phrase(made: Path) -> None:
    with pytest.raises(ToolFailed, match="phrase_too_long"):
        find(opened(made / "owl"), "mug <|endoftext|> on it")  # spelled, it is too long
    with pytest.raises(ToolFailed, match="unknown_words"):
        find(opened(made / "dino"), "mug [SEP] dog")


def test_an_answer_that_is_no_number_is_a_failed_tool(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector, forward = opened(made / "owl"), Owlv2ForObjectDetection.forward

    def spoilt(*arguments: Any, **options: Any) -> Any:
        answer = forward(*arguments, **options)
        answer.pred_boxes[0, 0, 0] = float("nan")
        return answer

    monkeypatch.setattr(Owlv2ForObjectDetection, "forward", spoilt)
    with pytest.raises(ToolFailed, match="not a number"):
        find(detector, "mug")


def test_tokenizers_in_files_of_their_words_load_too(folder: Path, kind: str) -> None:
    """Published OWLv2 has no tokenizer.json."""
    before = find(opened(folder), "red mug")
    content = json.loads((folder / "tokenizer.json").read_text())["model"]
    (folder / "tokenizer.json").unlink()
    if kind == "dino":
        (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in content["vocab"]))
    else:
        (folder / "vocab.json").write_text(json.dumps(content["vocab"]))
        merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in content["merges"]]
        (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{merge}\n" for merge in merges))
    reader: Any = {"dino": BertTokenizer, "owl": CLIPTokenizer}[kind]
    assert len(reader.from_pretrained(folder)) == len(content["vocab"])
    for one, other in zip(before, find(opened(folder), "red mug"), strict=True):
        assert np.allclose(one, other)


def test_nothing_is_asked_of_the_network(made: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    forbid_network(monkeypatch)
    find(opened(made / kind), "mug")


def refused(folder: Path, sentence: str, file: str = "") -> None:
    assert_refused(opened, folder, sentence, file)


def test_no_folder_and_no_weights(folder: Path, tmp_path: Path) -> None:
    refused(tmp_path / "nothing", "is no folder with a checkpoint")
    (folder / "model.safetensors").unlink()
    refused(folder, "is missing", "model.safetensors")


def test_another_architecture(made: Path) -> None:
    refused(made / "sam2", "'sam2', which is no detector that takes words .*owlv2.*such as mm-grounding", "config.json")


def test_a_configuration_with_nonsense_inside(folder: Path) -> None:
    change(folder / "config.json", lambda config: config.update(text_config={"hidden_size": "many"}))
    refused(folder, "describes no ", "config.json")


def test_no_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    refused(folder, "has no tokenizer")


def test_pixels_that_do_not_match(folder: Path, kind: str) -> None:
    change(folder / "preprocessor_config.json", lambda content: content.update(size={"height": 7, "width": 9}))
    sentence = "a shortest_edge and a longest_edge are expected" if kind == "dino" else "config.json wants 96 x 96"
    refused(folder, sentence, "preprocessor_config.json")


def test_pixels_are_the_usual_ones_where_no_file_says(folder: Path, kind: str) -> None:
    (folder / "preprocessor_config.json").unlink()
    boxes, _ = find(opened(folder), "mug")
    assert len(boxes)


def test_an_episode_with_each_finder_ends_cleanly(made: Path, kind: str) -> None:
    config = Sam2Config(str(made / "sam2"), device="cpu", finder=str(made / kind), finder_threshold=0.01)
    segmenter = open_sam2_finder(config)
    segmenter.warm_up()
    names = {"dino": "mm_grounding_dino", "owl": "owlv2"}
    assert segmenter.name == f"sam2:sam2+{names[kind]}:{kind}"
    script = [f"<think>So.</think>{render(action)}" for action in (Find("red mug"), Finish((1,)))]

    episode = Episode(picture(), "the red mug", segmenter, Budget(seconds=60.0))
    result = drive(episode, FakePolicy(script))
    assert result.outcome is Outcome.FOUND
    mask = result.mask()
    assert mask is not None
    assert mask.shape == (150, 260)
