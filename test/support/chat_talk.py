"""Short ways to talk to the tests' chat server."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from openai_server import MODEL, OpenAIServer

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message, Picture, Text
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.policies.chat_server import ChatServerConfig
from rsagent_ros.policies.chat_server.conversation import ChatServerConversation
from rsagent_ros.policies.chat_server.policy import ChatServerPolicy

FOREVER = 60.0


def policy_for(server: OpenAIServer, **settings: Any) -> ChatServerPolicy:
    """A policy for a server; of the family whose pictures are multiples of 32, like the fakes' frames."""
    defaults: dict[str, Any] = {"model": MODEL, "base_url": server.url, "family": "qwen3_vl"}
    return ChatServerPolicy(ChatServerConfig(**(defaults | settings)))


def ask(
    conversation: ChatServerConversation,
    *messages: Message,
    seconds: float = FOREVER,
    max_tokens: int = 512,
    cancel: CancelToken | None = None,
) -> Reply:
    """One reply; to a plain question where no messages are given."""
    limits = ReplyLimits(max_tokens, time.monotonic() + seconds)
    return conversation.reply(list(messages) or [user("where is it?")], limits=limits, cancel=cancel or CancelToken())


def user(text: str, *pictures: NDArray[np.uint8]) -> Message:
    """What the agent says."""
    return Message("user", (Text(text), *(Picture(pixels, "view") for pixels in pictures)))


def noise(width: int = 64, height: int = 32, seed: int = 0) -> NDArray[np.uint8]:
    """A picture that no encoder can shorten by leaving something out."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
