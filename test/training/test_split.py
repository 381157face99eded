"""Parts of a set of scenes: alike pictures are on one side, and what a test holds is not collected."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from recorded import STAMP, recorded

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import load_examples, save_examples
from rsagent_ros.data.ref import loaded
from rsagent_ros.records.record import Verdict
from rsagent_ros.records.writer import RecordWriter
from rsagent_training.collect import collect
from rsagent_training.data_commands import add_collect, add_split
from rsagent_training.near_duplicates import SeenPictures, perceptual_hash
from rsagent_training.scene_index import SceneIndex
from rsagent_training.split import By, split

SHARES = {"train": 0.6, "test": 0.4}
NOON = 1_763_726_400 * 10**9
"""2025-11-21 12:00 UTC."""


def place(number: int, frame: int = 0) -> NDArray[np.uint8]:
    """A frame of a place: blocks of its own, a camera that moves by pixels, noise, and light that changes."""
    blocks = np.random.default_rng(number).integers(40, 200, (6, 8, 3)).astype(np.float32)
    image = cv2.resize(blocks, (166, 126), interpolation=cv2.INTER_CUBIC)[frame : frame + 120, frame : frame + 160]
    noise = np.random.default_rng((number, frame)).normal(0, 3, image.shape)
    return np.clip(image * (1 + 0.02 * frame) + noise, 0, 255).astype(np.uint8)


def example(number: int, frame: int = 0, source: str = "record", **fields: Any) -> Example:
    mask = np.zeros((120, 160), dtype=np.bool_)
    mask[10:40, 10:40] = True
    name = f"place-{number}-{frame}"
    return Example(name, place(number, frame), "the cup", Outcome.FOUND, (mask,), source=source, **fields)


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


def sides_of(folder: Path, parts: Path, by: By) -> list[set[str]]:
    """The numbers of the places on each side."""
    split(folder, parts, SHARES, by=by)
    return [{one.id.split("-")[1] for one in load_examples(parts / part)} for part in SHARES]


def test_a_day_at_a_place_stays_together_and_so_does_a_place_where_that_is_asked(tmp_path: Path) -> None:
    """Twelve pictures that are not alike, of three days, at two places by turns, hours apart."""
    made = [
        example(number, stamp_ns=NOON + (number // 4 * 24 * 3600 + number % 4 * 3600) * 10**9, place=f"p{number % 2}")
        for number in range(12)
    ]
    save_examples(made, tmp_path / "all")
    days = {str(one.id.split("-")[1]): (one.place, one.stamp_ns // (24 * 3600 * 10**9)) for one in made}
    ways: dict[By, Callable[[str], object]] = {"day": lambda one: days[one], "place": lambda one: days[one][0]}
    for by, of in ways.items():
        train, test = ({of(number) for number in side} for side in sides_of(tmp_path / "all", tmp_path / by, by))
        assert train
        assert test
        assert not train & test
    by_record = sides_of(tmp_path / "all", tmp_path / "record", "record")
    assert {days[number] for number in by_record[0]} & {days[number] for number in by_record[1]}


def test_frames_of_one_minute_stay_together_over_midnight(tmp_path: Path) -> None:
    midnight = NOON + 12 * 3600 * 10**9
    made = [example(number, stamp_ns=midnight + (20 * number - 50) * 10**9) for number in range(5)]
    made += [example(number, stamp_ns=midnight + (20 * number + 3600) * 10**9) for number in range(5, 8)]
    save_examples(made, tmp_path / "all")
    train, test = sides_of(tmp_path / "all", tmp_path / "parts", "record")
    assert {frozenset(train), frozenset(test)} == {frozenset("01234"), frozenset("567")}


def test_no_part_goes_empty_where_there_are_groups_enough(tmp_path: Path) -> None:
    made = [example(number, stamp_ns=NOON + number % 5 * 24 * 3600 * 10**9) for number in range(15)]
    save_examples(made, tmp_path / "all")
    counts = split(tmp_path / "all", tmp_path / "parts", {"train": 0.8, "val": 0.1, "test": 0.1})
    assert counts == {"train": 9, "val": 3, "test": 3}


def test_records_know_their_day_and_are_told_their_place(tmp_path: Path) -> None:
    judged = Verdict("goal-1", "operator", accepted=True, stamp_ns=STAMP + 1)
    writer = RecordWriter(tmp_path / "records")
    writer.write(recorded(verdicts=(judged,)))
    writer.write(recorded(goal_id="goal-2", stamp_ns=40 * 10**9, verdicts=(replace(judged, goal_id="goal-2"),)))
    parser = argparse.ArgumentParser()
    add_collect(parser.add_subparsers())
    words = ["collect", str(tmp_path / "scenes"), "--records", str(tmp_path / "records"), "--place", "kitchen"]
    arguments = parser.parse_args(words)
    assert arguments.command(arguments) == 0
    stamps = {one.id: (one.stamp_ns, one.place) for one in load_examples(tmp_path / "scenes")}
    assert stamps == {"goal-1": (STAMP, "kitchen"), "goal-2": (0, "kitchen")}  # the second: a simulator's clock


def test_parts_that_can_not_be_are_refused(tmp_path: Path) -> None:
    save_examples([example(0, frame) for frame in range(4)], tmp_path / "all")
    with pytest.raises(ValueError, match="test would be empty: the 4 scenes are of 1 groups that belong together"):
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
