"""A folder of examples: what is saved comes back equal, nothing is overwritten, hostile files are refused by line."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rsagent_ros.agent.mask import MAX_PIXELS, encode_rle
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import ExampleFacts, load_examples, read_example, read_facts, save_examples


def stored(folder: Path) -> dict[str, os.stat_result]:
    return {path.name: path.stat() for path in sorted((folder / "images").iterdir())}


def scene(number: int = 0, masks: int = 1, *, depth: bool = False) -> Example:
    dice = np.random.default_rng(number)
    return Example(
        f"scene-{number}",
        dice.integers(0, 256, (24, 32, 3), dtype=np.uint8),
        "die grüne Tasse 中",
        (Outcome.NOT_IN_VIEW, Outcome.FOUND, Outcome.AMBIGUOUS)[masks],
        tuple(dice.random((24, 32)) < 0.5 for _ in range(masks)),
        previous=(Exchange("die Tasse", "welche?"),) if depth else (),
        ignore=dice.random((24, 32)) < 0.1 if depth else None,
        depth=dice.uniform(0.1, 5, (24, 32)).astype(np.float32) if depth else None,
        camera=PinholeCamera(32, 24, 30.0, 30.0, 16.0, 12.0) if depth else None,
        source="made up",
        split="val" if depth else "",
        tags=("attribute", "colour") if depth else ("attribute",),
        remarks=("its mask is rough",) if depth else (),
        self_judged=masks > 0,
    )


def assert_same(one: Example, other: Example) -> None:
    names = ("id", "instruction", "expected", "previous", "camera", "source", "split", "tags", "remarks", "self_judged")
    for name in names:
        assert getattr(one, name) == getattr(other, name)
    np.testing.assert_array_equal(one.ignore, other.ignore)
    np.testing.assert_array_equal(one.image, other.image)
    assert len(one.masks) == len(other.masks)
    for mask, same in zip(one.masks, other.masks, strict=True):
        assert same.dtype == np.bool_
        np.testing.assert_array_equal(mask, same)


# --- there and back


def test_saved_scenes_come_back_in_order(tmp_path: Path) -> None:
    scenes = [scene(0), scene(1, 0), scene(2, 2, depth=True)]
    assert save_examples(iter(scenes), tmp_path / "set") == 3
    back = list(load_examples(tmp_path / "set"))
    for one, other in zip(scenes, back, strict=True):
        assert_same(one, other)
    assert back[0].depth is None
    assert scenes[2].depth is not None
    assert back[2].depth is not None
    assert back[2].depth.dtype == np.float32
    np.testing.assert_allclose(back[2].depth, scenes[2].depth, atol=0.00051)


def test_unknown_depth_stays_unknown_and_far_depth_is_cut(tmp_path: Path) -> None:
    depth = np.full((24, 32), 1.5, dtype=np.float32)
    depth[0, :5] = [np.nan, np.inf, -np.inf, -1.0, 0.0]
    depth[1, 0] = 100.0
    save_examples([replace(scene(), depth=depth)], tmp_path)
    (back,) = load_examples(tmp_path)
    assert back.depth is not None
    assert np.isnan(back.depth[0, :5]).all()
    assert back.depth[1, 0] == pytest.approx(65.535)
    assert (back.depth[2] == 1.5).all()


def test_scenes_are_read_one_at_a_time(tmp_path: Path) -> None:
    save_examples([scene(0), scene(1)], tmp_path)
    (tmp_path / "images" / "scene-1.png").unlink()
    scenes = load_examples(tmp_path)
    assert next(scenes).id == "scene-0"
    with pytest.raises(ValueError, match=r"line 2: the file .*images/scene-1.png is missing"):
        next(scenes)


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    save_examples([scene(0)], tmp_path)
    rows = tmp_path / "scenes.jsonl"
    rows.write_text(f"\n  \n{rows.read_text()}\nnonsense\n")
    scenes = load_examples(tmp_path)
    assert next(scenes).id == "scene-0"
    with pytest.raises(ValueError, match=r"scenes.jsonl, line 5:"):
        next(scenes)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    save_examples([scene(0)], tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(FileExistsError, match="not overwriting; choose another folder"):
        save_examples([scene(1)], tmp_path)
    (tmp_path / "scenes.jsonl").unlink()
    with pytest.raises(FileExistsError):
        save_examples([replace(scene(1), id="scene-0")], tmp_path)
    assert (tmp_path / "images" / "scene-0.png").read_bytes() == before[tmp_path / "images" / "scene-0.png"]


def test_two_scenes_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError):
        save_examples([scene(0), scene(0)], tmp_path)


def test_folder_without_scenes_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"scenes.jsonl is missing"):
        list(load_examples(tmp_path))


# --- hostile folders


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A PNG whose header claims any size."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One good scene in line 1 and one to be spoiled in line 2; a picture beside the folder that it must not reach."""
    inside = tmp_path / "set"
    save_examples([scene(0), scene(1, depth=True)], inside)
    (tmp_path / "outside.png").write_bytes((inside / "images" / "scene-0.png").read_bytes())
    (inside / "images" / "link.png").symlink_to(tmp_path / "outside.png")
    (inside / "images" / "loop.png").symlink_to("loop.png")
    (inside / "images" / "text.png").write_text("no picture")
    (inside / "images" / "empty.png").touch()
    (inside / "images" / "bomb.png").write_bytes(png(60_000, 60_000))
    (inside / "images" / "flat.png").write_bytes(png(0, 10))
    (inside / "images" / "hollow.png").write_bytes(png(32, 24))
    whole = (inside / "images" / "scene-0.png").read_bytes()
    (inside / "images" / "cut.png").write_bytes(whole[:30])
    (inside / "images" / "jpeg.png").write_bytes(
        cv2.imencode(".jpg", np.zeros((24, 32, 3), dtype=np.uint8))[1].tobytes()
    )
    (inside / "images" / "small.png").write_bytes(
        cv2.imencode(".png", np.zeros((5, 5, 3), dtype=np.uint8))[1].tobytes()
    )
    (inside / "depth" / "deep.png").write_bytes(cv2.imencode(".png", np.zeros((24, 32), dtype=np.uint8))[1].tobytes())
    (inside / "depth" / "rgb.png").write_bytes(cv2.imencode(".png", np.ones((24, 32, 3), dtype=np.uint16))[1].tobytes())
    return inside


