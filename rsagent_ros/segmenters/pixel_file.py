"""The file about pixels beside a network's weights, as transformers' image processors write it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rsagent_ros.checkpoint import AGAIN, read_json, unusable
from rsagent_ros.segmenters.sam2_tensors import InputFormat

Colours = tuple[float, float, float]

IMAGENET: tuple[Colours, Colours] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: tuple[Colours, Colours] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
CLIP: tuple[Colours, Colours] = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)
"""Usual means and standard deviations of red, green and blue, 0..1."""


def read_pixel_file(folder: Path) -> tuple[Path, dict[str, Any]]:
    """The file about pixels, and its settings; none where a folder has no such file.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: it is none.
    """
    for name in ("processor_config.json", "preprocessor_config.json"):
        path = folder / name
        if not path.is_file():
            continue
        content = read_json(path)
        settings = content.get("image_processor", content)
        if not isinstance(settings, dict):
            raise unusable(f"{path}: its image_processor is no JSON object", AGAIN)
        return path, settings
    return folder / "preprocessor_config.json", {}


def read_colours(path: Path, settings: dict[str, Any], usual: tuple[Colours, Colours]) -> tuple[Colours, Colours]:
    """Mean and standard deviation in the settings of a file; the usual ones where they do not say.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: they are no numbers.
    """
    mean = _colours(path, settings.get("image_mean", usual[0]))
    return mean, _colours(path, settings.get("image_std", usual[1]))


def read_input_format(
    folder: Path, image_size: int, mask_input_size: int, colours: tuple[Colours, Colours]
) -> InputFormat:
    """The format of the network's inputs: as its own file about pixels says, where there is one.

    Args:
        folder: Folder of the checkpoint.
        image_size: Side of the images by its config.json, pixels.
        mask_input_size: Side of `mask_input` by its config.json.
        colours: Mean and standard deviation where the file does not say.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: that file does not match the network.
    """
    path, settings = read_pixel_file(folder)
    square = {"height": image_size, "width": image_size}
    size = settings.get("size", square)
    if size != square:
        raise unusable(f"{path} makes pictures of {size}, config.json wants {image_size} x {image_size}", AGAIN)
    return InputFormat(image_size, mask_input_size, *read_colours(path, settings, colours))


def _colours(path: Path, values: Any) -> Colours:
    if (
        not isinstance(values, list | tuple)
        or len(values) != 3
        or not all(isinstance(value, int | float) for value in values)
    ):
        raise unusable(f"{path}: mean and standard deviation of colours must be three numbers each", AGAIN)
    red, green, blue = values
    return red, green, blue
