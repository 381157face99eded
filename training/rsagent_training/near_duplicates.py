"""Pictures that show nearly the same, by a perceptual hash; frames of a slow camera are alike one by one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from rsagent_training.scene_index import SceneIndex

BITS = 63
NEAR = 10
"""Bits in which the hashes of alike pictures differ at most; of others, by chance, one pair in thirty million does."""

_ONES = np.array([bin(byte).count("1") for byte in range(256)], dtype=np.uint8)


def perceptual_hash(image: NDArray[np.uint8]) -> int:
    """The hash of an (H, W, 3) RGB image: which of its 63 lowest frequencies lie above their median (pHash).

    Scale, compression, noise and small changes of light leave nearly all of it as it is.
    """
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    lowest = cv2.dct(grey.astype(np.float32))[:8, :8].ravel()[1:]
    bits = lowest > np.median(lowest)
    return int("".join("1" if bit else "0" for bit in bits), 2)


class SeenPictures:
    """Hashes of pictures that others are held against."""

    def __init__(self, hashes: Iterable[int]) -> None:
        self._bytes = _as_bytes(list(hashes))

    @staticmethod
    def of(scenes: Iterable[SceneIndex]) -> SeenPictures:
        """The pictures of some folders of scenes; blocks while they are read.

        Raises:
            ValueError: A scene's image can't be read.
        """
        return SeenPictures(perceptual_hash(index.image(name)) for index in scenes for name in index)

    def has(self, image: NDArray[np.uint8]) -> bool:
        """Whether an (H, W, 3) RGB image shows nearly what one of them shows."""
        return bool((_distances(self._bytes, _as_bytes([perceptual_hash(image)])[0]) <= NEAR).any())


def groups(hashes: Sequence[int], keys: Sequence[Iterable[str]]) -> NDArray[np.intp]:
    """(pictures,) number of the group of each: alike pictures are in one, and what is alike to those, too.

    Args:
        hashes: Of the pictures.
        keys: Of the same pictures; those with a key in common are in one group.
    """
    rows, columns = [], []
    packed = _as_bytes(hashes)
    for number, row in enumerate(packed):
        alike = np.flatnonzero(_distances(packed[:number], row) <= NEAR)
        rows += [number] * len(alike)
        columns += alike.tolist()
    first: dict[str, int] = {}
    for number, own in enumerate(keys):
        for key in own:
            rows.append(number)
            columns.append(first.setdefault(key, number))
    count = len(hashes)
    links = coo_matrix((np.ones(len(rows), dtype=np.bool_), (rows, columns)), shape=(count, count))
    return np.asarray(connected_components(links, directed=False)[1])


def _as_bytes(hashes: Sequence[int]) -> NDArray[np.uint8]:
    return np.array(hashes, dtype=">u8").reshape(-1, 1).view(np.uint8)


def _distances(packed: NDArray[np.uint8], one: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.asarray(_ONES[packed ^ one].sum(axis=1, dtype=np.int64))
