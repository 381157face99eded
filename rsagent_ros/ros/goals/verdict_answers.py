"""Answers to verdicts: a status of `/diagnostics` that is published at once, and again with the others."""

from __future__ import annotations

import threading

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.node import Node
from rclpy.publisher import Publisher

from rsagent_ros.msg import Verdict as VerdictMessage
from rsagent_ros.ros.stamps import nanoseconds

STATUS = "verdicts"
"""Name of the status, after that of the node: `/agent: verdicts`."""

GOAL, STAMP, REFUSED = "last goal", "last stamp", "last refused because"
"""Keys of the status: goal id and stamp (nanoseconds) of the last verdict, and why it was refused; empty if it was not.

`rsagent_ros.ros.client` reads them, and so may any program that sends verdicts.
"""


class VerdictAnswers:
    """Answers on the node's publisher of diagnostics. Thread-safe.

    Attributes:
        status: The answer to the last verdict, for the periodic diagnostics.
    """

    def __init__(self, node: Node, diagnostics: Publisher) -> None:
        """Publish nothing before the first verdict.

        Args:
            node: Its name and its clock are used.
            diagnostics: The node's publisher on `/diagnostics`.
        """
        self._node = node
        self._lock = threading.Lock()
        self._publisher = diagnostics
        self.status = self._status("no verdict yet", DiagnosticStatus.OK, "", "", "")

    def publish(self, verdict: VerdictMessage, refusal: str = "") -> None:
        """Answer a verdict; with a refusal, a sentence that says why. Does not block."""
        level = DiagnosticStatus.WARN if refusal else DiagnosticStatus.OK
        words = refusal or f"the verdict about goal {verdict.goal_id!r} was taken"
        with self._lock:
            self.status = self._status(words, level, verdict.goal_id, str(nanoseconds(verdict.stamp)), refusal)
            message = DiagnosticArray(status=[self.status])
            message.header.stamp = self._node.get_clock().now().to_msg()
            self._publisher.publish(message)

    def _status(self, words: str, level: bytes, goal_id: str, stamp: str, refusal: str) -> DiagnosticStatus:
        values = {GOAL: goal_id, STAMP: stamp, REFUSED: refusal}
        return DiagnosticStatus(
            name=f"{self._node.get_fully_qualified_name()}: {STATUS}",
            level=level,
            message=words,
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
