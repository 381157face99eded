"""A bag through the live node and the same bag offline: both look at the same images and draw the same masks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
from bags import START, camera_tape, goal, header, text
from diagnostic_msgs.msg import DiagnosticArray
from player import play
from rclpy.serialization import serialize_message
from ros_support import REAL_AGENT, AgentProcess, Robot, picture
from rsagent_ros.msg import Result, Turn

from rsagent_ros.agent.turn import Trace
from rsagent_ros.cli import main
from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.bag import BagMessage
from rsagent_ros.records.image_choice import ImageChoiceConfig
from rsagent_ros.records.message_decoder import MessageDecoder
from rsagent_ros.records.reader import read_records
from rsagent_ros.records.record import Record, answer_mask
from rsagent_ros.ros.parameters import NodeParameters

GOALS = ("/agent/goal", "/agent/goal_text")


def test_the_patience_of_replay_is_that_of_the_node() -> None:
    node, offline = NodeParameters(), ImageChoiceConfig()
    assert {part.name: getattr(node, part.name) for part in fields(offline)} == vars(offline)


def asked(tmp_path: Path) -> Path:
    """A moving disc at 10 Hz, goals between the images, one of them about an earlier image."""
    tape = camera_tape([number / 10 for number in range(8)])
    tape.put(0.25, "/agent/goal", goal(id="newest"))
    tape.put(0.45, "/agent/goal_text", text("the blue circle"))
    tape.put(0.55, "/agent/goal", goal(id="stamped", stamp=header(START + 110_000_000).stamp))
    tape.put(0.75, "/agent/goal", goal("the green square", id="absent"))
    return tape.write(tmp_path / "bag")


def test_both_ways_agree_on_the_masks(tmp_path: Path, robot: Robot, domain: int) -> None:
    bag, live, offline = asked(tmp_path), tmp_path / "live", tmp_path / "offline"
    parameters = {
        "use_sim_time": "true",
        "camera_mode": "always",
        "image_reliability": "reliable",
        "diagnostics_period": "0.1",
        "time_budget": "60.0",
        "record_dir": str(live),
        "record_free_megabytes": "0.0",
    }
    arguments = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    remapped = ["-r", "image:=/camera/image", "-r", "depth:=/camera/depth", "-r", "camera_info:=/camera/camera_info"]
    with AgentProcess(domain, *arguments, *remapped, program=[str(REAL_AGENT)]) as agent:
        agent.ready()
        results = robot.listen(Result, "/agent/result")
        states = robot.listen(DiagnosticArray, "/diagnostics", 10)
        frames = 0

        def sent(message: BagMessage) -> None:
            nonlocal frames
            if message.topic == "/camera/image":
                frames += 1
                states.wait(where=lambda state: received(state) >= frames)
            elif message.topic in GOALS:
                results.wait(sum(1 for _ in results.messages) + 1)

        topics = {"/camera/image", "/camera/depth", "/camera/camera_info", *GOALS}
        play(bag, robot.node, topics, sent)
        answers = {answer.instruction + answer.goal_id[:3]: answer for answer in results.messages}
        assert len(answers) == 4
        assert agent.stop() == 0

    assert main(["replay", str(bag), "--out", str(tmp_path / "out"), "--record", str(offline), "--budget", "60"]) == 0
    there, here = by_question(live), by_question(offline)
    assert (
        set(there) == set(here) == {"the red circle", "the blue circle", "the green square", "the red circle, earlier"}
    )
    for question, record in there.items():
        other = here[question]
        assert record.stamp_ns == other.stamp_ns
        assert record.image.tobytes() == other.image.tobytes()
        assert [turn.mask for turn in record.trace.turns] == [turn.mask for turn in other.trace.turns]
        assert record.trace.outcome is other.trace.outcome
        assert record.trace.instance_ids == other.trace.instance_ids
        assert record.camera_info == other.camera_info is not None
        assert same_depth(record, other)
    assert there["the red circle"].stamp_ns == START + 200_000_000
    assert there["the red circle, earlier"].stamp_ns == START + 100_000_000


def by_question(folder: Path) -> dict[str, Record]:
    """Records by what was asked; goals in plain text have other ids on the two ways."""
    return {
        record.trace.instruction + (", earlier" if record.goal_id == "stamped" else ""): record
        for record in read_records(folder)
    }


def same_depth(one: Record, other: Record) -> bool:
    if one.depth is None or other.depth is None:
        return False
    return bool(np.array_equal(one.depth, other.depth, equal_nan=True))


def received(state: Any) -> int:
    """The number of images that the node says it has received."""
    values = {pair.key: pair.value for status in state.status for pair in status.values}
    return int(values.get("frames received", 0))


def test_what_the_node_publishes_is_read_offline(robot: Robot, start: Callable[..., AgentProcess]) -> None:
    """As rosbag2 stores it: the CDR of the live messages, by our text of their definitions."""
    start()
    results, turns = robot.listen(Result, "/agent/result"), robot.listen(Turn, "/agent/trace")
    robot.say("the thing", id="x", image=picture())
    (answer,), first = results.wait(), turns.wait(2)[0]
    decoded = MessageDecoder().decode(ros.RESULT, serialize_message(answer))
    assert (decoded.goal_id, decoded.outcome, decoded.trace) == ("x", decoded.FOUND, answer.trace)
    assert answer_mask(Trace.from_json(decoded.trace)) is not None
    assert MessageDecoder().decode(ros.TURN, serialize_message(first)).record == first.record
