"""`rsagent replay`: bags become results and records, what can't be run is listed, and exit codes say so."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from bags import (
    HEIGHT,
    START,
    WIDTH,
    Tape,
    camera_info,
    camera_tape,
    compressed,
    discs,
    goal,
    header,
    image,
    text,
    truth,
)
from recorded import recorded

from rsagent_ros.agent.mask import iou
from rsagent_ros.cli import main
from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.interfaces import blank
from rsagent_ros.records.limits import Limits
from rsagent_ros.records.reader import read_records
from rsagent_ros.records.record import Record
from rsagent_ros.records.record_messages import entries
from rsagent_ros.records.writer import RecordWriter

BUDGET = ("--budget", "60")


def results(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def run(bag: Path, out: Path, *arguments: str) -> int:
    return main(["replay", str(bag), "--out", str(out), *BUDGET, *arguments])


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def mask_of(folder: Path) -> np.ndarray:
    mask = cv2.imread(str(folder / "mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    return np.asarray(mask) > 0


def test_goals_are_run_on_the_image_of_their_time(tmp_path: Path, out: Path) -> None:
    tape = camera_tape()
    tape.put(0.15, "/agent/goal", goal(id="early")).put(0.39, "/agent/goal_text", text("the red circle"))
    assert run(tape.write(tmp_path / "bag"), out, "--record", str(tmp_path / "records")) == 0
    early, late = results(out)
    assert [early["goal_id"], early["outcome"], late["outcome"]] == ["early", "found", "found"]
    assert early["stamp_ns"] == START + 100_000_000
    assert late["stamp_ns"] == START + 300_000_000
    # The disc moves by two pixels a frame: the mask says which frame was looked at.
    assert iou(mask_of(out / early["folder"]), truth(2)) > 0.95
    assert iou(mask_of(out / late["folder"]), truth(6)) > 0.95
    assert {file.name for file in (out / late["folder"]).iterdir()} >= {"index.html", "trace.json", "result.json"}
    first, second = read_records(tmp_path / "records")
    assert (first.goal_id, first.stamp_ns, first.frame_id) == ("early", early["stamp_ns"], "camera")
    assert np.array_equal(second.image, discs(6))
    assert second.depth is not None
    assert second.depth[0, 0] == np.float32(0.5)
    assert second.camera_info is not None
    assert (second.camera_info.fx, second.camera_info.width) == (100.0, 160)
    assert main(["replay", str(tmp_path / "records"), "--recorded"]) == 0


def test_a_bag_without_goals_is_asked_by_the_command_line(tmp_path: Path, out: Path) -> None:
    bag = camera_tape().write(tmp_path / "bag")
    assert run(bag, out, "--goal", "the red circle", "--goal", "the blue circle", "--every", "0.2") == 0
    rows = results(out)
    assert [row["stamp_ns"] - START for row in rows] == [0, 0, 200_000_000, 200_000_000, 400_000_000, 400_000_000]
    assert {row["outcome"] for row in rows} == {"found"}
    assert run(bag, tmp_path / "once", "--goal", "the red circle") == 0
    assert len(results(tmp_path / "once")) == 1


def test_compressed_images_and_goals_with_their_own(tmp_path: Path, out: Path) -> None:
    tape = Tape()
    tape.put(0.0, "/camera/image/compressed", compressed(discs(4), START))
    tape.put(0.1, "/agent/goal", goal(id="camera", stamp=header(START).stamp, max_turns=3))
    own = image(np.ascontiguousarray(discs(20)[:, :, ::-1]), START, "bgr8")
    tape.put(0.2, "/agent/goal", goal(id="own", image=own))
    assert run(tape.write(tmp_path / "bag"), out) == 0
    masks = {row["goal_id"]: mask_of(out / row["folder"]) for row in results(out)}
    assert iou(masks["camera"], truth(4)) > 0.95
    assert iou(masks["own"], truth(20)) > 0.95


def test_what_the_robot_answered_is_compared(tmp_path: Path, out: Path) -> None:
    """A goal by action is known by its result alone, and is looked at again on the image of the result."""
    bag = camera_tape((0.0, 1.0, 2.0, 3.0)).put(2.9, "/agent/goal", goal(id="x"))
    assert run(bag.write(tmp_path / "first"), tmp_path / "first_out", "--record", str(tmp_path / "records")) == 0
    (record,) = read_records(tmp_path / "records")
    tape = camera_tape((0.0, 1.0, 2.0, 3.0, 9.0))
    for entry in entries(record):
        if entry.topic in ("/agent/result", "/agent/trace"):
            tape.put(9.1, entry.topic, entry.message)
    assert run(tape.write(tmp_path / "bag"), out) == 0
    (row,) = results(out)
    assert (row["goal_id"], row["stamp_ns"]) == ("x", START + 2_000_000_000)
    assert row["recorded"] == {"outcome": "found", "same_image": True, "iou": 1.0}


def test_an_answer_without_an_id_belongs_to_the_goal_with_its_words(tmp_path: Path, out: Path) -> None:
    tape = camera_tape().put(0.05, "/agent/goal_text", text(" the red circle ")).put(0.35, "/agent/goal", goal(id="b"))
    made = {"goal_id": "made-by-the-node", "instruction": "the red circle"}
    tape.put(0.2, "/agent/result", blank(ros.RESULT, header=header(START), **made))
    tape.put(0.4, "/agent/result", blank(ros.RESULT, header=header(START), goal_id="b", instruction="other"))
    tape.put(0.4, "/agent/result", blank(ros.RESULT, goal_id="never had an image", instruction="other"))
    assert run(tape.write(tmp_path / "bag"), out) == 0
    assert [row["goal_id"] for row in results(out)] == ["made-by-the-node", "b"]


def test_what_can_not_be_run_is_listed_and_the_rest_is_run(
    tmp_path: Path, out: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = image(discs(), START + 500_000_000)
    broken.data = broken.data[:100]
    tape = camera_tape().put(0.5, "/camera/image", broken)
    tape.put(0.2, "/agent/goal", goal(id="good"))
    tape.put(0.3, "/agent/goal", goal("  ", id="wordless"))
    tape.put(0.3, "/agent/goal", goal(id="elsewhere", camera="left"))
    tape.put(0.3, "/agent/goal", goal(id="long ago", stamp=header(START - 10_000_000_000).stamp))
    tape.put(0.6, "/agent/goal", goal(id="broken image"))
    tape.put(9.0, "/agent/goal", goal(id="too late"))
    assert run(tape.write(tmp_path / "bag"), out) == 3
    rows = {row["goal_id"]: row for row in results(out)}
    assert rows["good"]["outcome"] == "found"
    says = {
        "wordless": "the instruction has 0 characters",
        "elsewhere": "it names the camera 'left'",
        "long ago": "nearest to its stamp is 10.000 s off",
        "broken image": "57600 bytes are needed, data has 100",
        "too late": "is stamped 8.500 s before it",
    }
    assert {name for name, row in rows.items() if "skipped" in row} == set(says)
    for name, words in says.items():
        assert words in rows[name]["skipped"]
        assert any(repr(name) in line and words in line for line in caplog.messages)


def test_a_cut_bag_is_run_as_far_as_it_goes(tmp_path: Path, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "cut.mcap"
    record = recorded(image=discs(), goal_id="kept")
    record = Record("kept", START, "", discs(), record.trace)
    whole = RecordWriter(tmp_path / "records", Limits(free_megabytes=0)).write(record).read_bytes()
    path.write_bytes(whole[:-100])
    assert run(path, out) == 3
    assert results(out)[0]["goal_id"] == "kept"
    assert any(f"{path}: cut at byte {len(whole) - 100}" in line for line in caplog.messages)
    path.write_bytes(whole[:40])
    assert run(path, tmp_path / "nothing") == 1


def test_companions_of_another_size_are_left_out(tmp_path: Path, out: Path, caplog: pytest.LogCaptureFixture) -> None:
    tape = Tape().put(0.0, "/c/image", image(discs(), START)).put(0.1, "/agent/goal", goal())
    tape.put(0.0, "/c/depth", image(np.ones((3, 3), np.float32), START, "32FC1"))
    info = camera_info(START)
    info.width = 7
    tape.put(0.0, "/c/camera_info", info)
    assert run(tape.write(tmp_path / "bag"), out) == 3
    assert results(out)[0]["outcome"] == "found"
    assert any("depth is of 3 x 3 pixels, the image of 160 x 120" in line for line in caplog.messages)
    assert any("camera_info is of 7 x 120 pixels" in line for line in caplog.messages)


def test_depth_as_image_transport_sends_it_goes_into_the_record(tmp_path: Path, out: Path) -> None:
    millimetres = np.full((HEIGHT, WIDTH), 1500, np.uint16)
    packed = bytes(12) + cv2.imencode(".png", millimetres)[1].tobytes()
    depth = blank(
        ros.COMPRESSED_IMAGE,
        header=header(START),
        format="16UC1; compressedDepth png",
        data=np.frombuffer(packed, np.uint8),
    )
    tape = Tape().put(0.0, "/c/image/compressed", compressed(discs(), START)).put(0.1, "/agent/goal", goal())
    tape.put(0.0, "/c/depth/compressedDepth", depth).put(0.0, "/c/image/camera_info", camera_info(START))
    assert run(tape.write(tmp_path / "bag"), out, "--record", str(tmp_path / "records")) == 0
    (record,) = read_records(tmp_path / "records")
    assert record.depth is not None
    assert (record.depth == np.float32(1.5)).all()


def test_a_calibration_of_no_numbers_costs_the_calibration_alone(tmp_path: Path, out: Path) -> None:
    info = camera_info(START)
    info.k[2] = np.nan
    tape = Tape().put(0.0, "/c/image", image(discs(), START)).put(0.1, "/agent/goal", goal())
    tape.put(0.0, "/c/camera_info", info)
    assert run(tape.write(tmp_path / "bag"), out, "--record", str(tmp_path / "records")) == 0
    (record,) = read_records(tmp_path / "records")
    assert (results(out)[0]["outcome"], record.camera_info) == ("found", None)


@pytest.mark.parametrize("budget", [np.inf, np.nan, -1.0])
def test_a_budget_that_is_none_is_that_of_the_command(tmp_path: Path, out: Path, budget: float) -> None:
    tape = camera_tape((0.0,)).put(0.1, "/agent/goal", goal(time_budget=budget))
    assert run(tape.write(tmp_path / "bag"), out) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none", "--out", "OUT"], "there is no such bag"),
        (["BAG"], "--out is needed"),
        (["BAG", "--out", "OUT"], "it holds no goals; say what to look for with --goal"),
        (["BAG", "--out", "OUT", "--goal", " "], "a --goal has words"),
        (["BAG", "--out", "OUT", "--goal", "x", "--topic", "/nowhere"], "no images on /nowhere"),
        (["BAG", "--out", "OUT", "--goal", "x", "--depth", "/nowhere"], "no images on /nowhere"),
        (["BAG", "--out", "OUT", "--goal", "x", "--budget", "0"], "seconds is 0"),
        (["BAG", "--out", "OUT", "--max-frame-age", "-1"], "max_frame_age is -1"),
        (["BAG", "--out", "OUT", "--every", "nan"], "--every is a number"),
        (["EMPTY", "--out", "OUT"], "no .mcap"),
        (["BAG", "--out", "OUT", "--every"], "--every"),
        (["BAG", "--outt", "OUT"], "--outt"),
    ],
)
def test_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    (tmp_path / "empty").mkdir()
    places = {"BAG": camera_tape().write(tmp_path / "bag"), "OUT": tmp_path / "out", "EMPTY": tmp_path / "empty"}
    with pytest.raises(SystemExit) as ended:
        main(["replay", *(str(places.get(word, word)) for word in arguments)])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]


def test_earlier_results_are_not_overwritten(tmp_path: Path, out: Path) -> None:
    bag = camera_tape((0.0,)).write(tmp_path / "bag")
    assert run(bag, out, "--goal", "the red circle") == 0
    before = (out / "results.jsonl").read_bytes()
    with pytest.raises(SystemExit):
        run(bag, out, "--goal", "the blue circle")
    assert (out / "results.jsonl").read_bytes() == before


def test_records_that_do_not_repeat_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    writer = RecordWriter(tmp_path / "records", Limits(free_megabytes=0))
    writer.write(recorded())  # by a fake segmenter: the classical one draws something else
    assert main(["replay", str(tmp_path / "records"), "--recorded"]) == 1
    told = capsys.readouterr().out
    assert "episode: segmenter was fake_segmenter, is classical" in told
    assert "turn 1: mask was" in told
    assert "0 same, 1 different, 0 problems" in told
    next((tmp_path / "records").rglob("*.mcap")).write_bytes(b"")
    assert main(["replay", str(tmp_path / "records"), "--recorded"]) == 3


def test_records_that_were_there_before_are_kept(tmp_path: Path, out: Path) -> None:
    records = tmp_path / "records"
    old = RecordWriter(records, Limits(free_megabytes=0)).write(recorded(goal_id="old"))
    os.utime(old, (0, 0))
    tape = camera_tape().put(0.15, "/agent/goal", goal(id="new"))
    assert run(tape.write(tmp_path / "bag"), out, "--record", str(records)) == 0
    assert {record.goal_id for record in read_records(records)} == {"old", "new"}


def test_a_follow_up_answers_the_goal_before_it(tmp_path: Path, out: Path) -> None:
    tape = camera_tape().put(0.15, "/agent/goal", goal("the circle", id="first"))
    tape.put(0.25, "/agent/goal", goal("the left one", id="answer", previous_id="first"))
    tape.put(0.35, "/agent/goal", goal("the left one", id="lost", previous_id="nobody"))
    records = tmp_path / "records"
    assert run(tape.write(tmp_path / "bag"), out, "--record", str(records)) == 3
    first, answer, lost = results(out)
    assert (first["outcome"], answer["outcome"]) == ("ambiguous", "found")
    assert iou(mask_of(out / answer["folder"]), truth(4)) > 0.95
    assert "'nobody', which asked nothing" in lost["skipped"]
    # The record of the answer stands by itself: what was asked before is in it.
    recorded_answer = next(record for record in read_records(records) if record.goal_id == "answer")
    assert [one.instruction for one in recorded_answer.trace.previous] == ["the circle"]
    assert main(["replay", str(records), "--recorded"]) == 0


def test_a_goal_means_the_camera_whose_name_is_in_the_topic_or_whose_image_it_was_answered_on(
    tmp_path: Path, out: Path
) -> None:
    tape = camera_tape(topic="/left/image").put(0.15, "/agent/goal", goal(id="by name", camera="left"))
    tape.put(0.2, "/agent/goal", goal(id="elsewhere", camera="wrist"))
    assert run(tape.write(tmp_path / "bag"), out, "--record", str(tmp_path / "records")) == 3
    assert [row["goal_id"] for row in results(out) if "skipped" not in row] == ["by name"]
    # The record of a goal that was seen through a named camera is a bag, too, and its own image is the camera's.
    assert run(tmp_path / "records" / next((tmp_path / "records").iterdir()).name, tmp_path / "again") == 0
    assert [row["outcome"] for row in results(tmp_path / "again")] == ["found"]