def refused(folder: Path, message: str) -> None:
    scenes = load_examples(folder)
    assert next(scenes).id == "scene-0"
    with pytest.raises(ValueError, match=message) as caught:
        next(scenes)
    assert "scenes.jsonl, line 2: " in str(caught.value)


HOSTILE: list[tuple[Callable[[Any], object], str]] = [
    (lambda d: d.update(image="../outside.png"), "'../outside.png' lies outside of"),
    (lambda d: d.update(image="images/../../outside.png"), "lies outside"),
    (lambda d: d.update(image="/etc/passwd"), "lies outside"),
    (lambda d: d.update(image="images/link.png"), "lies outside"),
    (lambda d: d.update(depth="../outside.png"), "lies outside"),
    (lambda d: d.update(image="images/loop.png"), "line 2"),
    (lambda d: d.update(image="images/\0.png"), "null"),
    (lambda d: d.update(image="x" * 5000), "name too long"),
    (lambda d: d.update(image=""), "is missing"),
    (lambda d: d.update(image="images"), "is missing"),
    (lambda d: d.update(image="images/none.png"), r"the file .*images/none.png is missing"),
    (lambda d: d.update(image="images/text.png"), "is not a PNG"),
    (lambda d: d.update(image="images/empty.png"), "is not a PNG"),
    (lambda d: d.update(image="images/jpeg.png"), "is not a PNG"),
    (lambda d: d.update(image="images/bomb.png"), f"60000 x 60000 pixels; at most {MAX_PIXELS} are read"),
    (lambda d: d.update(image="images/flat.png"), "can't be decoded|not an image"),
    (lambda d: d.update(image="images/cut.png"), "not an image that can be read"),
    (lambda d: d.update(image="images/small.png"), "mask 1 is 32 x 24, the image 5 x 5 pixels"),
    (lambda d: d.update(depth="depth/deep.png"), "is uint8 with 1 channels; depth is uint16 millimetres"),
    (lambda d: d.update(depth="depth/rgb.png"), "depth is"),
    (lambda d: d.update(image=5), r"\$.image"),
    (lambda d: d.update(version=3), "version 3; this release reads the versions 1 and 2"),
    (lambda d: d.update(version="1"), r"\$.version"),
    (lambda d: d.pop("version"), "version"),
    (lambda d: d.pop("instruction"), "instruction"),
    (lambda d: d.update(expected="won"), r"\$.expected"),
    (lambda d: d.update(expected="gave_up"), "expected is gave_up"),
    (lambda d: d.update(expected="not_in_view"), "do not fit"),
    (lambda d: d.update(masks=[]), "0 masks do not fit"),
    (lambda d: d.update(masks=[{"size": [24, 32]}]), r"\$.masks\[0\]"),
    (lambda d: d["masks"][0].update(counts="zz"), "RLE"),
    (lambda d: d["masks"][0].update(size=[24, 33]), "do not add up"),
    (lambda d: d.update(masks=[encode_rle(np.ones((32, 24), dtype=np.bool_))]), "mask 1 is 24 x 32"),
    (lambda d: d.update(id="../up"), "id '../up'"),
    (lambda d: d["camera"].pop("fx"), r"\$.camera"),
]


