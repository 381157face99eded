"""A short film with known masks: a thing on a textured floor, filmed by a camera that moves, and what may happen to it.

`from moving_pictures import Film`: drawn with OpenCV, deterministic, a millisecond a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask

WIDTH, HEIGHT = 320, 240
FPS = 15.0


@dataclass(frozen=True)
class Film:
    """What is filmed.

    Attributes:
        pan: Pixels per frame that the floor moves through the picture (x, y).
        zoom, turn: Factor and degrees per frame.
        textured: The thing has a checkered top.
        colour: RGB of the thing.
        drift: Pixels per frame of the thing on the floor, beside the camera's own motion.
        shutter: First and last frame in which a grey board stands before the thing; None for never.
        brightness: Factor per frame on all pixels.
        noise: Grey levels, one sigma.
    """

    pan: tuple[float, float] = (2.0, 0.7)
    zoom: float = 1.0
    turn: float = 0.0
    textured: bool = True
    colour: tuple[int, int, int] = (205, 40, 35)
    drift: tuple[float, float] = (0.0, 0.0)
    shutter: tuple[int, int] | None = None
    brightness: float = 1.0
    noise: float = 1.5

    def frame(self, index: int) -> tuple[NDArray[np.uint8], Mask]:
        """(H, W, 3) uint8 RGB and the visible mask (H, W) of the thing; frame 0 is where a track begins."""
        floor, body = _floor(), np.zeros((3 * HEIGHT, 3 * WIDTH), np.float32)
        dx, dy = (round(step * index) for step in self.drift)
        x, y = 3 * WIDTH // 2 - 60 + dx, 3 * HEIGHT // 2 - 20 + dy
        cv2.rectangle(floor, (x, y), (x + 55, y + 40), self.colour, -1)
        cv2.rectangle(body, (x, y), (x + 55, y + 40), 1.0, -1)
        if self.textured:
            light = tuple(min(255, channel + 60) for channel in self.colour)
            for row in range(4):
                for column in range(row % 2, 5, 2):
                    corner = x + 2 + 11 * column, y + 1 + 10 * row
                    cv2.rectangle(floor, corner, (corner[0] + 9, corner[1] + 8), light, -1)
        scale = self.zoom**index
        matrix = cv2.getRotationMatrix2D((3 * WIDTH / 2, 3 * HEIGHT / 2), self.turn * index, scale)
        matrix[:, 2] += np.array([self.pan[0] * index - WIDTH, self.pan[1] * index - HEIGHT])
        picture = cv2.warpAffine(floor, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
        mask = cv2.warpAffine(body, matrix, (WIDTH, HEIGHT)) > 0.5
        if self.shutter is not None and self.shutter[0] <= index <= self.shutter[1]:
            centre = matrix @ [x + 27.0, y + 20.0, 1.0]
            top, left = round(centre[1]) - 45, round(centre[0]) - 50
            cv2.rectangle(picture, (left, top), (left + 100, top + 90), (120, 125, 118), -1)
            board = np.zeros(mask.shape, np.uint8)
            cv2.rectangle(board, (left, top), (left + 100, top + 90), 1, -1)
            mask &= board == 0
        rng = np.random.default_rng(index)
        lit = picture * self.brightness**index + self.noise * rng.standard_normal(picture.shape)
        return np.clip(lit, 0, 255).astype(np.uint8), mask


def _floor() -> NDArray[np.uint8]:
    rng = np.random.default_rng(5)
    coarse = rng.integers(90, 190, (3 * HEIGHT // 12, 3 * WIDTH // 12, 1)).astype(np.float32)
    wood = cv2.resize(coarse, (3 * WIDTH, 3 * HEIGHT), interpolation=cv2.INTER_CUBIC)[..., None]
    return np.clip(wood * [1.0, 0.87, 0.7], 0, 255).astype(np.uint8)
