"""Records on disk: what comes back is what was stored, to the bit; what is damaged is told, and the rest is read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fakes import POLICY_SCRIPTS
from recorded import CAMERA, STAMP, depth_map, noise, recorded
from rosbags.highlevel import AnyReader

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.records.limits import Limits
from rsagent_ros.records.reader import RecordError, read_record, read_records
from rsagent_ros.records.record import VERDICT_SOURCES, Record, Verdict
from rsagent_ros.records.writer import RecordWriter, add_verdict

NO_FLOOR = Limits(free_megabytes=0)


@pytest.fixture
def writer(tmp_path: Path) -> RecordWriter:
    return RecordWriter(tmp_path / "records", NO_FLOOR)


def fail(sentence: str) -> None:
    raise AssertionError(sentence)


@pytest.mark.parametrize("script", ["instant", "absent", "ambiguous", "never_ends", "malformed", "out_of_memory"])
def test_a_record_comes_back_to_the_bit(writer: RecordWriter, script: str) -> None:
    verdict = Verdict("goal-1", "grasp", accepted=False, mask=noise()[:, :, 0] > 99, note="the left one", stamp_ns=7)
    record = recorded(
        POLICY_SCRIPTS[script],
        depth=depth_map(),
        camera_info=CAMERA,
        verdicts=(verdict,),
        frame_id="eye",
        camera="left",
    )
    (back,) = read_records(writer.write(record), fail)
    assert back.image.tobytes() == record.image.tobytes()
    assert back.trace == record.trace
    assert back.depth is not None
    assert back.depth.tobytes() == depth_map().tobytes()
    fields = ("goal_id", "stamp_ns", "camera", "camera_info", "frame_id")
    assert [getattr(back, name) for name in fields] == [getattr(record, name) for name in fields]
    (again,) = back.verdicts
    assert np.array_equal(again.mask, verdict.mask)  # type: ignore[arg-type]
    assert (again.source, again.accepted, again.note, again.stamp_ns) == ("grasp", False, "the left one", 7)


def test_a_verdict_keeps_its_annotator_and_its_instances(writer: RecordWriter) -> None:
    one, other = (noise()[:, :, channel] > 99 for channel in (0, 1))
    named = Verdict("goal-1", "operator", False, mask=one | other, stamp_ns=7, instances=(one, other), annotator="Ada")
    plain = Verdict("goal-1", "grasp", accepted=True, stamp_ns=8)
    path = writer.write(recorded(verdicts=(named, plain)))
    add_verdict(path, replace(named, annotator="Bob", stamp_ns=9))
    verdicts = read_record(path, fail).verdicts
    assert [verdict.annotator for verdict in verdicts] == ["Ada", "", "Bob"]
    assert [len(verdict.instances) for verdict in verdicts] == [2, 0, 2]
    for verdict in (verdicts[0], verdicts[2]):
        assert all(map(np.array_equal, verdict.instances, (one, other)))


def test_what_was_not_there_is_not_there(writer: RecordWriter) -> None:
    back = read_record(writer.write(recorded()), fail)
    assert (back.depth, back.camera_info, back.verdicts) == (None, None, ())


def test_any_reader_of_mcap_decodes_it(writer: RecordWriter) -> None:
    record = recorded(depth=depth_map(), camera_info=CAMERA)
    with AnyReader([writer.write(record)]) as reader:  # without a typestore: by the embedded definitions alone
        messages = {c.topic: reader.deserialize(data, c.msgtype) for c, _, data in reader.messages()}
        times = [time for _, time, _ in reader.messages()]
    assert times == sorted(times)
    assert min(times) == STAMP
    result: object = messages["/agent/result"]
    assert result.outcome == result.FOUND  # type: ignore[attr-defined]
    assert Trace.from_json(result.trace) == record.trace  # type: ignore[attr-defined]
    mask = result.instances[0].mask  # type: ignore[attr-defined]
    assert np.array_equal(mask.data.reshape(mask.height, mask.width) > 0, record.trace.mask(1))  # type: ignore[arg-type]
    assert set(messages) == {
        "/agent/goal", "/agent/trace", "/agent/result", "/agent/mask", "/image/compressed", "/camera_info", "/depth",
    }  # fmt: skip


def test_a_folder_is_read_in_the_order_of_time(writer: RecordWriter) -> None:
    day = 86_400_000_000_000
    for stamp in (STAMP + day, STAMP, STAMP + 5):
        writer.write(recorded(goal_id=str(stamp), stamp_ns=stamp))
    assert [record.stamp_ns for record in read_records(writer.folder, fail)] == [STAMP, STAMP + 5, STAMP + day]
    assert [record.stamp_ns for record in read_records(writer.folder / "2025-11-21", fail)] == [STAMP, STAMP + 5]


def test_all_verdicts_of_a_record_are_stored_with_it(writer: RecordWriter) -> None:
    verdicts = tuple(Verdict("goal-1", source, accepted=False, stamp_ns=STAMP) for source in VERDICT_SOURCES)
    back = read_record(writer.write(recorded(verdicts=verdicts)), fail)
    assert [verdict.source for verdict in back.verdicts] == list(VERDICT_SOURCES)


def test_verdicts_come_later_and_in_order(writer: RecordWriter) -> None:
    path, other = writer.write(recorded()), writer.write(recorded(goal_id="goal-10"))
    before = path.read_bytes()
    for number in range(12):
        verdict = Verdict("goal-1", VERDICT_SOURCES[number % 3], accepted=False, note=str(number))
        (writer.add_verdict if number % 2 else add_verdict)(path, verdict)
    assert path.read_bytes() == before
    assert [verdict.note for verdict in read_record(path, fail).verdicts] == [str(number) for number in range(12)]
    assert read_record(other, fail).verdicts == ()
    assert len(list(read_records(writer.folder, fail))) == 2


def test_a_damaged_file_does_not_hide_the_others(writer: RecordWriter) -> None:
    first, second, third = (writer.write(recorded(goal_id=name)) for name in "abc")
    first.write_bytes(b"")
    second.write_bytes(b"no MCAP at all, but long enough to be one")
    add_verdict(third, Verdict("c", "operator", accepted=True))
    next(third.parent.glob("*verdict*")).write_bytes(third.read_bytes())  # whole, but no verdict
    told: list[str] = []
    assert [record.goal_id for record in read_records(writer.folder, told.append)] == ["c"]
    assert len(told) == 2
    assert f"{first}: cut at byte 0; 0 messages were kept" in told[0]
    assert str(second) in told[1]
    assert "broken at byte" in told[1]


def test_nothing_there_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none", tmp_path / "none.mcap"):
        with pytest.raises(FileNotFoundError, match="no records"):
            next(read_records(path))


def test_a_record_of_two_images_is_refused(writer: RecordWriter) -> None:
    with pytest.raises(ValueError, match="the trace is of"):
        recorded(depth=np.zeros((3, 3), np.float32))
    record = recorded()
    with pytest.raises(ValueError, match="the trace is of"):
        Record("x", STAMP, "", noise(10, 10), record.trace)


def test_cut_anywhere(writer: RecordWriter) -> None:
    record = recorded(image=noise(16, 12), depth=depth_map(16, 12))
    path = writer.write(record)
    whole = path.read_bytes()
    cut = path.with_name("cut.mcap")
    states: list[str] = []
    for length in range(0, len(whole), 5):  # at every byte it takes a minute
        cut.write_bytes(whole[:length])
        told: list[str] = []
        try:
            back = read_record(cut, told.append)
        except RecordError as error:
            told, state = [str(error)], "nothing"
        else:
            assert back.image.tobytes() == record.image.tobytes()
            assert back.trace.outcome is Outcome.FOUND
            assert back.trace == record.trace
            state = "no depth" if back.depth is None else "all"
        assert any(f"cut at byte {length}" in sentence for sentence in told), (length, told)
        states.append(state)
    # The more is there, the more is read; the last bytes are only an index.
    order = ["nothing", "no depth", "all"]
    assert [order.index(state) for state in states] == sorted(order.index(state) for state in states)
    assert set(states) >= {"nothing", "all"}
