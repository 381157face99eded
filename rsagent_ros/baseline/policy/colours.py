"""Colour names: the fit of each of twelve to the pixels of an object, whatever side of it the light comes from."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class _Range:
    """Extent of a colour: (lowest, highest) of hue in degrees, saturation and value, with soft ends.

    Hue runs over 360 where the range does; value is relative to the brightness of the picture's light.
    """

    hue: tuple[float, float] = (-360.0, 720.0)
    saturation: tuple[float, float] = (0.30, 1.0)
    value: tuple[float, float] = (0.12, 9.0)


_GREYISH = (0.0, 0.20)
_RANGES: dict[str, tuple[_Range, ...]] = {
    "red": (_Range((343, 372), (0.55, 1.0), (0.20, 9.0)),),
    "orange": (_Range((15, 42), (0.45, 1.0), (0.58, 9.0)),),
    "yellow": (_Range((43, 68), (0.35, 1.0), (0.40, 9.0)),),
    "green": (_Range((70, 165), (0.22, 1.0)),),
    "cyan": (_Range((165, 200), (0.28, 1.0)),),
    "blue": (_Range((200, 254)),),
    "purple": (_Range((254, 308)),),
    "pink": (_Range((306, 343), (0.20, 1.0), (0.55, 9.0)), _Range((330, 375), (0.18, 0.58), (0.60, 9.0))),
    "brown": (_Range((8, 45), (0.32, 1.0), (0.12, 0.56)),),
    "black": (_Range(saturation=(0.0, 0.35), value=(0.0, 0.20)), _Range(saturation=(0.0, 1.0), value=(0.0, 0.09))),
    "white": (_Range(saturation=_GREYISH, value=(0.66, 9.0)),),
    "gray": (_Range(saturation=_GREYISH, value=(0.22, 0.64)),),
}
COLOURS = tuple(_RANGES)
_SOFT = (8.0, 0.10, 0.07)
"""Distance outside a range at which a colour's fit falls to 0: degrees of hue, saturation, value."""

_LIT_SHARE = 0.7
"""An object's brightness is this quantile of its pixels': its lit side, without the highlights."""


def light_of(pixels: NDArray[np.uint8]) -> float:
    """Brightness, 0..255, of what would be white in an (h, w, 3) RGB picture."""
    return float(np.clip(np.percentile(pixels.max(axis=2), 99.0), 185.0, 255.0))


def fits_of(pixels: NDArray[np.uint8], light: float) -> dict[str, float]:
    """Fit of each colour name to the (n, 3) RGB pixels of an object, 0..1 each; several may fit a little.

    Args:
        pixels: At least one; all of its visible surface.
        light: As `light_of` says of the whole picture.
    """
    values = pixels.astype(np.float64)
    # Summing before dividing lets bright pixels, whose hue is sure, outvote dark ones.
    red, green, blue = values.sum(axis=0) / max(values.max(axis=1).sum(), 1.0)
    hue, saturation, _ = colorsys.rgb_to_hsv(red, green, blue)
    value = float(np.quantile(values.max(axis=1), _LIT_SHARE)) / light
    return {name: max(_fit(one, hue * 360.0, saturation, value) for one in ranges) for name, ranges in _RANGES.items()}


def _fit(one: _Range, hue: float, saturation: float, value: float) -> float:
    turned = hue + 360.0 if hue + 360.0 <= one.hue[1] + _SOFT[0] else hue
    tests = ((turned, one.hue, _SOFT[0]), (saturation, one.saturation, _SOFT[1]), (value, one.value, _SOFT[2]))
    return min(max(0.0, min(1.0, 1 - (low - x) / soft, 1 - (x - high) / soft)) for x, (low, high), soft in tests)
