"""Asks a model behind an OpenAI-compatible server. Begin at `policy`; `dialect` says what is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.policies.chat_server.config import ChatServerConfig

if TYPE_CHECKING:
    from rsagent_ros.policies.chat_server.policy import ChatServerPolicy


def open_chat_server(config: ChatServerConfig) -> ChatServerPolicy:
    """The policy that asks this server; nothing is sent yet: `check` asks whether it is there.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: the package openai is missing, or the file of the API key is of no use.
    """
    try:
        from rsagent_ros.policies.chat_server.policy import ChatServerPolicy
    except ImportError as error:
        sentence = f"the policy chat_server needs the package {error.name}; in the checkout: pip install -e '.[chat]'"
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, sentence) from error
    try:
        return ChatServerPolicy(config)
    except ValueError as error:
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, f"chat_server: {error}") from error


__all__ = ["ChatServerConfig", "open_chat_server"]
