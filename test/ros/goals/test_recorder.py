"""The node records: goals and verdicts are on the disk, whatever becomes of the process or of the disk."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lifecycle_msgs.msg import Transition
from rclpy.serialization import deserialize_message
from recorded import recorded
from ros_support import PATIENCE, AgentProcess, Robot, image_of, picture, until
from rosbags.rosbag2 import Reader
from rsagent_ros.msg import Goal, Mask, Result, Turn, Verdict
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from rsagent_ros.records.reader import read_records
from rsagent_ros.records.record import Record
from rsagent_ros.records.writer import RecordWriter
from rsagent_ros.ros.camera.frame import Frame
from rsagent_ros.ros.goals import disk_queue
from rsagent_ros.ros.goals.recorder import Recorder
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.stamps import nanoseconds

CLASSES = {
    "/agent/goal": Goal,
    "/agent/result": Result,
    "/agent/trace": Turn,
    "/agent/mask": Mask,
    "/image/compressed": CompressedImage,
    "/camera_info": CameraInfo,
    "/depth": Image,
}


def fail(sentence: str) -> None:
    raise AssertionError(sentence)


def recording(folder: Path) -> tuple[str, ...]:
    return ("-p", f"record_dir:={folder}", "-p", "record_free_megabytes:=0.0")


def there(folder: Path) -> dict[str, Record]:
    return {record.goal_id: record for record in read_records(folder, fail)} if any(folder.rglob("*.mcap")) else {}


def status(states: Any) -> DiagnosticStatus:
    """What the newest message says about records; waits for the first one."""
    newest = states.wait(1)[-1]
    (found,) = (status for status in newest.status if status.name.endswith("records"))
    return found


def test_goals_and_verdicts_are_stored(tmp_path: Path, start: Callable[..., AgentProcess], robot: Robot) -> None:
    agent = start(*recording(tmp_path), "-p", "diagnostics_period:=0.1")
    states = robot.listen(DiagnosticArray, "/diagnostics", 10)
    own = picture(value=70)
    own.header.stamp.sec = 1_763_735_712
    depth = image_of(np.full((48, 64), 1.5, np.float32), "32FC1")
    info = CameraInfo(width=64, height=48, k=[50.0, 0.0, 31.0, 0.0, 51.0, 23.0, 0.0, 0.0, 1.0])
    robot.ask("the thing", id="own", image=own, depth=depth, camera_info=info)
    robot.camera(picture())
    robot.ask("the thing", id="camera")
    mask = image_of(np.eye(48, 64, dtype=np.uint8) * np.uint8(255), "mono8")
    verdicts = robot.publisher(Verdict, "/agent/verdict")
    verdicts.publish(Verdict(goal_id="own", source=Verdict.GRASP, corrected_mask=mask, note="missed"))
    agent.wait_for("was rejected by grasp")
    states.wait(where=lambda state: any(pair.value == "1" for s in state.status for pair in s.values
                                        if pair.key == "verdicts stored"))  # fmt: skip
    assert status(states).message == f"recording to {tmp_path}"
    assert status(states).level == DiagnosticStatus.OK
    records = there(tmp_path)
    assert set(records) == {"own", "camera"}
    record = records["own"]
    assert (record.stamp_ns, record.frame_id) == (1_763_735_712_000_000_000, "camera")
    assert np.array_equal(record.image, np.full((48, 64, 3), 70, np.uint8))
    assert record.depth is not None
    assert record.depth[3, 3] == 1.5
    assert record.camera_info is not None
    assert (record.camera_info.fx, record.camera_info.cy) == (50.0, 23.0)
    (verdict,) = record.verdicts
    assert (verdict.source, verdict.accepted, verdict.note) == ("grasp", False, "missed")
    assert np.array_equal(verdict.mask, np.eye(48, 64) > 0)  # type: ignore[arg-type]
    assert verdict.stamp_ns > record.stamp_ns  # it had none: it is of the moment it came
    assert nanoseconds(Header().stamp) == 0 < records["camera"].stamp_ns


def test_what_is_stored_is_what_was_published(tmp_path: Path, start: Callable[..., AgentProcess], robot: Robot) -> None:
    start(*recording(tmp_path), script="ambiguous")
    results, turns = robot.listen(Result, "/agent/result"), robot.listen(Turn, "/agent/trace")
    robot.ask("the thing", id="x", image=picture(), camera_info=CameraInfo(width=64, height=48, k=[9.0] * 9))
    (result,) = results.wait()
    turns.wait(3)
    until(lambda: bool(there(tmp_path)))
    (file,) = tmp_path.rglob("*.mcap")
    stored: dict[str, list[Any]] = {}
    with Reader(file) as reader:
        for connection, _, data in reader.messages():
            stored.setdefault(connection.topic, []).append(deserialize_message(data, CLASSES[connection.topic]))
    stamp = stored["/image/compressed"][0].header.stamp
    assert nanoseconds(stamp) > 0  # the image had none: it got the node's time
    (again,) = stored["/agent/result"]
    for message in (result, again):
        message.timings.frame = message.timings.total = 0.0
        for part in (message, *(candidate.mask for candidate in message.candidates)):
            part.header.stamp = stamp
    again.timings.policy, again.timings.tools = result.timings.policy, result.timings.tools
    names = result.get_fields_and_field_types()
    assert [name for name in names if getattr(again, name) != getattr(result, name)] == []
    for before, after in zip(turns.messages, stored["/agent/trace"], strict=True):
        before.overlay, before.header.stamp = CompressedImage(), stamp
        assert after == before
    assert stored["/agent/goal"][0].stamp == stamp


def test_a_killed_node_loses_only_the_goal_in_progress(
    tmp_path: Path, start: Callable[..., AgentProcess], robot: Robot
) -> None:
    """And what was on its way to the disk; here, that is done when the last goal begins."""
    agent = start(*recording(tmp_path), script="slow", shared_memory=False)
    turns = robot.listen(Turn, "/agent/trace")
    for number in range(4):
        assert robot.ask("the thing", id=f"g{number}", image=picture(), time_budget=0.2)[1].outcome == Result.GAVE_UP
    robot.send("the thing", id="in progress", image=picture(), time_budget=60.0)
    turns.wait(where=lambda turn: turn.goal_id == "in progress")
    until(lambda: len(there(tmp_path)) == 4)
    agent.kick(signal.SIGKILL)
    assert agent.exit_code() == -signal.SIGKILL
    assert sorted(there(tmp_path)) == ["g0", "g1", "g2", "g3"]
    # Who starts again goes on in the same folder.
    start(*recording(tmp_path))
    robot.ask("the thing", id="after", image=picture())
    until(lambda: "after" in there(tmp_path))
    assert len(there(tmp_path)) == 5


def test_asked_to_end_it_stores_the_goal_that_is_cut_short(
    tmp_path: Path, start: Callable[..., AgentProcess], robot: Robot
) -> None:
    agent = start(*recording(tmp_path), script="slow")
    turns = robot.listen(Turn, "/agent/trace")
    robot.send("the thing", id="x", image=picture())
    turns.wait()
    assert agent.stop() == 0
    assert there(tmp_path)["x"].trace.outcome == "shutdown"


def test_a_full_disk_is_a_diagnostic(tmp_path: Path, start: Callable[..., AgentProcess], robot: Robot) -> None:
    start("-p", f"record_dir:={tmp_path}", "-p", "record_free_megabytes:=1e7", "-p", "diagnostics_period:=0.1")
    states = robot.listen(DiagnosticArray, "/diagnostics", 10)
    assert robot.ask("the thing", id="x", image=picture())[1].outcome == Result.FOUND
    until(lambda: status(states).level == DiagnosticStatus.ERROR)
    assert "goal 'x' is not recorded: rsagent_ros.records.writer.DiskFullError" in status(states).message
    assert "are to stay free: make room" in status(states).message
    # There is room again from the next activation on.
    assert robot.set_parameter("record_free_megabytes", 0.0).successful
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
        assert robot.change_state(transition)
    robot.ask("the thing", id="y", image=picture())
    until(lambda: status(states).level == DiagnosticStatus.OK and "y" in there(tmp_path))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)], capture_output=True, check=False
    ).returncode:
        pytest.skip("no file system may be mounted here: root is needed")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_disk_that_fills_up_stops_no_goal(small_disk: Path, start: Callable[..., AgentProcess], robot: Robot) -> None:
    start(*recording(small_disk), "-p", "diagnostics_period:=0.1")
    states = robot.listen(DiagnosticArray, "/diagnostics", 10)
    noise = image_of(np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8), "rgb8")
    for number in range(6):
        assert robot.ask("the thing", id=f"g{number}", image=noise)[1].outcome == Result.FOUND
    until(lambda: status(states).level == DiagnosticStatus.ERROR)
    assert "DiskFullError" in status(states).message
    assert 0 < len(there(small_disk)) < 6


def test_a_folder_that_can_not_be_used(tmp_path: Path, start: Callable[..., AgentProcess], robot: Robot) -> None:
    (tmp_path / "file").write_text("")
    start(*recording(tmp_path / "file" / "records"), "-p", "diagnostics_period:=0.1")
    states = robot.listen(DiagnosticArray, "/diagnostics", 10)
    assert robot.ask("the thing", image=picture())[1].outcome == Result.FOUND
    until(lambda: bool(states.messages))
    assert status(states).level == DiagnosticStatus.ERROR
    assert "can't be used" in status(states).message


def test_nothing_is_recorded_unasked(tmp_path: Path, start: Callable[..., AgentProcess], robot: Robot) -> None:
    start("-p", "diagnostics_period:=0.1")
    states = robot.listen(DiagnosticArray, "/diagnostics", 10)
    robot.ask("the thing", image=picture())
    until(lambda: bool(states.messages))
    assert status(states).message == "not recording"


def test_what_is_around_the_answer_is_not_stored(
    tmp_path: Path, start: Callable[..., AgentProcess], robot: Robot
) -> None:
    start(*recording(tmp_path), "-p", "record_redaction:=surroundings")
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    robot.ask("the thing", id="own", image=image_of(pixels, "rgb8"))
    until(lambda: bool(list(tmp_path.rglob("*.mcap"))))
    record = there(tmp_path)["own"]
    mask = record.trace.mask(1)
    assert mask is not None
    assert record.redaction == "surroundings"
    assert np.array_equal(record.image[mask], pixels[mask])
    assert (record.image[0] != pixels[0]).any()


def test_no_goal_waits_for_the_disk(tmp_path: Path, start: Callable[..., AgentProcess], robot: Robot) -> None:
    agent = start(*recording(tmp_path), fault="hanging_disk")
    for name in ("first", "second"):  # the second within less time than the recorder gave the disk once
        result = robot.ask("the thing", id=name, image=picture(), time_budget=0.9)[1]
        assert (result.goal_id, result.outcome) == (name, Result.FOUND)
    assert not there(tmp_path)
    agent.kick(signal.SIGUSR1)
    until(lambda: set(there(tmp_path)) == {"first", "second"})


# --- a disk that hangs, without a node


class HangingDisk:
    """Holds every write until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.let_go = threading.Event()
        write = RecordWriter.write

        def slow(writer: RecordWriter, record: Record) -> Path:
            assert self.let_go.wait(PATIENCE)
            return write(writer, record)

        monkeypatch.setattr(RecordWriter, "write", slow)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> HangingDisk:
    return HangingDisk(monkeypatch)


