"""Simulated robot scenes: a table top in MuJoCo, what a camera sees of it, and goals in words with their true answer.

    with World(7) as world:
        frame = world.render()              # frame.rgb, .depth (metres), .masks by name, .camera, .pose
        for example in examples(world, frame):  # example.instruction, .expected, .masks
            ...
    for scene in scenes(seed=0, count=100):  # the same as evaluation and training take them
        ...

On the command line, a folder of scenes and a picture to look through them:

    python -m rsagent_training.simulate scenes/ --seed 0 --count 20 --sheet sheet.png

The parts, in reading order: `simulation.catalogue` (what there is), `shapes` and `meshes` (its bodies), `room` (table,
walls, lamps), `layout` (what lies where), `camera_path` (the camera), `world` (rendering), `visibility` (what is seen
of each thing), `semantics` (what descriptions mean, and what is doubtful), `subject` and `instructions` (what may be
asked), `demo` (a fixed scene), `contact_sheet` (many scenes on one picture).

World number n of a set is the one of seed + n. Sets whose seeds do not overlap share nothing; keep a range for testing.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import save_examples
from rsagent_training.simulation.contact_sheet import tile, write_sheet
from rsagent_training.simulation.demo import DEMO_EXPRESSIONS, UNKNOWN_NOUN, demo_examples, demo_world
from rsagent_training.simulation.instructions import CATEGORIES, examples
from rsagent_training.simulation.layout import Item, Vocabulary
from rsagent_training.simulation.world import Rendering, World

__all__ = [
    "CATEGORIES",
    "DEMO_EXPRESSIONS",
    "UNKNOWN_NOUN",
    "Item",
    "Rendering",
    "Vocabulary",
    "World",
    "demo_examples",
    "demo_world",
    "examples",
    "main",
    "scenes",
]  # fmt: skip


def scenes(
    seed: int,
    count: int,
    *,
    vocabulary: Vocabulary = "full",
    size: tuple[int, int] = (640, 480),
    per_world: int = 1,
) -> Iterator[Example]:
    """Scenes of the worlds seed, seed + 1, ..., with the categories in balance.

    The first n scenes do not depend on `count`.

    Args:
        seed: First world's, not negative.
        count: How many scenes.
        vocabulary: "plain" or "full", see `World`.
        size: (width, height) in pixels.
        per_world: Examples of one picture, of different categories.

    Raises:
        ValueError: No scene, or none per world, is wanted, or what `World` refuses.
    """
    if min(count, per_world) < 1:
        raise ValueError(f"count is {count} and per_world {per_world}; both must be 1 or more")
    given: Counter[str] = Counter()
    made = 0
    for world_seed in itertools.count(seed):
        if made == count:
            return
        with World(world_seed, vocabulary=vocabulary, size=size) as world:
            possible = examples(world, world.render())
        first_of = {example.category: example for example in reversed(possible)}
        for category in sorted(first_of, key=lambda category: given[category])[:per_world]:
            if made < count:
                given[category] += 1
                made += 1
                yield first_of[category]


def main(argv: Sequence[str] | None = None) -> int:
    """Writes a folder of scenes. Returns 0, or 1 when that failed; bad usage exits with 2."""
    options = _options(argv)
    for path in (options.folder, options.sheet):
        if path is not None and path.exists():
            sys.stderr.write(f"{path} exists already, not overwriting; choose another name\n")
            return 1
    made = scenes(
        options.seed, options.count, vocabulary=options.vocabulary, size=options.size, per_world=options.per_world
    )
    tiles: list[NDArray[np.uint8]] | None = [] if options.sheet else None
    try:
        save_examples(_watched(made, options.count, tiles), options.folder)
        if tiles is not None:
            write_sheet(tiles, options.sheet)
    except OSError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    sys.stderr.write(f"\n{options.count} scenes in {options.folder}\n")
    return 0


def _watched(made: Iterator[Example], count: int, tiles: list[NDArray[np.uint8]] | None) -> Iterator[Example]:
    """Pass scenes on, with progress on stderr; add a tile of each to the list, where there is one."""
    for number, scene in enumerate(made, start=1):
        sys.stderr.write(f"\r{number}/{count}  {scene.category:<10} {scene.instruction[:80]:<80}")
        sys.stderr.flush()
        if tiles is not None:
            tiles.append(tile(scene))
        yield scene


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m rsagent_training.simulate", description=main.__doc__)
    parser.add_argument("folder", type=Path, help="where to write; must not exist yet")
    parser.add_argument("--seed", type=_whole(0), default=0, help="of the first world (default: 0)")
    parser.add_argument("--count", type=_whole(1), default=20, help="scenes (default: 20)")
    parser.add_argument("--vocabulary", choices=("plain", "full"), default="full", help="of goals (default: full)")
    parser.add_argument("--size", type=_size, default=(640, 480), metavar="WxH", help="of pictures (default: 640x480)")
    parser.add_argument("--per-world", type=_whole(1), default=1, metavar="N", help="goals per picture (default: 1)")
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="also write one picture of all scenes")
    return parser.parse_args(argv)


def _whole(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition("x")
    if not (cross and width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, such as 640x480")
    return int(width), int(height)


if __name__ == "__main__":
    raise SystemExit(main())
