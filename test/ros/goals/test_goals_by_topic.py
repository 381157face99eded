"""Goals by topic: the same path as by action, what pre-empts what, verdicts, and pictures for people."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from ros_support import AgentProcess, Robot, image_of, picture, until
from rsagent_ros.msg import Goal, Mask, Result, Turn, Verdict
from sensor_msgs.msg import Image

Start = Callable[..., AgentProcess]


def test_words_become_a_mask(robot: Robot, start: Start) -> None:
    start()
    results, masks = robot.listen(Result, "/agent/result"), robot.listen(Mask, "/agent/mask")
    robot.camera(picture(64, 48))
    robot.say_text("the red mug")
    (result,) = results.wait(1)
    assert (result.outcome, result.instruction, result.header.frame_id) == (Result.FOUND, "the red mug", "camera")
    assert len(result.goal_id) == 32  # made by the node
    assert masks.wait(1)[0].goal_id == result.goal_id


def test_a_goal_message_brings_its_own_image(robot: Robot, start: Start) -> None:
    start()
    results = robot.listen(Result, "/agent/result")
    robot.say("a thing", id="mine", image=picture(40, 30), max_turns=1)
    (result,) = results.wait(1)
    assert (result.goal_id, result.outcome, result.error_code) == ("mine", Result.GAVE_UP, Result.TURNS_SPENT)
    assert (result.instances[0].mask.width, result.instances[0].mask.height) == (40, 30)


def test_who_comes_late_still_gets_the_last_goal(robot: Robot, start: Start) -> None:
    start()
    robot.ask(image=picture(), id="early")
    results, traces = robot.listen(Result, "/agent/result"), robot.listen(Turn, "/agent/trace")
    assert results.wait(1)[0].goal_id == "early"
    assert [turn.index for turn in traces.wait(2)] == [1, 2]


def test_the_newest_topic_goal_takes_the_place_of_the_older(robot: Robot, start: Start) -> None:
    start(script="slow")
    results, traces = robot.listen(Result, "/agent/result"), robot.listen(Turn, "/agent/trace")
    robot.say(id="old", image=picture(), time_budget=300.0)
    traces.wait(1)
    robot.say(id="new", image=picture(), time_budget=300.0)
    traces.wait(1, lambda turn: turn.goal_id == "new")
    (result,) = results.wait(1)
    assert (result.goal_id, result.outcome) == ("old", Result.PREEMPTED)


@pytest.mark.parametrize("allowed", [False, True])
def test_a_topic_goal_interrupts_an_action_goal_only_where_it_may(robot: Robot, start: Start, allowed: bool) -> None:
    start("-p", f"topic_preempts_action:={str(allowed).lower()}", script="slow")
    results, traces = robot.listen(Result, "/agent/result"), robot.listen(Turn, "/agent/trace")
    action = robot.send(id="action", image=picture(), time_budget=300.0)
    traces.wait(1)
    robot.say(id="topic", image=picture(), time_budget=300.0)
    (result,) = results.wait(1)
    if allowed:
        assert (result.goal_id, result.outcome) == ("action", Result.PREEMPTED)
        traces.wait(1, lambda turn: turn.goal_id == "topic")
    else:
        assert (result.goal_id, result.outcome, result.error_code) == ("topic", Result.FAILED, Result.REJECTED_BUSY)
        action.cancel()
        action.result()


def test_an_action_goal_takes_the_place_of_a_topic_goal(robot: Robot, start: Start) -> None:
    start(script="slow")
    results, traces = robot.listen(Result, "/agent/result"), robot.listen(Turn, "/agent/trace")
    robot.say(id="topic", image=picture(), time_budget=300.0)
    traces.wait(1)
    action = robot.send(id="action", image=picture(), time_budget=300.0)
    assert (results.wait(1)[0].goal_id, results.messages[0].outcome) == ("topic", Result.PREEMPTED)
    traces.wait(1, lambda turn: turn.goal_id == "action")
    action.cancel()
    assert action.result()[1].outcome == Result.CANCELED


def test_a_flood_of_topic_goals_ends_each_exactly_once(robot: Robot, start: Start) -> None:
    start()
    results = robot.listen(Result, "/agent/result", 1000)
    goals = robot.publisher(Goal, "/agent/goal")
    for number in range(100):
        goals.publish(Goal(instruction="a thing", id=str(number), image=picture()))
    ended = [result.goal_id for result in results.wait(1, lambda result: result.goal_id == "99")]
    assert ended == ["99"]
    told = [result.goal_id for result in results.messages]
    assert sorted(told) == sorted(set(told))


@pytest.mark.parametrize("style", ["people", "model"])
def test_pictures_for_people_are_sent_while_somebody_looks(robot: Robot, start: Start, style: str) -> None:
    start("-p", f"overlay_style:={style}")
    overlays, masks = robot.listen(Image, "/agent/overlay", 10), robot.listen(Image, "/agent/mask_image", 10)
    until(lambda: bool(robot.ask("ein grüner Würfel", image=picture(64, 48)) and overlays.messages and masks.messages))
    overlay = overlays.messages[0]
    assert (overlay.encoding, overlay.width, overlay.height) == ("rgb8", 384, 288 + 40)
    strip = np.frombuffer(overlay.data, np.uint8).reshape(overlay.height, overlay.width, 3)[288:]
    assert strip.max() > 200
    pixels = np.frombuffer(overlay.data, np.uint8).reshape(overlay.height, overlay.width, 3)[:288]
    bright = bool(pixels[10:40, 10:40].mean() > 60)  # far from the mask: dark where it is a spotlight
    assert bright is (style == "people")
    mask = masks.messages[0]
    assert (mask.encoding, mask.width, mask.height, mask.header.frame_id) == ("mono8", 64, 48, "camera")


def test_verdicts_are_kept_with_their_goal_and_told(robot: Robot, start: Start) -> None:
    agent = start()
    diagnostics = robot.listen(DiagnosticArray, "/diagnostics", 10)
    robot.ask(image=picture(64, 48), id="judged")
    verdicts = robot.publisher(Verdict, "/agent/verdict")
    mask = image_of(np.eye(48, 64, dtype=np.uint8) * 255, "mono8")
    verdicts.publish(Verdict(goal_id="judged", source=Verdict.OPERATOR, corrected_mask=mask, note="the one behind it"))
    agent.wait_for("goal 'judged' ('a thing', found) was rejected by operator: 'the one behind it'")
    verdicts.publish(Verdict(goal_id="unheard of", source=Verdict.GRASP, accepted=True))
    agent.wait_for("verdict refused: no goal 'unheard of'")

    def counted(message: DiagnosticArray) -> bool:
        values = {pair.key: pair.value for status in message.status for pair in status.values}
        return [values.get(key) for key in ("verdicts accepted", "verdicts refused", "goals found")] == ["1"] * 3

    diagnostics.wait(1, counted)


def test_two_agents_in_two_namespaces_do_not_meet(domain: int, start: Start) -> None:
    start("-r", "__ns:=/left", script="instant")
    start("-r", "__ns:=/right", script="absent")
    with Robot(domain, "/left/agent") as left, Robot(domain, "/right/agent") as right:
        results = left.listen(Result, "/left/agent/result")
        left.camera(picture(64, 48), "/left/image")
        right.camera(picture(32, 24), "/right/image")
        mine, other = left.send(id="left"), right.send(id="right")
        assert mine.result()[1].instances[0].mask.width == 64
        assert other.result()[1].outcome == Result.NOT_IN_VIEW
        assert [result.goal_id for result in results.wait(1)] == ["left"]


def test_diagnostics_say_what_is_wrong(robot: Robot, start: Start) -> None:
    start("-p", "hang_grace:=0.1", script="hang_at_once")
    diagnostics = robot.listen(DiagnosticArray, "/diagnostics", 10)

    def says(name: str, words: str) -> Callable[[DiagnosticArray], bool]:
        return lambda message: any(status.name == name and words in status.message for status in message.status)

    diagnostics.wait(1, says("/agent: camera", "no publisher on /image"))
    diagnostics.wait(1, says("/agent: goals", "idle"))
    robot.ask(image=picture(), time_budget=0.1)
    diagnostics.wait(1, says("/agent: models", "hung for"))
    robot.camera(picture())
    until(lambda: robot.node.count_publishers("/image") == 1)
    diagnostics.wait(1, says("/agent: camera", "1 publisher(s) on /image"))
