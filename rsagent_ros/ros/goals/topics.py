"""`GoalTopics`: goals, verdicts and the end of tracks, as other nodes send them by topic."""

from __future__ import annotations

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.publisher import Publisher
from std_msgs.msg import String

from rsagent_ros.msg import Goal as GoalMessage
from rsagent_ros.msg import Verdict as VerdictMessage
from rsagent_ros.ros.goals.goal_queue import GoalQueue
from rsagent_ros.ros.goals.goal_request import GoalRequest
from rsagent_ros.ros.goals.goal_runner import GoalRunner
from rsagent_ros.ros.goals.verdict_answers import VerdictAnswers

DEPTH = 100
"""Messages of a topic that wait for the node; reliable."""


class GoalTopics:
    """The node's subscriptions of its own: nothing that comes on them blocks.

    Attributes:
        verdict_answers: Answers to verdicts.
    """

    def __init__(self, node: Node, queue: GoalQueue, runner: GoalRunner, diagnostics: Publisher) -> None:
        """Subscribe.

        Args:
            node: Its private topics are meant.
            queue: Takes goals.
            runner: Takes verdicts about goals, and ends their tracks.
            diagnostics: Publisher on `/diagnostics`, where verdicts are answered.
        """
        self._queue = queue
        self._runner = runner
        self.verdict_answers = VerdictAnswers(node, diagnostics)
        group = MutuallyExclusiveCallbackGroup()
        for kind, topic, receive in (
            (GoalMessage, "~/goal", self._goal),
            (String, "~/goal_text", self._text),
            (VerdictMessage, "~/verdict", self._verdict),
            (String, "~/stop_tracking", self._stop_tracking),
        ):
            node.create_subscription(kind, topic, receive, DEPTH, callback_group=group)

    def _goal(self, message: GoalMessage) -> None:
        self._queue.submit(GoalRequest.of(message, "topic"))

    def _text(self, words: String) -> None:
        self._goal(GoalMessage(instruction=words.data))

    def _verdict(self, verdict: VerdictMessage) -> None:
        self.verdict_answers.publish(verdict, self._runner.judge(verdict))

    def _stop_tracking(self, goal_id: String) -> None:
        self._runner.stop_tracking(goal_id.data)
