"""`RobotSource`: the agent's node, through the planner's client. Needs ROS."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.turn import Trace
from rsagent_ros.mcp_server.source import GoalReport, SourceError
from rsagent_ros.records.record import VERDICT_SOURCES, answer_mask
from rsagent_ros.ros.client import Agent, AgentUnavailable, DetectedObject
from rsagent_ros.ros.client.goal_images import GoalImages
from rsagent_ros.ros.client.own_node import own_node
from rsagent_ros.ros.client.status import StatusText

PLANNER = VERDICT_SOURCES.index("planner") + 1
"""Number of the source in a verdict."""

STATE_SECONDS = 2.0
"""Longest wait for the state of the node."""


class RobotSource:
    """A client of one agent node."""

    def __init__(self, agent: str) -> None:
        """Connect to a node, which may come later."""
        with ExitStack() as stack:
            node = own_node(stack)
            self._images = GoalImages(node, agent)
            self._status = StatusText(node, agent)
            self._agent = stack.enter_context(Agent(agent, node=node))
            self._resources = stack.pop_all()
        self._name = agent

    def ask(self, instruction: str, camera: str, follows: str, cancel: CancelToken) -> GoalReport:
        """Send a goal; see `Source.ask`."""
        try:
            answer = self._agent.segment(instruction, camera=camera, follows=follows, cancel=cancel)
        except (AgentUnavailable, TimeoutError) as error:
            raise SourceError(str(error)) from error
        objects = answer.candidates or answer.instances
        facts = {
            "goal_id": answer.goal_id,
            "instruction": instruction,
            "outcome": str(answer.outcome),
            "error_code": answer.error_code.name,
            "error_msg": answer.error_msg,
            "partial": answer.partial,
            "confidence": None if answer.confidence is None else round(answer.confidence, 3),
            "question": answer.question,
            "reason": answer.reason,
            "camera": answer.message.camera,
            "frame_id": answer.header.frame_id,
            "seconds": round(answer.seconds, 3),
            "objects": [_object(one) for one in objects],
        }
        if not answer.message.trace:
            return GoalReport(facts, None, None)
        trace = Trace.from_json(answer.message.trace)
        return GoalReport(facts, self._images.wait_for(answer), answer_mask(trace))

    def status(self) -> dict[str, Any]:
        """The node's lifecycle state, and the last sentence of `~/status`."""
        states: list[str] = []
        try:
            self._agent.wait_until_active(STATE_SECONDS, on_state=states.append)
        except AgentUnavailable:
            state = states[-1] if states else "not there"
        else:
            state = "active"
        return {"agent": self._name, "state": state, "last_event": self._status.newest}

    def judge(self, goal_id: str, accepted: bool, absent: bool, note: str) -> None:
        """Send a verdict; see `Source.judge`."""
        try:
            self._agent.judge(goal_id, accepted, absent=absent, note=note, source=PLANNER)
        except (AgentUnavailable, ValueError) as error:
            raise SourceError(str(error)) from error

    def close(self) -> None:
        """Disconnect."""
        self._resources.close()


def _object(one: DetectedObject) -> dict[str, Any]:
    box = [round(edge) for edge in (one.box.x0, one.box.y0, one.box.x1, one.box.y1)]
    facts: dict[str, Any] = {"box": box, "confidence": round(one.confidence, 3)}
    if one.position is not None and one.size is not None:
        facts |= {
            "position_m": [round(float(part), 4) for part in one.position],
            "size_m": [round(float(part), 4) for part in one.size],
            "frame_id": one.frame_id,
        }
    return facts
