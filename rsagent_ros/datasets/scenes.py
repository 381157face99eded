"""Scene folders (`rsagent_ros.data.scene`): what the simulator writes, and anybody with a program of their own.

Made by `rsagent simulate`, for example. Nothing to download.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from rsagent_ros.data.files import depth_remarks
from rsagent_ros.data.sample import Listed, Sample, Skipped, Truth
from rsagent_ros.data.scene import read_scene


@dataclass(frozen=True)
class _Named:
    id: str


def list_scenes(folder: Path) -> Iterator[Listed | Skipped]:
    """The scenes of a folder, in its order.

    Raises:
        FileNotFoundError: There is no scenes.jsonl in it.
    """
    rows = folder / "scenes.jsonl"
    if not rows.is_file():
        raise FileNotFoundError(f"{rows} is missing; a folder of scenes holds scenes.jsonl, images/ and depth/")
    with rows.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            place = f"{rows}, line {number}"
            try:
                name = msgspec.json.decode(line, type=_Named).id
            except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
                yield Skipped("", place, str(error))
            else:
                yield Listed(name, place, partial(_load, line, folder))


def _load(line: bytes, folder: Path) -> Sample:
    try:
        scene = read_scene(line, folder)
    except (msgspec.DecodeError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    truth = Truth(
        scene.id,
        (scene.image.shape[0], scene.image.shape[1]),
        scene.expected,
        scene.masks,
        category=scene.category,
        source=scene.source,
        remarks=depth_remarks(scene.depth),
    )
    return Sample(truth, scene.image, scene.instruction, scene.previous)
