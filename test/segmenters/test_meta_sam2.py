"""Meta's own network files: read as plain tensors, answered like transformers' on the same weights."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch
from meta_network import WHY, save_for_transformers, tiny_config
from sam2_cases import BOX, NEGATIVE, POINT, POSITIVE, picture

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.segmenter import MaskPrompt
from rsagent_ros.segmenters.meta_sam2 import MetaSam2, build
from rsagent_ros.segmenters.sam2 import Sam2Segmenter, open_sam2
from rsagent_ros.segmenters.sam2_config import Sam2Config

CPU = Sam2Config("unused", device="cpu")


def refused(path: Path, sentence: str) -> None:
    with pytest.raises(RunFailed, match=sentence) as failure:
        open_sam2(Sam2Config(str(path), device="cpu"))
    assert failure.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert str(path) in failure.value.message


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    """Those of Meta's tiny network of SAM 2.1, random."""
    pytest.importorskip("sam2", reason=WHY)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return dict(build("sam2.1/sam2.1_hiera_t.yaml").state_dict())


def test_the_network_is_recognised_by_its_tensors(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    path = tmp_path / "whatever.pt"
    torch.save({"model": weights}, path)
    network = MetaSam2.load(Sam2Config(str(path), device="cpu"))
    assert network.name == "meta_sam2:whatever"
    assert (network.input_format.image_size, network.input_format.mask_input_size) == (1024, 256)


def test_transformers_answers_the_same_on_the_same_weights(tmp_path: Path) -> None:
    config = str(tiny_config(tmp_path))
    torch.manual_seed(0)
    model: Any = build(config)
    with torch.no_grad():
        model.no_mem_embed.normal_()  # zero in a fresh network: a slip in its use would not show
        for weight in (model.image_encoder.trunk.pos_embed, model.image_encoder.trunk.pos_embed_window):
            weight.normal_()
    save_for_transformers(model.state_dict(), tmp_path / "hf")
    meta = Sam2Segmenter(MetaSam2(model, CPU, "meta"))
    stock = open_sam2(Sam2Config(str(tmp_path / "hf"), device="cpu"))
    encodings = meta.encode(picture()), stock.encode(picture())
    logits = meta.masks(encodings[0], MaskPrompt.of(box=BOX))[0].logits
    for prompt in (
        MaskPrompt.of(positive=(POINT,)),
        MaskPrompt.of(box=BOX),
        MaskPrompt.of(box=BOX, positive=POSITIVE, negative=NEGATIVE),
        MaskPrompt.of(positive=(POINT,), mask_input=logits),
        MaskPrompt.of(mask_input=logits),
    ):
        ours, theirs = meta.masks(encodings[0], prompt), stock.masks(encodings[1], prompt)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert np.allclose(one.logits, other.logits, atol=1e-4)
            assert one.score == pytest.approx(other.score, abs=1e-5)
            assert np.mean(one.mask != other.mask) < 1e-3


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    refused(tmp_path / "sam2.1_hiera_large.pt", "there is no file .* download it")


class Trap:
    """What a hostile pickle does: call something while it is read."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (pytest.fail, ("the file was executed",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "content",
    [b"", b"\x80\x02nonsense", b"PK\x03\x04cut short", pickle.dumps({"model": Trap()})],
    ids=["empty", "nonsense", "cut_short", "pickle"],
)
def test_a_file_that_is_no_plain_weights(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.pt"
    path.write_bytes(content)
    refused(path, "can't be read as plain weights")


def test_a_pickle_of_an_object_is_not_executed(tmp_path: Path) -> None:
    torch.save({"model": Trap()}, tmp_path / "trap.pt")
    refused(tmp_path / "trap.pt", "can't be read as plain weights")


@pytest.mark.parametrize("content", [{"weights": {}}, [1, 2], {"model": {"a": 1}}])
def test_a_file_of_something_else(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pt")
    refused(tmp_path / "other.pt", "no checkpoint of SAM 2")


def test_weights_of_another_network(tmp_path: Path) -> None:
    torch.save({"model": {"conv1.weight": torch.zeros(8, 3, 3, 3)}}, tmp_path / "resnet.pt")
    refused(tmp_path / "resnet.pt", "none of Meta's SAM 2 networks")


def test_weights_that_are_missing_or_of_another_shape(weights: dict[str, torch.Tensor], tmp_path: Path) -> None:
    missing = {name: tensor for name, tensor in weights.items() if name != "sam_mask_decoder.iou_token.weight"}
    torch.save({"model": missing}, tmp_path / "missing.pt")
    refused(tmp_path / "missing.pt", "does not fit .*sam_mask_decoder.iou_token.weight")
    torch.save({"model": {**weights, "no_mem_embed": torch.zeros(1, 1, 2)}}, tmp_path / "shape.pt")
    refused(tmp_path / "shape.pt", "does not fit .*no_mem_embed")


def test_a_package_that_is_missing(
    weights: dict[str, torch.Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save({"model": weights}, tmp_path / "good.pt")
    monkeypatch.setattr("rsagent_ros.segmenters.meta_sam2.find_spec", lambda name: None)
    refused(tmp_path / "good.pt", "needs Meta's package .*pip install --no-deps --no-build-isolation sam2==1.1.0")
