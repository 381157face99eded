"""`StatusLine`: one human sentence for each event, on `~/status`, for dashboards."""

from __future__ import annotations

from rclpy.node import Node
from std_msgs.msg import String

from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.turn import Turn
from rsagent_ros.ros.conversions import text
from rsagent_ros.ros.qos import latched

MAX_WORDS = 200
"""Characters of whatever was sent, thought or asked that stand in a sentence."""


class StatusLine:
    """Publisher of sentences. Thread-safe."""

    def __init__(self, node: Node) -> None:
        """Create the publisher; the node's private topic is meant."""
        self._publisher = node.create_publisher(String, "~/status", latched(1))

    def publish(self, sentence: str) -> None:
        """Publish a sentence. Line breaks in it become spaces."""
        self._publisher.publish(String(data=text(" ".join(sentence.split()))))


def turn_sentence(goal_id: str, turn: Turn) -> str:
    """Describe a turn: the call of a tool, or why there was none, and the thought behind it."""
    did = turn.tool if turn.tool and not turn.error_code else f"{turn.tool or 'no call'} ({turn.error_code})"
    thought = f": {shortened(turn.thought)}" if turn.thought else ""
    return f"goal {goal_id!r}, turn {turn.index}, {did}{thought}"


def end_sentence(goal_id: str, instruction: str, result: Result) -> str:
    """Describe how a goal ended."""
    words = shortened(instruction)
    match result.outcome:
        case Outcome.FOUND:
            count, sure = len(result.instances), f"{result.confidence:.2f}"
            ended = f"found {count} objects, confidence {sure} or more" if count > 1 else f"found, confidence {sure}"
        case Outcome.NOT_IN_VIEW:
            ended = f"not in view{_after(': ', result.reason)}"
        case Outcome.AMBIGUOUS:
            ended = f"{len(result.candidates)} objects fit{_after('; the agent asks: ', result.question)}"
        case Outcome.GAVE_UP:
            ended = f"gave up{_after(': ', result.reason)}"
        case outcome:
            ended = outcome.value
    code = "" if result.error_code is ErrorCode.NONE else f" {result.error_code.name}"
    return f"goal {goal_id!r}, {words!r}: {ended}{code}{_after(': ', result.error_msg)}"


def shortened(words: str) -> str:
    """Cut words to what a sentence has room for."""
    words = " ".join(words.split())
    return words if len(words) <= MAX_WORDS else f"{words[: MAX_WORDS - 3]}..."


def _after(before: str, words: str) -> str:
    return f"{before}{shortened(words)}" if words else ""