def recorder_in(folder: Path) -> Recorder:
    recorder = Recorder(rclpy.logging.get_logger("test"), time.time_ns)
    recorder.open(NodeParameters(record_dir=str(folder), record_free_megabytes=0.0))
    return recorder


def test_a_disk_that_hangs_holds_up_no_goal(tmp_path: Path, disk: HangingDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    record, room, count = recorded(), 8, 13
    monkeypatch.setattr(disk_queue, "MEGABYTES", (room + 0.5) * record.image.nbytes / 1e6)
    recorder = recorder_in(tmp_path)
    for number in range(count):
        recorder.goal(str(number), Frame(record.image, Header()), record.trace)  # returns, though the disk hangs
    assert (recorder.goals, recorder.lost, recorder.waiting) == (0, count - room, room)
    assert f"{room} others are waiting for the disk" in recorder.problem
    disk.let_go.set()
    recorder.close()
    assert (recorder.goals, recorder.waiting, recorder.problem) == (room, 0, "")
    assert len(there_by_file(tmp_path)) == room


def test_a_verdict_that_comes_while_the_recorder_closes_is_lost_and_told_and_leaves_nothing_behind(
    tmp_path: Path, disk: HangingDisk
) -> None:
    recorder, record = recorder_in(tmp_path), recorded()
    frame = Frame(record.image, Header())
    recorder.goal("a", frame, record.trace)
    closing = threading.Thread(target=recorder.close)
    closing.start()
    verdict = Verdict(goal_id="a", source=Verdict.OPERATOR, accepted=True)
    until(lambda: not recorder.folder)
    recorder.verdict(verdict)
    assert recorder.problem == "the verdict about goal 'a' is not recorded: the recorder is closed"
    disk.let_go.set()
    closing.join()
    assert (recorder.goals, recorder.verdicts, recorder.lost, recorder.waiting) == (1, 0, 1, 0)
    recorder.open(NodeParameters(record_dir=str(tmp_path), record_free_megabytes=0.0))
    recorder.goal("b", frame, record.trace)
    recorder.verdict(verdict)  # its goal was recorded before
    recorder.close()
    assert (recorder.goals, recorder.verdicts, recorder.waiting, recorder.problem) == (2, 1, 0, "")


def test_a_defect_of_the_recorder_is_logged_with_its_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(writer: RecordWriter, record: Record) -> Path:
        raise KeyError("a defect")

    monkeypatch.setattr(RecordWriter, "write", broken)
    recorder, record = recorder_in(tmp_path), recorded()
    recorder.goal("a", Frame(record.image, Header()), record.trace)
    recorder.close()
    assert (recorder.goals, recorder.lost) == (0, 1)
    assert "goal 'a' is not recorded: KeyError" in recorder.problem
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_what_is_on_its_way_when_it_is_opened_anew_goes_where_it_was_meant_for(
    tmp_path: Path, disk: HangingDisk
) -> None:
    recorder, record = recorder_in(tmp_path / "before"), recorded()
    recorder.goal("a", Frame(record.image, Header()), record.trace)
    recorder.open(NodeParameters(record_dir=str(tmp_path / "after"), record_free_megabytes=0.0))  # does not wait
    recorder.goal("b", Frame(record.image, Header()), record.trace)
    disk.let_go.set()
    recorder.close()
    assert (set(there(tmp_path / "before")), set(there(tmp_path / "after"))) == ({"a"}, {"b"})


def there_by_file(folder: Path) -> list[str]:
    return [name for _, _, names in os.walk(folder) for name in names if name.endswith(".mcap")]
