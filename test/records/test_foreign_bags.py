"""Bags as other recorders write them and people leave them: all in them is read, and nothing is said without need.

`test_bag` has what is damaged. Here nothing is: optional parts are missing, a recorder was killed, a file was unpacked.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zstandard
from bags import START, camera_tape, discs, image, text
from mcap.records import Statistics
from mcap.writer import CompressionType, IndexType, Writer
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin
from rosbags.typesys import Stores, get_typestore

from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.bag import Bag
from rsagent_ros.records.interfaces import definition, serialize

TOPIC = "/camera/image"
Row = tuple[int, str, Any]


def camera(count: int = 4) -> list[Row]:
    return [(START + n * 10**8, TOPIC, image(discs(2 * n), START + n * 10**8)) for n in range(count)]


def read(path: Path, topic: str = TOPIC) -> tuple[list[int], list[str]]:
    """Times of the images that can be decoded, and the complaints about losses."""
    lost: list[str] = []
    with Bag(path, lost.append, lambda _: None) as bag:
        messages = bag.messages(lambda name, msgtype: name == topic and msgtype == ros.IMAGE)
        return [message.time for message in messages if bag.decode(message) is not None], lost


def whole(path: Path, count: int = 4) -> bool:
    return read(path) == ([time for time, _, _ in camera(count)], [])


# --- MCAP


def write_mcap(
    path: Path,
    rows: Iterable[Row],
    *,
    profile: str = "ros2",
    type_names: dict[str, str] | None = None,
    definitions: bool = True,
    schema_encoding: str = "ros2msg",
    **options: Any,
) -> Path:
    with path.open("wb") as out:
        writer = Writer(out, **options)
        writer.start(profile)
        schemas: dict[str, int] = {}
        channels: dict[str, int] = {}
        for time, topic, message in rows:
            kind = message.__msgtype__
            if kind not in schemas:
                name = (type_names or {}).get(kind, kind)
                described = definition(kind).encode() if definitions else b""
                schemas[kind] = writer.register_schema(name, schema_encoding, described)
            if topic not in channels:
                channels[topic] = writer.register_channel(topic, "cdr", schemas[kind])
            writer.add_message(channels[topic], time, serialize(message), time)
        writer.finish()
    return path


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"index_types": IndexType.CHUNK}, id="no message index"),
        pytest.param({"index_types": IndexType.MESSAGE}, id="no chunk index"),
        pytest.param({"index_types": IndexType.NONE}, id="no index"),
        pytest.param({"index_types": IndexType.NONE, "use_statistics": False}, id="no index, no statistics"),
        pytest.param({"use_statistics": False}, id="no statistics"),
        pytest.param({"repeat_schemas": False}, id="no repeated schemas"),
        pytest.param({"repeat_channels": False}, id="no repeated channels"),
        pytest.param({"repeat_channels": False, "repeat_schemas": False}, id="nothing repeated"),
        pytest.param({"use_summary_offsets": False}, id="no summary offsets"),
        pytest.param({"use_summary_offsets": False, "repeat_channels": False, "use_statistics": False}, id="bare"),
        pytest.param({"use_chunking": False}, id="no chunks"),
        pytest.param({"use_chunking": False, "repeat_channels": False, "use_statistics": False}, id="no chunks, bare"),
        pytest.param({"compression": CompressionType.NONE, "index_types": IndexType.CHUNK}, id="not compressed"),
        pytest.param({"compression": CompressionType.LZ4, "index_types": IndexType.CHUNK}, id="lz4"),
        pytest.param({"enable_crcs": False, "repeat_schemas": False}, id="no checksums"),
        pytest.param({"profile": ""}, id="no profile"),
        pytest.param({"definitions": False}, id="empty definitions"),
        pytest.param({"schema_encoding": ""}, id="definitions in no language"),
        pytest.param({"type_names": {ros.IMAGE: "sensor_msgs/Image"}}, id="a type without msg"),
        pytest.param({"type_names": {ros.IMAGE: "sensor_msgs::msg::dds_::Image_"}}, id="a type as DDS names it"),
    ],
)
def test_what_mcap_calls_optional_is_optional(tmp_path: Path, options: dict[str, Any]) -> None:
    assert whole(write_mcap(tmp_path / "a.mcap", camera(), chunk_size=60_000, **options))


def test_messages_beside_the_chunks_are_read_too(tmp_path: Path) -> None:
    """The specification allows both in one file; an index knows the chunks alone."""
    rows = camera(6)
    with (tmp_path / "a.mcap").open("wb") as out:
        writer = Writer(out, chunk_size=60_000)
        writer.start("ros2")
        schema = writer.register_schema(ros.IMAGE, "ros2msg", definition(ros.IMAGE).encode())
        channel = writer.register_channel(TOPIC, "cdr", schema)
        for number, (time, _, message) in enumerate(rows):
            if number == 4:
                writer.flush()
                writer._Writer__chunk_builder = None  # type: ignore[attr-defined]  # chunked no longer
            writer.add_message(channel, time, serialize(message), time)
        writer.finish()
    times, lost = read(tmp_path / "a.mcap")
    assert (sorted(times), lost) == ([time for time, _, _ in rows], [])


def test_one_odd_topic_costs_no_other(tmp_path: Path) -> None:
    with (tmp_path / "a.mcap").open("wb") as out:
        writer = Writer(out)
        writer.start("ros2")
        schema = writer.register_schema(ros.IMAGE, "ros2msg", definition(ros.IMAGE).encode())
        channel = writer.register_channel(TOPIC, "cdr", schema)
        odd = [
            writer.register_channel("/json", "json", writer.register_schema("odd", "jsonschema", b"{}")),
            writer.register_channel("/proto", "protobuf", writer.register_schema("odd.Odd", "protobuf", b"\xff\xfe")),
            writer.register_channel("/without", "cdr", 0),
            writer.register_channel(
                "/broken", "cdr", writer.register_schema("odd_msgs/msg/Odd", "ros2msg", b"int x y")
            ),
        ]
        for time, _, message in camera():
            writer.add_message(channel, time, serialize(message), time)
            for other in odd:
                writer.add_message(other, time + 1, b"\0\1\0\0", time + 1)
        writer.finish()
    assert whole(tmp_path / "a.mcap")


def test_fewer_messages_than_the_file_counts_are_told(tmp_path: Path) -> None:
    """A loss that no checksum shows: the file counts what it does not hold."""

    class Boastful(Writer):
        def finish(self) -> None:
            statistics: Statistics = self._Writer__statistics  # type: ignore[attr-defined]
            statistics.message_count += 3
            statistics.channel_message_counts[1] += 3
            super().finish()

    with (tmp_path / "a.mcap").open("wb") as out:
        writer = Boastful(out)
        writer.start("ros2")
        channel = writer.register_channel(
            TOPIC, "cdr", writer.register_schema(ros.IMAGE, "ros2msg", definition(ros.IMAGE).encode())
        )
        for time, _, message in camera():
            writer.add_message(channel, time, serialize(message), time)
        writer.finish()
    times, lost = read(tmp_path / "a.mcap")
    assert len(times) == 4
    assert len(lost) == 1
    assert "counts 7" in lost[0]


# --- SQLite


def database(folder: Path, count: int = 4) -> Path:
    camera_tape([0.1 * n for n in range(count)]).write(folder, StoragePlugin.SQLITE3)
    (file,) = folder.glob("*.db3")
    return file


@pytest.mark.parametrize("shared_memory", [True, False])
def test_the_log_of_a_recorder_that_was_killed_is_read_and_left_alone(tmp_path: Path, shared_memory: bool) -> None:
    file = database(tmp_path / "made", 2)
    with closing(sqlite3.connect(file)) as open_database:
        open_database.execute("PRAGMA journal_mode=WAL")
        open_database.execute("PRAGMA wal_autocheckpoint=0")
        (topic,) = open_database.execute("SELECT id FROM topics WHERE name = ?", (TOPIC,)).fetchone()
        for time, _, message in camera(6)[2:]:
            insert = "INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)"
            open_database.execute(insert, (topic, time, serialize(message)))
        open_database.commit()
        shutil.copytree(tmp_path / "made", tmp_path / "bag")  # while it is open: as after a kill
    if not shared_memory:
        (tmp_path / "bag" / (file.name + "-shm")).unlink()
    before = {path.name: path.read_bytes() for path in (tmp_path / "bag").iterdir()}
    assert whole(tmp_path / "bag", 6)
    assert {path.name: path.read_bytes() for path in (tmp_path / "bag").iterdir()} == before


def test_what_a_killed_recorder_had_not_finished_is_undone_in_a_copy(tmp_path: Path) -> None:
    file = database(tmp_path / "made", 3)
    with closing(sqlite3.connect(file, isolation_level=None)) as open_database:
        open_database.execute("PRAGMA cache_size=1")
        open_database.execute("BEGIN")
        open_database.execute("UPDATE messages SET data = zeroblob(60000), timestamp = timestamp + 7")
        shutil.copytree(tmp_path / "made", tmp_path / "bag")
    (journal,) = (tmp_path / "bag").glob("*-journal")
    assert journal.stat().st_size > 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "bag").iterdir()}
    assert whole(tmp_path / "bag", 3)
    assert {path.name: path.read_bytes() for path in (tmp_path / "bag").iterdir()} == before


def test_a_log_for_which_there_is_no_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = database(tmp_path / "bag", 2)
    file.with_name(file.name + "-wal").write_bytes(bytes(4096))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))
    times, lost = read(tmp_path / "bag")
    assert len(times) == 2
    assert len(lost) == 1
    assert "-wal" in lost[0]
    assert "TMPDIR" in lost[0]


@pytest.mark.parametrize("name", ["lab 2", "lab #2", "what?", "100%25", "a?mode=rw", "Küche", "a&b=c;d", "-bag"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    database(tmp_path / "made")
    shutil.copytree(tmp_path / "made", tmp_path / name)
    assert whole(tmp_path / name)


@pytest.mark.parametrize(
    "statements",
    [
        pytest.param(
            ["INSERT INTO message_definitions VALUES (77, 'odd_msgs/msg/Odd', 'unknown', '', '')"], id="unknown"
        ),
        pytest.param(["INSERT INTO message_definitions VALUES (77, 'odd_msgs/msg/Odd', '', '', '')"], id="empty"),
        pytest.param(
            ["INSERT INTO topics VALUES (78, '/x', '', 'cdr', 'not: [yaml', '')"], id="odd quality of service"
        ),
        pytest.param(["INSERT INTO topics VALUES (78, '/x', 'x', 'protobuf', '', '')"], id="another format"),
        pytest.param(["INSERT INTO topics VALUES (78, X'ff00', X'fe', X'fd', '', '')"], id="names that are no text"),
        pytest.param(["DROP TABLE message_definitions"], id="no definitions"),
        pytest.param(["DROP TABLE schema", "DROP TABLE metadata"], id="no version"),
        pytest.param(["UPDATE topics SET type = 'sensor_msgs/Image' WHERE name = '/camera/image'"], id="without msg"),
        pytest.param(["DROP INDEX timestamp_idx"], id="no index"),
    ],
)
def test_what_nobody_asks_for_costs_nothing(tmp_path: Path, statements: list[str]) -> None:
    with closing(sqlite3.connect(database(tmp_path / "bag"))) as odd:
        odd.execute("INSERT INTO topics VALUES (77, '/odd', 'odd/msg/Odd', 'cdr', '', '')")
        odd.execute("INSERT INTO messages(topic_id, timestamp, data) VALUES (77, ?, x'00010000')", (START + 5,))
        for statement in statements:
            odd.execute(statement)
        odd.commit()
    assert whole(tmp_path / "bag")


def test_rows_without_a_time_or_data_are_left_out_and_told(tmp_path: Path) -> None:
    with closing(sqlite3.connect(database(tmp_path / "bag"))) as odd:
        (topic,) = odd.execute("SELECT id FROM topics WHERE name = ?", (TOPIC,)).fetchone()
        insert = "INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)"
        odd.execute(insert, (topic, "soon", b"\0\1\0\0"))
        odd.execute(insert, (topic, START, "text"))
        odd.commit()
    times, lost = read(tmp_path / "bag")
    assert len(times) == 4
    assert len(lost) == 1
    assert "2 rows" in lost[0]


def test_a_database_that_is_no_bag_is_not_called_damaged(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "notes.db3")) as other:
        other.execute("CREATE TABLE notes(text TEXT)")
        other.commit()
    times, lost = read(tmp_path / "notes.db3")
    assert times == []
    assert len(lost) == 1
    assert "no bag" in lost[0]
    assert "damaged" not in lost[0]


# --- files by other names, and beside each other


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("kept", ["packed", "plain", "both"])
@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_file_and_its_packed_form_are_one(tmp_path: Path, storage: StoragePlugin, kept: str, named: bool) -> None:
    folder = camera_tape([0.0, 0.1, 0.2, 0.3]).write(
        tmp_path / "bag", storage, compress=(CompressionMode.FILE, CompressionFormat.ZSTD)
    )
    (packed,) = folder.glob("*.zstd")
    if kept != "packed":
        with packed.open("rb") as file:
            packed.with_suffix("").write_bytes(zstandard.ZstdDecompressor().stream_reader(file).read())
    if kept == "plain":
        packed.unlink()
    if not named:
        (folder / "metadata.yaml").unlink()
    assert whole(folder)


@pytest.mark.parametrize("suffix", [".zstd", ".zst"])
@pytest.mark.parametrize("kept", [True, False])
def test_a_file_that_was_packed_after_it_was_named(tmp_path: Path, suffix: str, kept: bool) -> None:
    folder = camera_tape([0.0, 0.1, 0.2, 0.3]).write(tmp_path / "bag")
    (file,) = folder.glob("*.mcap")
    file.with_name(file.name + suffix).write_bytes(zstandard.compress(file.read_bytes()))
    if not kept:
        file.unlink()
    assert whole(folder)


def test_capitals_do_not_make_two_of_a_file_and_its_packed_form(tmp_path: Path) -> None:
    file = write_mcap(tmp_path / "A.MCAP", camera())
    (tmp_path / "A.MCAP.ZSTD").write_bytes(zstandard.compress(file.read_bytes()))
    assert whole(tmp_path)


@pytest.mark.parametrize("name", ["CAPITALS.MCAP", "recording", "still.mcap.active", "a.db3", "a.bag", "a.mcap.zst"])
def test_a_file_is_what_its_first_bytes_say(tmp_path: Path, name: str) -> None:
    file = write_mcap(tmp_path / name, camera())
    if name.endswith(".zst"):
        file.write_bytes(zstandard.compress(file.read_bytes()))
    assert whole(file)
    assert whole(tmp_path)


def test_metadata_stands_for_its_folder(tmp_path: Path) -> None:
    database(tmp_path / "bag")
    assert whole(tmp_path / "bag" / "metadata.yaml")


def ros_1_bag(path: Path) -> Path:
    store = get_typestore(Stores.ROS1_NOETIC)
    with Ros1Writer(path) as writer:
        connection = writer.add_connection("/words", "std_msgs/msg/String", typestore=store)
        message = store.types["std_msgs/msg/String"]("hello")
        writer.write(connection, START, store.serialize_ros1(message, "std_msgs/msg/String"))
    return path


@pytest.mark.parametrize("name", ["old.bag", "old.mcap"])
def test_a_bag_of_ros_1_is_called_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match="ROS 1"):
        Bag(ros_1_bag(tmp_path / name))


def test_a_folder_with_a_bag_of_ros_1_says_so(tmp_path: Path) -> None:
    ros_1_bag(tmp_path / "old.bag")
    with pytest.raises(FileNotFoundError, match=r"old\.bag is a bag of ROS 1"):
        Bag(tmp_path)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"PK\x03\x04rest", "archive"),
        (b"\x1f\x8b\x08", "archive"),
        (b"hello", "neither MCAP nor SQLite"),
        (b"", "neither"),
    ],
)
def test_what_is_no_bag_is_told_for_what_it_is(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "thing").write_bytes(data)
    with pytest.raises(FileNotFoundError, match=told):
        Bag(tmp_path / "thing")


def test_the_log_of_a_database_names_the_database(tmp_path: Path) -> None:
    (tmp_path / "a.db3-wal").write_bytes(b"\x37\x7f\x06\x82" + bytes(28))
    with pytest.raises(FileNotFoundError, match=r"\.db3 file beside it"):
        Bag(tmp_path / "a.db3-wal")


def test_text_goals_have_no_definition_of_their_own(tmp_path: Path) -> None:
    rows = [(START, "/agent/goal_text", text("the red circle"))]
    file = write_mcap(tmp_path / "a.mcap", rows, definitions=False)
    with Bag(file) as bag:
        assert [bag.decode(message).data for message in bag.messages()] == ["the red circle"]