@pytest.mark.parametrize(("spoil", "message"), HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
def test_spoiled_row_is_refused_with_its_line(folder: Path, spoil: Callable[[Any], object], message: str) -> None:
    rows = (folder / "scenes.jsonl").read_text().splitlines()
    data = json.loads(rows[1])
    spoil(data)
    (folder / "scenes.jsonl").write_text(f"{rows[0]}\n{json.dumps(data)}\n")
    refused(folder, message)


@pytest.mark.parametrize(
    "line", [b"{", b"null", b"[]", b"5", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"version": 1, "id": "\xff"}', b"\0"]
)
def test_line_that_is_no_row_is_refused_with_its_number(folder: Path, line: bytes) -> None:
    rows = (folder / "scenes.jsonl").read_bytes().splitlines()
    (folder / "scenes.jsonl").write_bytes(rows[0] + b"\n" + line + b"\n")
    refused(folder, "line 2: ")


def test_file_that_cannot_be_read_is_refused(folder: Path) -> None:
    os.mkfifo(folder / "images" / "pipe.png")
    rows = (folder / "scenes.jsonl").read_text().splitlines()
    (folder / "scenes.jsonl").write_text(rows[0] + "\n" + rows[1].replace("images/scene-1.png", "images/pipe.png"))
    refused(folder, "is missing")


def test_picture_with_a_header_and_nothing_more_is_refused_or_read_as_what_it_is(folder: Path) -> None:
    rows = (folder / "scenes.jsonl").read_text().splitlines()
    (folder / "scenes.jsonl").write_text(rows[0] + "\n" + rows[1].replace("images/scene-1.png", "images/hollow.png"))
    refused(folder, "not an image that can be read")


def test_a_set_that_was_broken_off_is_none_and_can_be_begun_again(tmp_path: Path) -> None:
    def breaks_off() -> Iterator[Example]:
        yield scene(0)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        save_examples(breaks_off(), tmp_path)
    with pytest.raises(FileNotFoundError, match=r"scenes\.jsonl is missing"):
        list(load_examples(tmp_path))
    assert save_examples([scene(0), scene(1)], tmp_path) == 2
    assert [one.id for one in load_examples(tmp_path)] == ["scene-0", "scene-1"]


# --- pictures that are stored once


def test_an_image_of_several_examples_is_stored_once(tmp_path: Path) -> None:
    first = scene(1)
    others = [replace(first, id=f"again-{number}", instruction=f"thing {number}") for number in range(3)]
    copied = replace(first, id="equal", image=first.image.copy())
    save_examples([first, *others, copied, scene(2)], tmp_path)
    assert [*stored(tmp_path)] == ["scene-1.png", "scene-2.png"]
    read = list(load_examples(tmp_path))
    assert [one.id for one in read] == ["scene-1", "again-0", "again-1", "again-2", "equal", "scene-2"]
    assert all(np.array_equal(one.image, first.image) for one in read[:-1])


def test_a_copy_of_a_folder_shares_its_pictures(tmp_path: Path) -> None:
    save_examples([scene(1, depth=True), scene(2)], tmp_path / "one")
    read = list(load_examples(tmp_path / "one"))
    changed = replace(read[1], image=255 - read[1].image)
    save_examples([replace(read[0], id="other-name"), changed], tmp_path / "two")
    one, two = stored(tmp_path / "one"), stored(tmp_path / "two")
    assert two["other-name.png"].st_ino == one["scene-1.png"].st_ino
    assert two["scene-2.png"].st_ino != one["scene-2.png"].st_ino
    assert (tmp_path / "two/depth/other-name.png").samefile(tmp_path / "one/depth/scene-1.png")
    again = list(load_examples(tmp_path / "two"))
    np.testing.assert_array_equal(again[0].image, read[0].image)
    np.testing.assert_array_equal(again[1].image, changed.image)


def test_a_copy_that_is_begun_again_leaves_the_original_alone(tmp_path: Path) -> None:
    save_examples([scene(1)], tmp_path / "one")
    (read,) = load_examples(tmp_path / "one")
    save_examples([read], tmp_path / "two")
    (tmp_path / "two/scenes.jsonl").rename(tmp_path / "two/scenes.jsonl.partial")  # as a kill leaves it
    changed = replace(read, image=255 - read.image)
    save_examples([changed], tmp_path / "two")
    (original,), (copy,) = load_examples(tmp_path / "one"), load_examples(tmp_path / "two")
    np.testing.assert_array_equal(original.image, read.image)
    np.testing.assert_array_equal(copy.image, changed.image)


def test_where_there_are_no_links_pictures_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_examples([scene(1)], tmp_path / "one")
    (read,) = load_examples(tmp_path / "one")

    def refuse(self: Path, target: Path) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    save_examples([read], tmp_path / "two")
    (copied,) = load_examples(tmp_path / "two")
    np.testing.assert_array_equal(copied.image, read.image)


def test_facts_are_known_without_the_pixels(tmp_path: Path) -> None:
    save_examples([scene(1)], tmp_path)
    line = (tmp_path / "scenes.jsonl").read_bytes()
    assert read_facts(line, tmp_path) == ExampleFacts("die grüne Tasse 中", (24, 32))
    picture = tmp_path / "images" / "scene-1.png"
    picture.write_bytes(picture.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"scene-1\.png is cut short, or no PNG"):
        read_facts(line, tmp_path)
    picture.unlink()
    with pytest.raises(ValueError, match=r"scene-1\.png is missing"):
        read_facts(line, tmp_path)


def test_depth_is_read_where_it_is_wanted(tmp_path: Path) -> None:
    save_examples([scene(1, depth=True)], tmp_path)
    line = (tmp_path / "scenes.jsonl").read_bytes()
    (tmp_path / "depth" / "scene-1.png").unlink()
    assert read_example(line, tmp_path, depth=False).depth is None
    with pytest.raises(ValueError, match=r"depth/scene-1\.png is missing"):
        read_example(line, tmp_path)
