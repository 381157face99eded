"""Bags of every kind, whole and damaged: what can be read is read, what is lost is told with its place."""

from __future__ import annotations

import io
import shutil
import sqlite3
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bags import SECOND, START, Tape, camera_tape, discs, goal, header, humble, image, text
from hypothesis import given, settings
from hypothesis import strategies as st
from mcap.writer import CompressionType, Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin

from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.bag import Bag
from rsagent_ros.records.bag_index import index_bag
from rsagent_ros.records.interfaces import blank, definition, serialize
from rsagent_ros.records.salvage import whole_messages


def read(path: Path) -> tuple[list[tuple[str, int]], list[str], list[str]]:
    """CameraTopics and times of all messages that can be decoded; what is lost; what is odd."""
    lost: list[str] = []
    odd: list[str] = []
    with Bag(path, lost.append, odd.append) as bag:
        found = [(message.topic, message.time) for message in bag.messages() if bag.decode(message) is not None]
    return found, lost, odd


def rows(tape: Tape) -> list[tuple[str, int]]:
    return [(topic, time) for time, topic, _ in sorted(tape.rows, key=lambda row: row[0])]


def storage_file(bag: Path) -> Path:
    (file,) = [file for file in bag.iterdir() if file.name != "metadata.yaml"]
    return file


ASKED = camera_tape().put(0.15, "/agent/goal", goal(id="a")).put(0.35, "/agent/goal_text", text("the blue circle"))


@pytest.mark.parametrize("storage", list(StoragePlugin))
@pytest.mark.parametrize("version", [8, 9])
@pytest.mark.parametrize(
    "compress",
    [None, (CompressionMode.FILE, CompressionFormat.ZSTD), (CompressionMode.MESSAGE, CompressionFormat.ZSTD)],
    ids=str,
)
def test_every_kind_of_storage(tmp_path: Path, storage: StoragePlugin, version: int, compress: Any) -> None:
    bag = ASKED.write(tmp_path / "bag", storage, version, compress)
    assert read(bag) == (rows(ASKED), [], [])
    (bag / "metadata.yaml").unlink()
    found, lost, odd = read(bag)
    assert (found, lost) == (rows(ASKED), [])
    assert odd == [f"{bag}: metadata.yaml is missing; the files are read in the order of their names"]
    assert read(storage_file(bag))[:2] == (rows(ASKED), [])


def test_a_storage_compressed_by_mcap_itself(tmp_path: Path) -> None:
    bag = ASKED.write(tmp_path / "bag", compress=(CompressionMode.STORAGE, CompressionFormat.ZSTD))
    assert read(bag) == (rows(ASKED), [], [])


def test_humble_has_no_definitions_in_sqlite(tmp_path: Path) -> None:
    tape = camera_tape().put(0.2, "/agent/goal_text", text("the red circle"))
    bag = tape.write(tmp_path / "bag", StoragePlugin.SQLITE3, 8, definitions=humble())
    with sqlite3.connect(storage_file(bag)) as database:
        database.execute("DROP TABLE message_definitions")
        database.execute("UPDATE schema SET schema_version = 3")
    assert read(bag)[:2] == (rows(tape), [])


