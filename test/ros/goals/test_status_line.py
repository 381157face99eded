"""`~/status`: one sentence for each event, and `result_masks: none`: results that a person can read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from ros_support import LATCHED, AgentProcess, Robot, Sink, picture, until
from rsagent_ros.msg import Mask, Result
from sensor_msgs.msg import Image
from std_msgs.msg import String

from rsagent_ros.images import raw_to_rgb, to_mask
from rsagent_ros.ros.client import Agent

Start = Callable[..., AgentProcess]


def sentence(sink: Sink, *words: str) -> str:
    """The first sentence that has all the words."""
    return str(sink.wait(1, lambda message: all(word in message.data for word in words))[0].data)


def test_every_event_of_a_goal_is_a_sentence(robot: Robot, start: Start) -> None:
    start()
    status = robot.listen(String, "/agent/status")
    robot.ask("the red mug", id="one", image=picture())
    for words in (("'one', 'the red mug'", "thinking"), ("turn 1, segment", "The middle."), ("turn 2, finish",)):
        sentence(status, *words)
    assert sentence(status, "found").startswith("goal 'one', 'the red mug': found, confidence 0.")
    robot.ask("", id="two", image=picture())
    assert "failed INVALID_GOAL: " in sentence(status, "'two'")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("absent", "not in view: there is nothing like it"),
        ("ambiguous", "2 objects fit; the agent asks: the left one or the one in the middle?"),
        ("never_ends", "gave up TURNS_SPENT: turn limit (8) reached"),
    ],
)
def test_every_end_is_told(robot: Robot, start: Start, script: str, told: str) -> None:
    start(script=script)
    status = robot.listen(String, "/agent/status")
    robot.ask("a thing", id="one", image=picture())
    assert sentence(status, told).startswith("goal 'one', 'a thing': ")


def test_who_comes_late_sees_the_last_event(robot: Robot, start: Start) -> None:
    start()
    assert "ready: fake_policy and fake_segmenter" in sentence(robot.listen(String, "/agent/status"), "ready")


def test_line_breaks_and_length_of_what_was_sent_do_not_break_the_sentence(robot: Robot, start: Start) -> None:
    start()
    status = robot.listen(String, "/agent/status")
    robot.ask("a\nmug " + "x" * 1000, id="one", image=picture())
    found = sentence(status, "found")
    assert "a mug xxx" in found
    assert "\n" not in found
    assert len(found) < 300


def test_results_without_masks_are_short_and_their_masks_are_on_other_topics(
    domain: int, robot: Robot, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    start("-p", "result_masks:=none")
    results, masks = robot.listen(Result, "/agent/result"), robot.listen(Mask, "/agent/mask", LATCHED)
    _, result = robot.ask("the red mug", image=picture())
    for one in (result.instances[0], results.wait()[0].instances[0]):
        assert (one.mask.width, len(one.mask.data)) == (0, 0)
        assert (one.area, one.roi.width, one.roi.height) == (32 * 24, 32, 24)
        assert one.mask.header.frame_id == "camera"
    assert len(str(result)) < 5000
    pixels = to_mask(masks.wait()[0].image)
    assert int(pixels.sum()) == 32 * 24
    with Agent() as agent:  # its masks come from the trace
        answer = agent.segment("the red mug", image=np.full((48, 64, 3), 90, np.uint8))
    assert answer.mask is not None
    assert np.array_equal(answer.mask, pixels)


def test_candidates_without_masks_have_them_in_the_client(
    domain: int, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))
    start("-p", "result_masks:=none", script="ambiguous")
    with Agent() as agent:
        answer = agent.segment("the mug", image=np.full((48, 64, 3), 90, np.uint8))
    assert [int(one.mask.sum()) for one in answer.candidates] == [one.message.area for one in answer.candidates]
    assert [one.message.mask.width for one in answer.candidates] == [0, 0]


def test_the_image_that_a_goal_looked_at_is_there_for_who_listens(robot: Robot, start: Start) -> None:
    start()
    images = robot.listen(Image, "/agent/goal_image", 1)
    until(lambda: robot.ask("the red mug", image=picture(value=77)) is not None and bool(images.messages))
    image = images.wait()[0]
    assert image.header.frame_id == "camera"
    assert (raw_to_rgb(image) == 77).all()
