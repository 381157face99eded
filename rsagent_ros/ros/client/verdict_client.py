"""Verdicts from a planner to the agent, with the agent's answer, which comes in its `/diagnostics`."""

from __future__ import annotations

import threading

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node

from rsagent_ros.msg import Verdict
from rsagent_ros.ros.client.action_client import AgentUnavailable
from rsagent_ros.ros.client.one_way import OneWayPublisher
from rsagent_ros.ros.goals.verdict_answers import GOAL, REFUSED, STAMP, STATUS
from rsagent_ros.ros.newest import Newest
from rsagent_ros.ros.stamps import nanoseconds, stamp

KEPT = 256
"""Answers that are kept: other clients send verdicts too."""


class VerdictClient:
    """Publisher of `~/verdict` that waits for the agent's answer. Thread-safe; verdicts are sent one at a time."""

    def __init__(self, node: Node, agent: str) -> None:
        """Connect; the node has to be spun in another thread.

        Args:
            node: Of the client.
            agent: Name of the agent's node.
        """
        self._node = node
        self._sending = threading.Lock()
        self._change = threading.Condition()
        self._refusals: Newest[tuple[str, str], str] = Newest(KEPT)
        """Why a verdict was refused, empty if it was not, by goal id and stamp in nanoseconds."""
        # Subscribed first: an agent that knows of the publisher below knows of this subscription, too.
        # Without event handlers: those can't be destroyed while another thread waits for them.
        handlers = SubscriptionEventCallbacks(use_default_callbacks=False)
        self._subscription = node.create_subscription(
            DiagnosticArray, "/diagnostics", self._receive, 100, event_callbacks=handlers
        )
        self._publisher = OneWayPublisher(node, Verdict, f"{agent}/verdict")
        self._status = f"{self._publisher.topic.removesuffix('/verdict')}: {STATUS}"

    def close(self) -> None:
        """Disconnect."""
        self._publisher.close()
        self._node.destroy_subscription(self._subscription)

    def send(self, verdict: Verdict, seconds: float) -> None:
        """Send a verdict; blocks until the agent has answered, which takes milliseconds.

        Where the clock stands still, as simulation time may, its stamp is moved on by a nanosecond for each before it.

        Raises:
            ValueError: The agent refused it; the sentence says why.
            AgentUnavailable: No agent subscribes, or it did not answer in time.
        """
        with self._sending:
            sent = self._unanswered(verdict)
            self._publisher.publish(verdict, seconds)
            with self._change:
                if not self._change.wait_for(lambda: sent in self._refusals, seconds):
                    raise AgentUnavailable(
                        f"no answer to the verdict on {self._publisher.topic} within {seconds:g} s: does this node "
                        "get the agent's /diagnostics?"
                    )
                refusal = self._refusals[sent]
        if refusal:
            raise ValueError(refusal)

    def _unanswered(self, verdict: Verdict) -> tuple[str, str]:
        """Goal id and stamp of a verdict; no answer to an earlier one has the same."""
        with self._change:
            while nanoseconds(verdict.stamp) and _key(verdict) in self._refusals:
                verdict.stamp = stamp(nanoseconds(verdict.stamp) + 1)
            self._refusals.pop(_key(verdict), None)  # without a stamp: the agent gives it one
        return _key(verdict)

    def _receive(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == self._status:
                values = {pair.key: pair.value for pair in status.values}
                with self._change:
                    answered = values.get(GOAL, ""), values.get(STAMP, "")
                    self._refusals[answered] = values.get(REFUSED, "")
                    self._change.notify_all()


def _key(verdict: Verdict) -> tuple[str, str]:
    """Goal id, and stamp in nanoseconds, by which the agent answers."""
    return verdict.goal_id, str(nanoseconds(verdict.stamp))
