"""Masks and texts as other tools write them: read for what they are, or refused with a sentence."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from evaluation_cases import SIZE, box, image
from numpy.typing import NDArray
from pycocotools import mask as coco

from rsagent_ros.agent.mask import encode_rle
from rsagent_ros.data.files import decode_runs, read_image, read_mask
from rsagent_ros.data.ref import ExampleRef
from rsagent_ros.data.text import text_lines
from rsagent_ros.datasets import Dataset, list_examples
from rsagent_ros.datasets.masks import FILE
from rsagent_ros.evaluation.predictions import read_predictions

MASK = box(10, 10, 30, 30)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def palette_png(indices: NDArray[np.uint8], palette: bytes, bits: int = 8, transparent: bytes = b"") -> bytes:
    """A PNG of indices, as DAVIS, VOC and SAM 2's own tools write masks."""
    height, width = indices.shape
    unpacked = (indices[:, :, None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(unpacked.reshape(height, -1).astype(np.uint8), axis=1)
    header = struct.pack(">IIBBBBB", width, height, bits, 3, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"PLTE", palette)
    parts += chunk(b"tRNS", transparent) if transparent else b""
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    return b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


PALETTES = [b"\0\0\0\x80\0\0", b"\0\0\0\xff\xff\xff", b"\x44\x01\x54\xfd\xe7\x25", b"\xff\xff\xff\0\0\0"]


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("palette", PALETTES)
def test_of_a_palette_the_indices_count(tmp_path: Path, palette: bytes, bits: int) -> None:
    (tmp_path / "a.png").write_bytes(palette_png(MASK.astype(np.uint8), palette, bits))
    assert (read_mask(tmp_path / "a.png") == MASK).all()
    rgb = read_image(tmp_path / "a.png")  # a picture has the colours
    assert (rgb[20, 20] == np.frombuffer(palette[3:6], np.uint8)).all()


def test_several_objects_and_transparent_colours_of_a_palette(tmp_path: Path) -> None:
    indices = MASK.astype(np.uint8)
    indices[20:, 20:][MASK[20:, 20:]] = 7
    data = palette_png(indices, bytes(range(24)), transparent=b"\0\xff")
    (tmp_path / "a.png").write_bytes(data)
    assert (read_mask(tmp_path / "a.png") == MASK).all()
    (tmp_path / "a.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"a\.png"):
        read_mask(tmp_path / "a.png")


def write(path: Path, pixels: NDArray[Any]) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())
    return path


def test_a_mask_that_is_transparent_is_read_only_where_both_say_the_same(tmp_path: Path) -> None:
    inside = MASK.astype(np.uint8) * 255
    whole = np.full_like(inside, 255)
    assert (read_mask(write(tmp_path / "opaque.png", np.dstack([inside] * 3 + [whole]))) == MASK).all()
    assert (read_mask(write(tmp_path / "both.png", np.dstack([inside] * 4))) == MASK).all()
    for name, pixels in {"alpha": [whole] * 3 + [inside], "black": [whole * 0] * 3 + [inside]}.items():
        with pytest.raises(ValueError, match="transparent"):
            read_mask(write(tmp_path / f"{name}.png", np.dstack(pixels)))


def test_a_jpeg_is_no_mask(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jpg", MASK.astype(np.uint8) * 255)
    path.rename(tmp_path / "a.png")
    with pytest.raises(ValueError, match="JPEG"):
        read_mask(tmp_path / "a.png")


def test_run_lengths_of_both_forms() -> None:
    flat = MASK.T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *edges, flat.size]).tolist()
    assert (decode_runs({"size": [*SIZE], "counts": counts}) == MASK).all()
    assert (coco.decode(coco.frPyObjects({"size": [*SIZE], "counts": counts}, *SIZE)) == MASK).all()
    assert (decode_runs(encode_rle(MASK)) == MASK).all()
    assert decode_runs({"size": [2, 3], "counts": [0, 6]}).all()


# --- byte order marks


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_the_first_line_counts_with_a_mark_and_without(tmp_path: Path, mark: bytes, ending: bytes) -> None:
    rows = [json.dumps({"id": name, "mask": encode_rle(MASK)}).encode() for name in "ab"]
    (tmp_path / "predictions.jsonl").write_bytes(mark + ending.join(rows))
    found = read_predictions(tmp_path)
    assert found.remarks == []
    assert [(load().mask == MASK).all() for load in found.load.values()] == [True, True]  # type: ignore[union-attr]
    truth = [json.dumps({"id": name, "masks": [encode_rle(MASK)]}).encode() for name in "ab"]
    (tmp_path / FILE).write_bytes(mark + ending.join(truth))
    listed = [*list_examples(Dataset("masks", str(tmp_path)), masks_only=True)]
    assert [one.load().id for one in listed if isinstance(one, ExampleRef)] == ["a", "b"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_lines_that_are_not_utf_8_are_told(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.jsonl").write_bytes('{"id": "a"}\n'.encode(encoding))
    with pytest.raises(ValueError, match="save it as UTF-8"):
        list(text_lines(tmp_path / "a.jsonl"))


def test_an_image_is_the_same_as_ever(tmp_path: Path) -> None:
    assert (read_image(write(tmp_path / "a.png", image()[:, :, ::-1])) == image()).all()
