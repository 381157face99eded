"""Patches: the same numbers as transformers' own image processor."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch
from local_cases import picture, tiny_checkpoint, tiny_folder
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from rsagent_ros.policies.family import FAMILIES, Family


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.parametrize(("rows", "columns"), [(4, 7), (1, 3), (5, 5)])
def test_patches_are_those_of_the_stock_processor(family: Family, rows: int, columns: int) -> None:
    pixels = picture(family, rows, columns).pixels
    stock = Qwen2VLImageProcessorPil.from_pretrained(tiny_folder(family))
    wanted = stock([pixels], do_resize=False, return_tensors="pt")
    cut = tiny_checkpoint(family).patches.cut(pixels, torch.device("cpu"), torch.float32)
    torch.testing.assert_close(cut, wanted["pixel_values"], atol=1e-6, rtol=0)
    assert wanted["image_grid_thw"].tolist() == [[1, 2 * rows, 2 * columns]]


def test_patches_come_in_the_dtype_of_the_model() -> None:
    family = FAMILIES[0]
    cut = tiny_checkpoint(family).patches.cut(picture(family, 1, 1).pixels, torch.device("cpu"), torch.bfloat16)
    assert cut.dtype == torch.bfloat16
