"""Parts of a set of scenes: alike pictures are on one side, and what a test holds is not collected."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import load_examples, save_examples
from rsagent_ros.data.ref import loaded
from rsagent_training.collect import collect
from rsagent_training.data_commands import add_split
from rsagent_training.near_duplicates import SeenPictures, perceptual_hash
from rsagent_training.scene_index import SceneIndex
from rsagent_training.split import split

SHARES = {"train": 0.6, "test": 0.4}


def place(number: int, frame: int = 0) -> NDArray[np.uint8]:
    """A frame of a place: blocks of its own, a camera that moves by pixels, noise, and light that changes."""
    blocks = np.random.default_rng(number).integers(40, 200, (6, 8, 3)).astype(np.float32)
    image = cv2.resize(blocks, (166, 126), interpolation=cv2.INTER_CUBIC)[frame : frame + 120, frame : frame + 160]
    noise = np.random.default_rng((number, frame)).normal(0, 3, image.shape)
    return np.clip(image * (1 + 0.02 * frame) + noise, 0, 255).astype(np.uint8)


def example(number: int, frame: int = 0, source: str = "record") -> Example:
    mask = np.zeros((120, 160), dtype=np.bool_)
    mask[10:40, 10:40] = True
    name = f"place-{number}-{frame}"
    return Example(name, place(number, frame), "the cup", Outcome.FOUND, (mask,), source=source)


def test_frames_of_one_place_are_alike_and_places_are_not() -> None:
    hashes = [[perceptual_hash(place(number, frame)) for frame in range(4)] for number in range(20)]
    apart = [bin(hashes[0][0] ^ other[0]).count("1") for other in hashes[1:]]
    following = [bin(one ^ after).count("1") for of in hashes for one, after in pairwise(of)]
    assert max(following) <= 10 < min(apart)
    larger = np.asarray(cv2.resize(place(0), (320, 240)), dtype=np.uint8)
    assert SeenPictures([hashes[0][0]]).has(larger)
    assert not SeenPictures([hashes[0][0]]).has(place(1))


def test_no_place_is_on_both_sides(tmp_path: Path) -> None:
    save_examples((example(number, frame) for frame in range(4) for number in range(10)), tmp_path / "all")
    counts = split(tmp_path / "all", tmp_path / "parts", SHARES)
    assert counts == {"train": 24, "test": 16}
    sides = {part: {one.id.split("-")[1] for one in load_examples(tmp_path / "parts" / part)} for part in SHARES}
    assert not sides["train"] & sides["test"]
    assert len(json.loads((tmp_path / "parts" / "split.json").read_bytes())) == 10
    first = next(iter(load_examples(tmp_path / "parts" / "train"))).files[0].path
    assert first.samefile(tmp_path / "all" / "images" / first.name)
    with pytest.raises(FileExistsError):
        split(tmp_path / "all", tmp_path / "parts", SHARES)


def test_scenes_of_one_bag_stay_together(tmp_path: Path) -> None:
    bags = [example(number, source=f"/data/bag-{number % 3}") for number in range(12)]
    save_examples(bags, tmp_path / "all")
    split(tmp_path / "all", tmp_path / "parts", SHARES)
    sides = [{one.source for one in load_examples(tmp_path / "parts" / part)} for part in SHARES]
    assert not sides[0] & sides[1]


def test_parts_that_can_not_be_are_refused(tmp_path: Path) -> None:
    save_examples([example(0, frame) for frame in range(4)], tmp_path / "all")
    with pytest.raises(ValueError, match="test would be empty: the 4 scenes are of 1 groups of alike pictures"):
        split(tmp_path / "all", tmp_path / "parts", SHARES)
    with pytest.raises(ValueError, match="each over 0, that add up to 1"):
        split(tmp_path / "all", tmp_path / "parts", {"train": 0.6, "test": 0.3})
    parser = argparse.ArgumentParser()
    add_split(parser.add_subparsers())
    wrong = parser.parse_args(["split", str(tmp_path / "all"), "--out", str(tmp_path / "p"), "--share", "0.8"])
    assert wrong.command(wrong) == 1


def test_what_a_test_holds_is_not_collected(tmp_path: Path) -> None:
    save_examples([example(0), example(1)], tmp_path / "test")
    seen = SeenPictures.of([SceneIndex(tmp_path / "test")])
    found = [replace(example(number, frame=2), id=f"mine-{number}") for number in range(4)]
    filters = collect([loaded(one, "mine") for one in found], tmp_path / "mine", exclude=seen)
    assert [one.id for one in load_examples(tmp_path / "mine")] == ["mine-2", "mine-3"]
    assert filters.to_json()["dropped"] == {"no excluded picture": {"alike to a picture that is excluded": 2}}
