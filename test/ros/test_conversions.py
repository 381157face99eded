"""Messages and core types: the frozen interface, and the two ways between them. No node is needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from fakes import AMBIGUOUS, FINISH, SEGMENT, SEGMENT_LEFT, FakePolicy, FakeSegmenter
from rsagent_ros.action import Segment
from rsagent_ros.msg import Goal, Result
from std_msgs.msg import Header

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.outcome import Result as CoreResult
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.turn import Turn
from rsagent_ros.images import to_mask
from rsagent_ros.ros import conversions
from rsagent_ros.ros.conversions import OUTCOMES, mask_message, result_message, same, turn_message
from rsagent_ros.ros.stamps import nanoseconds, stamp

HEADER = Header(stamp=Time(sec=3, nanosec=4), frame_id="camera")


def ended(*script: str | Reply) -> Episode:
    episode = Episode(np.zeros((48, 64, 3), np.uint8), "a thing", FakeSegmenter(), goal_id="goal", policy_name="fake")
    drive(episode, FakePolicy(script))
    return episode


def told(episode: Episode) -> Result:
    return result_message(
        episode.result,
        goal_id="goal",
        instruction="a thing",
        camera="",
        header=HEADER,
        seconds=(0.25, 1),
        trace=episode.trace,
    )


def turned(turn: Turn) -> Any:
    return turn_message(turn, "goal", "a thing", HEADER, np.zeros((8, 8, 3), np.uint8), 90)


# --- the interface


def test_goal_and_result_of_action_and_topic_are_the_same() -> None:
    assert Segment.Goal.get_fields_and_field_types() == Goal.get_fields_and_field_types()
    assert Segment.Result.get_fields_and_field_types() == Result.get_fields_and_field_types()
    constants = {name: getattr(Result, name) for name in dir(Result) if name.isupper()}
    assert constants
    assert {name: getattr(Segment.Result, name) for name in constants} == constants


def test_constants_are_those_of_the_core() -> None:
    assert {outcome.name: number for number, outcome in OUTCOMES.items()} == {
        outcome.name: getattr(Result, outcome.name) for outcome in Outcome
    }
    assert {code.name: int(code) for code in ErrorCode} == {code.name: getattr(Result, code.name) for code in ErrorCode}
    declared = {name for name in dir(Result) if name.isupper() and not name.startswith("SLOT")}
    assert declared == {*Outcome.__members__, *ErrorCode.__members__, "UNKNOWN"}


# --- there and back


def test_a_result() -> None:
    episode = ended(SEGMENT, FINISH)
    message = told(episode)
    assert (message.outcome, message.goal_id, message.header) == (Result.FOUND, "goal", HEADER)
    assert (message.policy, message.segmenter, message.turns) == ("fake", "fake_segmenter", 2)
    assert (message.timings.frame, message.timings.total) == (0.25, 1.0)
    assert np.array_equal(to_mask(message.instances[0].mask), episode.result.instances[0].mask)
    assert message.trace == episode.trace.to_json()
    action = same(message, Segment.Result)
    assert isinstance(action, Segment.Result)
    assert same(action, Result) == message


def test_candidates_and_the_question() -> None:
    message = told(ended(SEGMENT, SEGMENT_LEFT, AMBIGUOUS))
    assert (message.outcome, len(message.candidates), message.instances) == (Result.AMBIGUOUS, 2, [])
    assert message.question == "the left one or the one in the middle?"


def test_a_result_without_an_episode() -> None:
    result = CoreResult(Outcome.FAILED, ErrorCode.NO_FRAME, "no frame")
    message = result_message(
        result, goal_id="g", instruction="x", camera="", header=Header(), seconds=(0.0, 0.0), trace=None
    )
    assert (message.error_code, message.error_msg, message.trace, message.policy) == (22, "no frame", "", "")
    assert mask_message(result, "g", HEADER) is None


def test_all_instances_are_one_mask() -> None:
    result = ended(SEGMENT, SEGMENT_LEFT, FINISH.replace('"mask": 1', '"mask": [1, 2]')).result
    assert len(result.instances) == 2
    message = mask_message(result, "goal", HEADER)
    assert message is not None
    assert np.array_equal(to_mask(message.image), result.instances[0].mask | result.instances[1].mask)
    assert message.confidence == pytest.approx(result.confidence)


def test_a_turn() -> None:
    turn = ended(SEGMENT, FINISH).trace.turns[0]
    message = turned(turn)
    assert (message.index, message.tool, message.arguments) == (1, "segment", '{"box": [250, 250, 750, 750]}')
    assert (message.thought, message.reply) == ("The middle.", SEGMENT)
    assert (message.view.width, message.view.height) == (64, 48)
    assert (message.mask_id, message.area) == (1, 32 * 24)
    assert (message.roi.x_offset, message.roi.y_offset, message.roi.width, message.roi.height) == (16, 12, 32, 24)
    assert conversions.turn_of(message) == turn


def test_numbers_and_texts_that_a_message_cannot_hold() -> None:
    reply = Reply("half a pair \ud800, a zero \0 and ü", prompt_tokens=2**40, sampled_tokens=3)
    turn = ended(reply).trace.turns[0]
    message = turned(turn)
    assert message.reply == "half a pair ?, a zero \N{REPLACEMENT CHARACTER} and ü"
    assert (message.prompt_tokens, message.sampled_tokens) == (2**32 - 1, 3)
    assert type(told(ended(reply)).timings.policy) is float


@pytest.mark.parametrize("time", [0, 1, 999_999_999, 1_700_000_000_123_456_789])
def test_stamps(time: int) -> None:
    assert nanoseconds(stamp(time)) == time
