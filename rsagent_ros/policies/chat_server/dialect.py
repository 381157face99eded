"""Dialects of OpenAI's protocol, from most to least that a server understands; each says less than the one before.

vLLM has fields of its own: a grammar, token ids, its stop string kept in the output. Other servers refuse a request
with fields they do not know, so the next dialect is tried, and the one that works is remembered.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from rsagent_ros.agent.actions import CALL_CLOSE
from rsagent_ros.agent.grammar import grammar
from rsagent_ros.agent.policy import ReplyLimits
from rsagent_ros.policies.chat_server.config import ChatServerConfig
from rsagent_ros.policies.family import VISION_TOKENS


class Dialect(IntEnum):
    """The three ways to ask."""

    GRAMMAR = 0
    """vLLM's fields, and replies held to the tool grammar."""
    VLLM = 1
    """vLLM's fields, replies free."""
    PLAIN = 2
    """Only what every server has. Not even `stop`: some fail over it, most cut the stop string out of the reply. The
    client stops reading behind the call instead."""


def body(
    dialect: Dialect, config: ChatServerConfig, messages: list[dict[str, Any]], limits: ReplyLimits, seed: int | None
) -> dict[str, Any]:
    """The body of a request to /chat/completions."""
    request: dict[str, Any] = {
        "model": config.model,
        "messages": messages,
        "max_completion_tokens": limits.max_tokens,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if seed is not None:
        request["seed"] = seed
    if config.logprobs:
        request["logprobs"] = True
    if dialect is Dialect.PLAIN:
        return request
    request |= {
        "stop": [CALL_CLOSE],
        "include_stop_str_in_output": True,
        "return_token_ids": True,
        "top_k": config.top_k,
        "repetition_penalty": config.repetition_penalty,
        # A sampled one would stand for a picture that is not there, in training too, where the ids are used again.
        "bad_words": list(VISION_TOKENS),
    }
    if dialect is Dialect.GRAMMAR:
        request["structured_outputs"] = {"regex": grammar(config.pictures.largest_coordinate, limits.tools)}
    return request