def test_several_files_come_in_their_order(tmp_path: Path) -> None:
    folder = tmp_path / "bag"
    folder.mkdir()
    times = []
    for number in (9, 10, 2):
        part = Tape().put(number, "/words", text(str(number))).write(tmp_path / f"part{number}")
        shutil.copy(storage_file(part), folder / f"bag_{number}.mcap")
        times.append(START + number * SECOND)
    assert [time for _, time in read(folder)[0]] == sorted(times)
    # The metadata knows the order, and not of a file that was begun later; one it names is gone.
    names = "relative_file_paths: [/home/robot/bag/bag_9.mcap, bag_5.mcap, bag_2.mcap]"
    (folder / "metadata.yaml").write_text(f"rosbag2_bagfile_information:\n  {names}\n")
    found, lost, odd = read(folder)
    assert [(time - START) // SECOND for _, time in found] == [9, 2, 10]
    assert lost == [f"{folder}/bag_5.mcap: metadata.yaml names it, but it is missing; its messages are left out"]
    assert odd == [
        f"{folder}: metadata.yaml does not name bag_10.mcap, as after a recorder was killed; they are read too"
    ]


@pytest.mark.parametrize(
    "metadata",
    ["", "[", "a: b", "rosbag2_bagfile_information: {relative_file_paths: 3}", "!!python/object:os.system x"],
)
def test_metadata_that_makes_no_sense(tmp_path: Path, metadata: str) -> None:
    bag = ASKED.write(tmp_path / "bag")
    (bag / "metadata.yaml").write_text(metadata)
    found, lost, odd = read(bag)
    assert (found, lost, len(odd)) == (rows(ASKED), [], 1)
    assert "metadata.yaml can't be read" in odd[0]


def test_no_bag(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such bag"):
        Bag(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"no \.mcap"):
        Bag(tmp_path)


def unknown(folder: Path) -> Path:
    """A bag with a type that nobody knows beside one that is defined only there."""
    with folder.open("wb") as file:
        writer = Writer(file)
        writer.start("ros2")
        for kind, text_, topic in (
            ("odd/msg/Nowhere", "", "/nowhere"),
            ("odd/msg/Broken", "no definition (((", "/broken"),
            ("odd/msg/Own", "std_msgs/Header header\nfloat32[3] values", "/own"),  # the nested type is left out
        ):
            schema = writer.register_schema(kind, "ros2msg" if text_ else "", text_.encode())
            channel = writer.register_channel(topic, "cdr", schema)
            data = serialize(blank("std_msgs/msg/Header", frame_id="abc")) + struct.pack("<3f", 1, 2, 3)
            writer.add_message(channel, START, data, START)
        writer.finish()
    return folder


def test_types_that_are_not_known(tmp_path: Path) -> None:
    found, lost, _ = read(unknown(tmp_path / "odd.mcap"))
    assert found == [("/own", START)]
    assert len(lost) == 3
    assert "on /nowhere logged at 1763735700.000 s is left out: the type odd/msg/Nowhere is not known" in lost[0]
    assert "the definition of the type odd/msg/Broken can't be read" in lost[1]
    assert "on /broken logged at 1763735700.000 s is left out: the type odd/msg/Broken is not known" in lost[2]


def test_messages_that_are_no_messages(tmp_path: Path) -> None:
    tape = camera_tape((0.0, 0.1)).put(0.05, "/agent/goal", goal())
    bag = tape.write(tmp_path / "bag", StoragePlugin.SQLITE3)
    with sqlite3.connect(storage_file(bag)) as database:
        database.execute("UPDATE messages SET data = x'00010000' WHERE rowid IN (1, 2)")
        database.execute("UPDATE messages SET data = x'' WHERE rowid = 4")
    lost: list[str] = []
    with Bag(bag, lost.append) as opened:
        index = index_bag(opened)
    assert index.goals == []
    assert len(index.refs["/camera/image"]) == 1
    assert len(lost) == 3
    assert all(str(storage_file(bag)) in sentence for sentence in lost)


# --- cut and damaged


def mcap(chunked: bool, compression: CompressionType, count: int = 4) -> bytes:
    file = io.BytesIO()
    writer = Writer(file, use_chunking=chunked, compression=compression, chunk_size=40)
    writer.start("ros2")
    channel = writer.register_channel(
        "/words", "cdr", writer.register_schema(ros.STRING, "ros2msg", definition(ros.STRING).encode())
    )
    for number in range(count):
        writer.add_message(channel, START + number, serialize(text(f"word {number}")), START)
    writer.finish()
    return file.getvalue()


KINDS = [
    (False, CompressionType.NONE),
    (True, CompressionType.NONE),
    (True, CompressionType.LZ4),
    (True, CompressionType.ZSTD),
]


@pytest.mark.parametrize(("chunked", "compression"), KINDS, ids=str)
def test_mcap_cut_at_every_byte(tmp_path: Path, chunked: bool, compression: CompressionType) -> None:
    whole, file = mcap(chunked, compression), tmp_path / "cut.mcap"
    before = 0
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        found, lost, _ = read(file)
        assert found == [("/words", START + number) for number in range(len(found))]
        assert before <= len(found) <= 4
        assert len(lost) == 1
        assert f"{file}: cut at byte {length}" in lost[0]
        assert lost[0].endswith(f"{len(found)} messages were kept")
        before = len(found)
    assert before == 4


@pytest.mark.parametrize(("chunked", "compression"), KINDS, ids=str)
@settings(max_examples=150, deadline=None)
@given(place=st.integers(0, 10_000), value=st.integers(0, 255))
def test_mcap_with_any_byte_changed(
    tmp_path_factory: pytest.TempPathFactory, chunked: bool, compression: CompressionType, place: int, value: int
) -> None:
    whole = bytearray(mcap(chunked, compression))
    whole[place % len(whole)] = value
    file = tmp_path_factory.mktemp("changed") / "changed.mcap"
    file.write_bytes(whole)
    found, lost, _ = read(file)
    # Without chunks nothing guards a message; with them, what is wrong is left out and told.
    assert len(found) == 4 or lost or not chunked or len({time for _, time in found}) == len(found)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_anything_behind_the_magic(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.mktemp("junk") / "junk.mcap"
    file.write_bytes(b"\x89MCAP0\r\n" + data)
    tracemalloc.start()
    found, lost, _ = read(file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == []
    assert lost
    assert peak < 50_000_000


def test_a_damaged_chunk_is_left_out_and_the_rest_is_read(tmp_path: Path) -> None:
    bag = camera_tape().write(tmp_path / "bag", compress=(CompressionMode.STORAGE, CompressionFormat.ZSTD))
    told: list[str] = []
    file = tmp_path / "chunks.mcap"
    with file.open("wb") as out:
        writer = Writer(out, chunk_size=1000)
        writer.start("ros2")
        schema = writer.register_schema(ros.IMAGE, "ros2msg", definition(ros.IMAGE).encode())
        channel = writer.register_channel("/camera/image", "cdr", schema)
        for number in range(5):
            writer.add_message(channel, START + number, serialize(image(discs(number), START)), START)
        writer.finish()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(data)
    assert len(list(whole_messages(file, told.append))) == 4
    assert "is damaged and left out" in told[0]
    found, lost, _ = read(file)
    assert len(found) == len(set(found)) == 4
    assert len(lost) == 1
    assert read(bag)[1] == []


def test_a_damaged_chunk_after_a_clock_that_went_back_costs_nothing_else(tmp_path: Path) -> None:
    """The index gives messages by time, the way past the damage as they stand: none is lost or comes twice."""
    file = tmp_path / "chunks.mcap"
    with file.open("wb") as out:
        writer = Writer(out, chunk_size=400, compression=CompressionType.NONE)
        writer.start("ros2")
        schema = writer.register_schema(ros.STRING, "ros2msg", definition(ros.STRING).encode())
        channel = writer.register_channel("/goal_text", "cdr", schema)
        for time in (*range(100, 160, 10), *range(105, 205, 10)):
            writer.add_message(channel, time, serialize(text(f"<{time}>" + "x" * 60)), time)
        writer.finish()
    data = file.read_bytes()
    for damaged in (b"<100>", b"<125>", b"<135>", b"<150>", b"<165>", b"<195>"):
        broken = bytearray(data)
        broken[data.index(damaged) + 20] ^= 1
        file.write_bytes(broken)
        told: list[str] = []
        whole = [raw.time for raw in whole_messages(file, told.append)]
        found, lost, _ = read(file)
        assert told
        assert lost
        assert sorted(time for _, time in found) == sorted(whole)


def test_an_unclosed_file_beside_whole_ones(tmp_path: Path) -> None:
    folder = tmp_path / "bag"
    folder.mkdir()
    shutil.copy(storage_file(camera_tape().write(tmp_path / "first")), folder / "bag_0.mcap")
    whole = mcap(True, CompressionType.ZSTD)
    (folder / "bag_1.mcap").write_bytes(whole[: len(whole) // 2])
    (folder / "metadata.yaml").write_text("rosbag2_bagfile_information: {relative_file_paths: [bag_0.mcap]}")
    found, lost, odd = read(folder)
    count = len(rows(camera_tape()))
    assert found[:count] == rows(camera_tape())
    assert found[count:] == [("/words", START + number) for number in range(len(found) - count)] != []
    assert len(lost) == 1
    assert f"{folder / 'bag_1.mcap'}: cut at byte" in lost[0]
    assert "does not name bag_1.mcap" in odd[0]


def test_sqlite_that_is_cut(tmp_path: Path) -> None:
    file = storage_file(ASKED.write(tmp_path / "bag", StoragePlugin.SQLITE3))
    whole = file.read_bytes()
    for length in range(0, len(whole), 997):
        file.write_bytes(whole[:length])
        _, lost, _ = read(file)
        assert any(str(file) in sentence for sentence in lost)


def test_a_compressed_file_that_is_cut(tmp_path: Path) -> None:
    bag = ASKED.write(tmp_path / "bag", compress=(CompressionMode.FILE, CompressionFormat.ZSTD))
    file = storage_file(bag)
    whole = file.read_bytes()
    for length in (0, 3, len(whole) // 2, len(whole) - 1):
        file.write_bytes(whole[:length])
        _, lost, _ = read(bag)
        assert lost


# --- clocks


def complaints(tape: Tape, folder: Path) -> list[str]:
    lost: list[str] = []
    with Bag(tape.write(folder), lost.append) as bag:
        index_bag(bag)
    return lost


def test_stamps_that_jump_are_told(tmp_path: Path) -> None:
    tape = Tape()
    for number in range(6):
        time = START + number * SECOND // 10
        tape.put(number / 10, "/camera/image", image(discs(), time + (3600 * SECOND if number >= 3 else 0)))
    (sentence,) = complaints(tape, tmp_path / "bag")
    assert "the stamps on /camera/image jump by +3600.000 s against the recorder's clock, at message 4" in sentence


def test_drifting_and_late_stamps_are_not(tmp_path: Path) -> None:
    tape = Tape()
    for number in range(6):
        tape.put(number, "/camera/image", image(discs(), START + number * (SECOND - SECOND // 20) - 5 * SECOND))
    assert complaints(tape, tmp_path / "bag") == []


def test_a_recorder_whose_clock_went_back_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "bag"
    folder.mkdir()
    for number, start in enumerate((100.0, 40.0)):
        part = storage_file(camera_tape((start, start + 0.1)).write(tmp_path / str(number)))
        shutil.copy(part, folder / f"bag_{number}.mcap")
    lost: list[str] = []
    with Bag(folder, lost.append, lambda odd: None) as bag:
        index = index_bag(bag)
    assert any("the recorder's clock went back by 60.10" in sentence and "bag_1.mcap" in sentence for sentence in lost)
    assert len(index.refs["/camera/image"]) == 4


def test_an_image_without_a_stamp_has_the_time_it_was_logged(tmp_path: Path) -> None:
    bag = Tape().put(0.5, "/camera/image", image(np.zeros((2, 2, 3), np.uint8), 0)).write(tmp_path / "bag")
    with Bag(bag) as opened:
        (ref,) = index_bag(opened).refs["/camera/image"]
    assert ref.stamp == START + SECOND // 2
    assert header(0).stamp.sec == 0
