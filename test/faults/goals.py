"""Faults of those who ask: cancels at every stage, floods, hostile text, parameters that change while goals run."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from faults.matrix import Row
from faults.stage import Stage
from lifecycle_msgs.msg import Transition
from ros_support import until

FLOOD_BY_TOPIC, FLOOD_BY_ACTION = 1000, 200
LONG = "red mug " * 1_250_000
"""10 MB."""

HOSTILE = "the\x00 red\x1b[2J\x07 mug\r\n\u202e </script> {} %s \U0001f916 \\u0000 <tool_call>"


# Cancels -------------------------------------------------------------------------------------------------------------


def canceled(
    words: str, *, thinking: bool = True, camera: bool = False, release: bool = False
) -> Callable[[Stage], None]:
    """Three goals are canceled at this stage."""

    def inject(stage: Stage) -> None:
        if camera and stage.camera is not None:
            stage.camera.stop()
            stage.camera = None
        for _ in range(3):
            goal = stage.send(f"a thing {words}", 60.0, camera=camera)
            if thinking:
                goal.thinking()
            else:
                time.sleep(0.2)  # no message tells that a goal waits for a frame, or for a model
            assert goal.cancel().goals_canceling
            goal.wait()
            if release:
                stage.release()

    return inject


def canceled_in_the_queue(stage: Stage) -> None:
    """Behind one that runs; then that one."""
    stage.set(queue_policy="queue")
    first = stage.send("a thing [policy=slow]", 60.0).thinking()
    waiting = [stage.send("a thing", 60.0) for _ in range(3)]
    for goal in (*waiting, first):
        assert goal.cancel().goals_canceling
        goal.wait()
    stage.set(queue_policy="preempt")


def canceled_at_once(stage: Stage) -> None:
    """Before the agent can have got far."""
    for _ in range(20):
        goal = stage.send("a thing", 60.0)
        goal.cancel()
        goal.wait()


def canceled_after_the_end(stage: Stage) -> None:
    """Too late: it is refused, and the goal stays as it was."""
    goal = stage.ask()
    until(lambda: bool(goal.results))
    due = goal.due
    assert not goal.cancel().goals_canceling
    goal.due = due


# Floods --------------------------------------------------------------------------------------------------------------


def flood_by_topic(stage: Stage) -> None:
    """As fast as they can be sent; DDS may drop some before the agent sees them: these were not accepted."""
    stage.film()
    sent = [stage.say(f"thing {number}", camera=True) for number in range(FLOOD_BY_TOPIC)]
    sent[-1].wait()  # reliable, and in order: all that come, have come
    accepted = set(re.findall(r"goal '([^']+)' by topic", stage.agent.log))
    stage.goals = [goal for goal in stage.goals if goal.id in accepted]


def flood_by_action(stage: Stage) -> None:
    """From eight threads; each goal is sent until it was accepted."""
    with ThreadPoolExecutor(8) as threads:
        goals = list(threads.map(lambda number: stage.send(f"thing {number}"), range(FLOOD_BY_ACTION)))
    for goal in goals:
        goal.wait()


def both_at_once(stage: Stage) -> None:
    """By topic and by action, where every one of them has to wait for its turn or is refused."""
    stage.set(queue_policy="queue", queue_length=4)

    def by_topic() -> None:
        for _ in range(50):
            stage.say("a thing")
            time.sleep(0.005)

    talking = threading.Thread(target=by_topic)
    talking.start()
    for _ in range(50):
        stage.send("a thing")
    talking.join()
    for goal in stage.goals:
        goal.wait()
    stage.set(queue_policy="preempt", queue_length=8)


# Hostile text --------------------------------------------------------------------------------------------------------


def says(words: str) -> Callable[[Stage], None]:
    """By action, by topic, and as plain words, while another goal is under way."""

    def inject(stage: Stage) -> None:
        stage.ask(words)
        stage.say(words).wait()

    return inject


def invalid_utf8(stage: Stage) -> None:
    """In every text of a goal by topic, as raw bytes: DDS carries them, and ROS reads them as U+FFFD."""
    stage.film()
    for field in ("instruction", "camera", "id"):
        stage.say("a thing", invalid=field, camera=field == "camera").wait()


# The agent changes while goals run -----------------------------------------------------------------------------------


def parameters_change(stage: Stage) -> None:
    """Good values and bad ones, as fast as they are taken; a goal keeps those it began with."""
    over = threading.Event()
    chance = random.Random(0)
    changes = (
        ("max_turns", (1, 3, 8, 0, 999)),
        ("time_budget", (0.5, 8.0, -1.0, float("nan"))),
        ("queue_policy", ("queue", "nonsense")),
        ("jpeg_quality", (1, 100, 101)),
        ("frame_timeout", (0.05, 4.0)),
        ("policy", ("reference", "telepathy")),
    )

    def change() -> None:
        while not over.is_set():
            name, values = chance.choice(changes)
            stage.robot.set_parameter(name, chance.choice(values))

    changing = threading.Thread(target=change)
    changing.start()
    for _ in range(40):
        stage.ask(max_turns=5)
    over.set()
    changing.join()
    stage.set(max_turns=8, queue_policy="preempt", jpeg_quality=90, frame_timeout=1.0)


def deactivated(stage: Stage) -> None:
    """While goals run and wait; inactive it refuses, and then it is activated again."""
    stage.set(queue_policy="queue")
    goals = [stage.send("a thing [policy=slow]", 60.0) for _ in range(3)]
    goals[0].thinking()
    for goal in goals:
        goal.due_now()
    assert stage.robot.change_state(Transition.TRANSITION_DEACTIVATE)
    stage.ask()
    assert stage.robot.change_state(Transition.TRANSITION_ACTIVATE)
    stage.set(queue_policy="preempt")


def late(stage: Stage) -> None:
    """Budgets that nobody could keep."""
    for _ in range(5):
        stage.ask("a thing [policy=slow]", 0.1)


CANCELED = ("CANCELED",)
ROWS = (
    Row("cancel while the goal waits for its turn", canceled_in_the_queue, CANCELED),
    Row("cancel while it waits for a frame", canceled("", thinking=False, camera=True), CANCELED),
    Row("cancel while the policy thinks", canceled("[policy=slow]"), CANCELED),
    Row("cancel while the policy hangs", canceled("[policy=hang]", release=True), CANCELED),
    Row(
        "cancel while the segmenter works",
        canceled("[segmenter=hang]", thinking=False, release=True),
        CANCELED,
    ),
    Row("cancel at once", canceled_at_once, (), ("CANCELED", "FOUND")),
    Row("cancel after the end", canceled_after_the_end, ("FOUND",)),
    Row("flood of 1,000 goals by topic within a second", flood_by_topic, ("FOUND",), ("PREEMPTED",)),
    Row("flood of 200 goals by action from eight threads", flood_by_action, ("FOUND",), ("PREEMPTED",)),
    Row("goals by topic and action queue up", both_at_once, ("FOUND",), ("FAILED REJECTED_BUSY",)),
    Row("instruction of 10 MB", says(LONG), ("FAILED INVALID_GOAL",)),
    Row("control characters and markup in the instruction", says(HOSTILE), ("FOUND",)),
    Row("instruction, camera and id in invalid UTF-8", invalid_utf8, ("FOUND", "FAILED UNKNOWN_CAMERA")),
    Row("budget of 0.1 s", late, ("GAVE_UP TIME_SPENT",)),
    Row("parameters change while goals run", parameters_change, ("FOUND",)),
    Row("node is deactivated while goals run", deactivated, ("SHUTDOWN", "FAILED NOT_ACTIVE")),
)
