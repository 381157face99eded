"""Scenes in parts that have no picture in common: for training, for choosing, for the last test.

    rsagent split data/scenes --out data/parts --share train=0.8 --share val=0.1 --share test=0.1

Scenes whose pictures are alike, or that come from one bag, stay together: frames of one minute on both sides would
make a test of memory out of a test of skill.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rsagent_ros.data.folder import save_examples
from rsagent_training.near_duplicates import groups, perceptual_hash
from rsagent_training.scene_index import SceneIndex


def split(folder: Path, out: Path, shares: Mapping[str, float], *, seed: int = 0) -> dict[str, int]:
    """Write one folder of scenes for each part; blocks. Pictures are hard links where they can be.

    Args:
        folder: Of scenes.
        out: New folder for the parts, and for `split.json` with the ids of each group.
        shares: By name of the part; they add up to 1.
        seed: Of the draw.

    Returns:
        Scenes in each part.

    Raises:
        FileExistsError: A part is there already.
        FileNotFoundError: The folder holds no scenes.
        ValueError: The shares do not add up, or a part would be empty because too many scenes belong together.
    """
    if len(shares) < 2 or min(shares.values()) <= 0 or abs(sum(shares.values()) - 1) > 1e-6:
        raise ValueError(f"the shares are {dict(shares)}; name two or more, each over 0, that add up to 1")
    index = SceneIndex(folder)
    names, hashes, keys = list(index), [], []
    for name in tqdm(names, desc="pictures", unit="", disable=None):
        scene = index[name]
        hashes.append(perceptual_hash(scene.image))
        keys.append(scene.source if Path(scene.source).is_absolute() else "")  # a bag's path
    members: dict[int, list[str]] = {}
    for name, group in zip(names, groups(hashes, keys), strict=True):
        members.setdefault(int(group), []).append(name)
    parts = _assigned(list(members.values()), shares, seed)
    if empty := [name for name, chosen in parts.items() if not chosen]:
        raise ValueError(
            f"{', '.join(empty)} would be empty: the {len(names)} scenes are of {len(members)} groups of alike "
            "pictures; collect at other places, or ask for fewer parts"
        )
    for part, chosen in parts.items():
        save_examples((index[name] for name in names if name in chosen), out / part)
    (out / "split.json").write_text(json.dumps([*members.values()], indent=1) + "\n", encoding="utf-8")
    return {name: len(chosen) for name, chosen in parts.items()}


def _assigned(members: list[list[str]], shares: Mapping[str, float], seed: int) -> dict[str, set[str]]:
    """Names of each part: groups in random order, large ones first, each to the part that lacks most."""
    order = np.random.default_rng(seed).permutation(len(members))
    whole = sum(map(len, members))
    parts: dict[str, set[str]] = {name: set() for name in shares}
    for number in sorted(order.tolist(), key=lambda number: -len(members[number])):
        lacking = max(shares, key=lambda name: shares[name] * whole - len(parts[name]))
        parts[lacking] |= {*members[number]}
    return parts
