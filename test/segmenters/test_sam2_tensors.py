"""Images and prompts become the tensors of a network, and its logits masks."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")

import torch
from sam2_cases import picture

from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.segmenter import MaskPrompt
from rsagent_ros.segmenters.sam2_tensors import InputFormat, form, to_masks, to_pixels, to_tensors

FORMAT = InputFormat(1024, 256, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CPU = torch.device("cpu")
LEFT_TOP, RIGHT_BOTTOM = Point(0.0, 0.0), Point(320.0, 200.0)


def test_pixels_are_normalised_by_colour() -> None:
    image = np.zeros((10, 20, 3), dtype=np.uint8)
    image[..., 0] = 255
    pixels = to_pixels(image, FORMAT, CPU)
    assert pixels.shape == (1, 3, 1024, 1024)
    assert pixels.dtype == torch.float32
    assert pixels[0, :, 500, 500].tolist() == pytest.approx([(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225])


def test_the_image_fills_the_square_whatever_its_shape() -> None:
    image = np.zeros((100, 400, 3), dtype=np.uint8)
    image[:, 200:] = 255
    light = to_pixels(image, FORMAT, CPU)[0, 0] > 0
    assert not light[:, :510].any()
    assert light[:, 514:].all()


def test_pixels_on_a_gpu_differ_by_one_grey_level_at_most() -> None:
    """A GPU resizes floats, the CPU bytes; the path of the GPU is taken here by hand."""
    source = torch.from_numpy(picture(333, 1500)).permute(2, 0, 1)[None].float()
    resized = torch.nn.functional.interpolate(source, size=(1024, 1024), mode="bilinear", antialias=True).round()
    plain = InputFormat(1024, 256, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    assert torch.max(torch.abs(to_pixels(picture(333, 1500), plain, CPU) * 255 - resized)) < 1.001


def test_a_strided_image_is_taken_as_it_looks() -> None:
    image = picture()
    assert torch.equal(to_pixels(image[:, ::-1], FORMAT, CPU), to_pixels(image[:, ::-1].copy(), FORMAT, CPU))


@pytest.mark.filterwarnings("error")
def test_read_only_images_and_mask_inputs_are_taken_without_a_warning() -> None:
    image, logits = picture(), np.zeros((64, 64), dtype=np.float32)
    image.flags.writeable = logits.flags.writeable = False
    to_pixels(image, FORMAT, CPU)
    to_tensors([MaskPrompt.of(mask_input=logits)], (150, 260), FORMAT, CPU)


def test_prompts_are_stretched_to_the_square() -> None:
    prompt = MaskPrompt.of(box=Box(0.0, 50.0, 160.0, 200.0), positive=(RIGHT_BOTTOM,), negative=(LEFT_TOP,))
    tensors = to_tensors([prompt], (200, 320), FORMAT, CPU)
    assert tensors.point_coords.tolist() == [[[0.0, 256.0], [512.0, 1024.0], [1024.0, 1024.0], [0.0, 0.0]]]
    assert tensors.point_labels.tolist() == [[2, 3, 1, 0]]
    assert tensors.mask_input is None


@pytest.mark.parametrize(
    ("prompt", "several"),
    [
        (MaskPrompt.of(positive=(LEFT_TOP,)), True),
        (MaskPrompt.of(positive=(LEFT_TOP, RIGHT_BOTTOM)), False),
        (MaskPrompt.of(positive=(LEFT_TOP,), negative=(RIGHT_BOTTOM,)), False),
        (MaskPrompt.of(box=Box(0, 0, 9, 9)), False),
        (MaskPrompt.of(positive=(LEFT_TOP,), mask_input=np.zeros((256, 256), dtype=np.float32)), False),
        (MaskPrompt.of(mask_input=np.zeros((256, 256), dtype=np.float32)), False),
    ],
)
def test_only_a_single_point_gets_several_masks(prompt: MaskPrompt, several: bool) -> None:
    assert to_tensors([prompt], (200, 320), FORMAT, CPU).multimask_output is several


def test_a_mask_input_alone_is_a_point_that_means_nothing() -> None:
    tensors = to_tensors([MaskPrompt.of(mask_input=np.zeros((4, 4), dtype=np.float32))], (200, 320), FORMAT, CPU)
    assert tensors.point_labels.tolist() == [[-1]]


def test_mask_inputs_come_to_the_side_and_within_the_limit_of_the_network() -> None:
    left = np.full((128, 512), -100.0, dtype=np.float32)
    left[:, :256] = 100.0
    same = np.linspace(-5, 5, 256 * 256, dtype=np.float32).reshape(256, 256)
    prompts = [MaskPrompt.of(mask_input=left), MaskPrompt.of(mask_input=same)]
    assert len({form(prompt) for prompt in prompts}) == 1
    mask_input = to_tensors(prompts, (200, 320), FORMAT, CPU).mask_input
    assert mask_input is not None
    assert mask_input.shape == (2, 1, 256, 256)
    assert mask_input[0, 0, 100, 20] == 32.0
    assert mask_input[0, 0, 100, 200] == -32.0
    assert np.array_equal(mask_input[1, 0].numpy(), same)


def test_logits_become_masks_of_the_image() -> None:
    logits = torch.full((2, 64, 64), -1.0)
    logits[0, :, 32:] = 1.0
    masks = to_masks(logits, (120, 200))
    assert masks.shape == (2, 120, 200)
    assert masks.dtype == np.bool_
    assert masks[0, :, 100:].all()
    assert not masks[0, :, :100].any()
    assert not masks[1].any()
