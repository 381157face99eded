"""Scenes in parts that have nothing in common: for training, for choosing, for the last test.

    rsagent split data/scenes --out data/parts --share train=0.8 --share val=0.1 --share test=0.1

Scenes whose pictures are alike, that were seen within a minute, that come from one bag, or from one day at one place
stay together: frames of one minute on both sides would make a test of memory out of a test of skill.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import numpy as np
from tqdm import tqdm

from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import save_examples
from rsagent_training.near_duplicates import groups, perceptual_hash
from rsagent_training.scene_index import SceneIndex

By = Literal["record", "day", "place"]

MINUTE = 60_000_000_000
"""Nanoseconds."""


def split(folder: Path, out: Path, shares: Mapping[str, float], *, by: By = "day", seed: int = 0) -> dict[str, int]:
    """Write one folder of scenes for each part; blocks. Pictures are hard links where they can be.

    Args:
        folder: Of scenes.
        out: New folder for the parts, and for `split.json` with the ids of each group.
        shares: By name of the part; they add up to 1.
        by: `day`: scenes of one day at one place stay together; `place`: all of one place; `record`: neither. What a
            scene does not know of itself can't hold it to others.
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
    names, hashes, keys, seen = list(index), [], [], []
    for name in tqdm(names, desc="pictures", unit="", disable=None):
        scene = index[name]
        hashes.append(perceptual_hash(scene.image))
        keys.append([*_keys(scene, by)])
        seen.append((scene.place, scene.stamp_ns))
    for number, minute in enumerate(_minutes(seen)):
        keys[number].append(minute)
    members: dict[int, list[str]] = {}
    for name, group in zip(names, groups(hashes, keys), strict=True):
        members.setdefault(int(group), []).append(name)
    parts = _assigned(list(members.values()), shares, seed)
    if empty := [name for name, chosen in parts.items() if not chosen]:
        raise ValueError(
            f"{', '.join(empty)} would be empty: the {len(names)} scenes are of {len(members)} groups that belong "
            f"together (alike pictures, one bag, one minute{'' if by == 'record' else f', one {by}'}); collect on "
            f"other days and at other places, or ask for fewer parts"
            + ("" if by == "record" else ", or split --by record")
        )
    for part, chosen in parts.items():
        save_examples((index[name] for name in names if name in chosen), out / part)
    (out / "split.json").write_text(json.dumps([*members.values()], indent=1) + "\n", encoding="utf-8")
    return {name: len(chosen) for name, chosen in parts.items()}


def _keys(scene: Example, by: By) -> Iterator[str]:
    """Keys that a scene has in common with those it must stay with."""
    if Path(scene.source).is_absolute():  # a bag's path
        yield f"source {scene.source}"
    if by == "place" and scene.place:
        yield f"place {scene.place}"
    if by != "record" and scene.stamp_ns:
        day = datetime.fromtimestamp(scene.stamp_ns // 1_000_000_000, UTC).date()
        yield f"day {scene.place} {day}"


def _minutes(seen: Sequence[tuple[str, int]]) -> list[str]:
    """A key for each scene, of its place and time: one for all that follow one another within a minute."""
    keys = [f"alone {number}" for number in range(len(seen))]
    last, before = ("", -MINUTE - 1), 0
    for number in sorted(range(len(seen)), key=lambda number: seen[number]):
        place, stamp = seen[number]
        if not stamp:
            continue
        if place == last[0] and stamp - last[1] <= MINUTE:
            keys[number] = keys[before]
        last, before = seen[number], number
    return keys


def _assigned(members: list[list[str]], shares: Mapping[str, float], seed: int) -> dict[str, set[str]]:
    """Names of each part: groups in random order, large ones first, each to the part that lacks most.

    The last groups go to parts that have none yet.
    """
    order = np.random.default_rng(seed).permutation(len(members))
    whole = sum(map(len, members))
    parts: dict[str, set[str]] = {name: set() for name in shares}
    for done, number in enumerate(sorted(order.tolist(), key=lambda number: -len(members[number]))):
        empty = [name for name, chosen in parts.items() if not chosen]
        open_to = empty if empty and len(members) - done <= len(empty) else list(shares)
        lacking = max(open_to, key=lambda name: shares[name] * whole - len(parts[name]))
        parts[lacking] |= {*members[number]}
    return parts
