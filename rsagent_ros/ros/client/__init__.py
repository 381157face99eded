"""The client for planner authors: send a goal in words, wait, get masks.

`Agent` blocks; `AsyncAgent` is the asyncio client. Both give an `Answer` of `DetectedObject`s, and `Tracked` for
objects that the agent tracks. Reading order: `agent`, `answer`, `tracked`, `async_agent`, `connection`, `goal_call`.
"""

from rsagent_ros.ros.client.action_client import AgentUnavailable
from rsagent_ros.ros.client.agent import Agent
from rsagent_ros.ros.client.answer import Answer, DetectedObject
from rsagent_ros.ros.client.async_agent import AsyncAgent
from rsagent_ros.ros.client.tracked import Tracked

__all__ = ["Agent", "AgentUnavailable", "Answer", "AsyncAgent", "DetectedObject", "Tracked"]
