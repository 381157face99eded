"""The scenes that reinforcement learning practises on, from several folders, drawn by a seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rsagent_ros.data.example import Example
from rsagent_training.recipe_parts import MixPart
from rsagent_training.scene_index import SceneIndex


class Mix:
    """Scenes by number; each is read when it is asked for.

    Attributes:
        counts: How many of each folder.
    """

    def __init__(self, parts: Sequence[MixPart], seed: int) -> None:
        """Choose; the same seed chooses the same scenes.

        Raises:
            FileNotFoundError: A folder has no scenes.jsonl.
            ValueError: A folder holds fewer scenes than are wanted, or none.
        """
        self.counts: dict[str, int] = {}
        self._chosen: list[tuple[SceneIndex, str]] = []
        for number, part in enumerate(parts):
            index = SceneIndex(Path(part.scenes).expanduser())
            names = list(index)
            wanted = len(names) if part.count is None else part.count
            if not 0 < wanted <= len(names):
                raise ValueError(f"{part.scenes} holds {len(names)} scenes, and {max(1, wanted)} are wanted")
            drawn = np.random.default_rng((seed, number)).permutation(len(names))[:wanted]
            self._chosen += [(index, names[place]) for place in sorted(drawn)]
            self.counts[part.scenes] = wanted

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, number: int) -> Example:
        index, name = self._chosen[number]
        return index[name]
