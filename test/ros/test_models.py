"""The node with real backends: a model server, tiny checkpoints on disk, and what is wrong with either."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fakes import FINISH, SEGMENT
from lifecycle_msgs.msg import Transition
from ros_support import REAL_AGENT, AgentProcess, Robot, Sink, image_of, picture, until
from rsagent_ros.msg import Result
from sensor_msgs.msg import Image

Start = Callable[..., AgentProcess]


def models(message: DiagnosticArray) -> DiagnosticStatus:
    return next(status for status in message.status if status.name.endswith(": models"))


def diagnostics(robot: Robot) -> Sink:
    sink = Sink()
    robot.node.create_subscription(DiagnosticArray, "/diagnostics", sink, 10)
    return sink


def square() -> Image:
    """A red square on grey, where the model server draws its box."""
    pixels = np.full((96, 128, 3), 120, dtype=np.uint8)
    pixels[28:68, 36:92] = (200, 30, 30)
    return image_of(pixels, "rgb8")


def two_turns(body: dict[str, Any]) -> str:
    """What the model server says: a mask, then the end."""
    return FINISH if any(message["role"] == "assistant" for message in body["messages"]) else SEGMENT


def settings(values: Mapping[str, object]) -> list[str]:
    return [word for name, value in values.items() for word in ("-p", f"{name}:={value}")]


def test_a_robot_with_weights_answers_and_one_without_says_which_file_is_missing(
    domain: int, tmp_path: Path, robot: Robot
) -> None:
    pytest.importorskip("torch", reason="the policy local and the segmenter sam2 need torch")
    from rsagent_ros.policies.family import QWEN3_VL
    from rsagent_ros.weights.tiny import save_tiny
    from rsagent_ros.weights.tiny_sam2 import save_tiny_sam2

    save_tiny_sam2(tmp_path / "sam2")
    chosen = {
        "policy": "local",
        "local.checkpoint": tmp_path / "qwen",
        "local.device": "cpu",
        "segmenter": "sam2",
        "sam2.checkpoint": tmp_path / "sam2",
        "sam2.device": "cpu",
        "view_side": 128,
        "max_reply_tokens": 16,
        "time_budget": 30.0,
        "diagnostics_period": 0.1,
    }
    seen = diagnostics(robot)
    with AgentProcess(domain, *settings(chosen), program=[str(REAL_AGENT)]) as agent:
        agent.wait_for(f"there is no folder {tmp_path / 'qwen'}")
        until(lambda: robot.state() == "unconfigured")
        (status, *_) = seen.wait(1, lambda message: models(message).level == DiagnosticStatus.ERROR)
        assert f"there is no folder {tmp_path / 'qwen'}" in models(status).message

        save_tiny(QWEN3_VL, tmp_path / "qwen")
        assert robot.change_state(Transition.TRANSITION_CONFIGURE)
        assert robot.change_state(Transition.TRANSITION_ACTIVATE)
        agent.wait_for("ready: local/qwen and sam2:sam2")
        _, result = robot.ask(image=picture())
        # It was never trained: it talks nonsense for as long as it may, and that is no failure of the robot.
        assert (result.outcome, result.error_code) == (Result.GAVE_UP, Result.TURNS_SPENT)
        assert result.turns == 8
        assert agent.stop() == 0


def test_a_server_that_dies_is_replaced_by_the_fallback_and_taken_back(domain: int, robot: Robot) -> None:
    pytest.importorskip("openai", reason="the chat server's policy needs the package openai")
    from openai_server import MODEL, OpenAIServer

    seen = diagnostics(robot)
    with OpenAIServer(reply_to=two_turns) as server:
        chosen = {
            "policy": "chat_server",
            "chat_server.model": MODEL,
            "chat_server.base_url": server.url,
            "fallback_policy": "reference",
            "chat_server.family": "qwen3_vl",
            "chat_server.retries": 0,
            "diagnostics_period": 0.1,
        }
        with AgentProcess(domain, *settings(chosen), program=[str(REAL_AGENT)]) as agent:
            agent.ready()
            _, result = robot.ask(image=square())
            assert (result.outcome, result.degraded) == (Result.FOUND, False)
            server.stop()
            _, result = robot.ask(image=square())
            assert result.degraded
            assert result.outcome != Result.FAILED
            (status, *_) = seen.wait(1, lambda message: "degraded: " in models(message).message)
            assert models(status).level == DiagnosticStatus.WARN
            server.start()
            agent.wait_for("is back")
            _, result = robot.ask(image=square())
            assert (result.outcome, result.degraded) == (Result.FOUND, False)
            assert agent.stop() == 0


def test_a_server_that_is_away_keeps_the_node_unconfigured_until_it_is_there(domain: int, robot: Robot) -> None:
    pytest.importorskip("openai", reason="the chat server's policy needs the package openai")
    from openai_server import MODEL, OpenAIServer

    with OpenAIServer(reply_to=two_turns) as server:
        server.stop()
        chosen = {
            "policy": "chat_server",
            "chat_server.model": MODEL,
            "chat_server.family": "qwen3_vl",
            "chat_server.base_url": server.url,
        }
        with AgentProcess(domain, *settings(chosen), program=[str(REAL_AGENT)]) as agent:
            agent.wait_for("can't be reached")
            until(lambda: robot.state() == "unconfigured")
            server.start()
            assert robot.change_state(Transition.TRANSITION_CONFIGURE)
            assert robot.change_state(Transition.TRANSITION_ACTIVATE)
            assert robot.ask(image=square())[1].outcome == Result.FOUND
            assert agent.stop() == 0
