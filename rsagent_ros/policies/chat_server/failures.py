"""Failures of a chat server, each as a `RunFailed` with its code and one sentence: what, where, what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import openai

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.policies.chat_server.config import ChatServerConfig

# As vLLM, OpenAI, llama.cpp and SGLang word it; they share no code for it.
_TOO_LONG = re.compile(
    r"context.(length|size|window)|maximum (model |allowed |input )*length|prompt is too long|max_model_len", re.I
)
_TOO_MANY_PICTURES = re.compile(r"at most \d+ image", re.I)
_MOST_QUOTED = 300

Remedy = Literal["none", "again", "simpler"]


class RequestFailed(Exception):
    """A request came to nothing.

    Attributes:
        failure: How the goal ends if there is no remedy, or if it does not help.
        remedy: `again`: it has not reached the model and may be sent again; `simpler`: the server does not take it as
            it is, and may take one with fewer fields.
        wait: Seconds the server asks to wait before the request is sent again; None where it does not say.
    """

    def __init__(self, failure: RunFailed, remedy: Remedy = "none", wait: float | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.remedy = remedy
        self.wait = wait


def unavailable(config: ChatServerConfig, what: str) -> RunFailed:
    """The failure of a server that can't be used; `what` says why, and goes on from `the model server at ...`."""
    return RunFailed(ErrorCode.MODEL_UNAVAILABLE, f"the model server at {config.base_url} {what}")


def explained(error: Exception, config: ChatServerConfig, key: str, *, answering: bool) -> RequestFailed:
    """The meaning of an error that came up in a request.

    Args:
        error: Of the client library, or about what the server sent.
        config: Of the policy.
        key: The API key; it is taken out of every message, should a server echo it.
        answering: Whether the server had begun to answer.
    """
    match error:
        case openai.APITimeoutError() if type(error.__cause__).__name__ != "ConnectTimeout":
            what = f"has sent nothing for {config.stall_timeout:g} s (stall_timeout); is it overloaded?"
            return RequestFailed(unavailable(config, what))
        case openai.APIConnectionError() if answering:
            return RequestFailed(unavailable(config, "broke off in the middle of a reply; see its log"))
        case openai.APIConnectionError():
            what = f"can't be reached ({describe(error.__cause__ or error)}); start it, or correct base_url"
            return RequestFailed(unavailable(config, what), "again")
        case openai.APIStatusError():
            return _refusal(error.status_code, _message_of(error, key), config, _retry_after(error.response.headers))
        case openai.APIError():
            # An event of the stream says that it failed; the status stands in it, if anywhere.
            status = error.body.get("code") if isinstance(error.body, Mapping) else None
            if isinstance(status, int) and 400 <= status < 600:
                return _refusal(status, _message_of(error, key), config, None)
            return RequestFailed(unavailable(config, f"failed ({_message_of(error, key)}); see its log"), "simpler")
        case _:
            what = f"does not answer as OpenAI's protocol says ({describe(error)}); base_url usually ends in /v1"
            return RequestFailed(unavailable(config, what))


def _refusal(status: int, message: str, config: ChatServerConfig, wait: float | None) -> RequestFailed:
    """The meaning of an HTTP status of 400 or more, with the server's message."""
    if status in (401, 403):
        place = config.api_key_file or f"the environment variable {config.api_key_env}"
        what = f"refuses the API key ({status}: {message}); put the right one into {place}"
        return RequestFailed(unavailable(config, what))
    if status == 404:
        what = f"does not know the model {config.model!r} or the path ({message}); base_url usually ends in /v1"
        return RequestFailed(unavailable(config, what))
    if _TOO_MANY_PICTURES.search(message):
        what = f"the chat holds more pictures than the model server takes ({message})"
        text = f"{what}; raise its limit or use fewer turns"
        return RequestFailed(RunFailed(ErrorCode.CONTEXT_TOO_LONG, text))
    if status == 413 or (status < 500 and _TOO_LONG.search(message)):
        text = f"the chat is too long for the model ({message}); use fewer turns, smaller pictures or a larger context"
        return RequestFailed(RunFailed(ErrorCode.CONTEXT_TOO_LONG, text))
    if status in (429, 503):
        return RequestFailed(unavailable(config, f"is busy or not ready ({status}: {message})"), "again", wait)
    if status >= 500:
        return RequestFailed(unavailable(config, f"failed ({status}: {message}); see its log"))
    text = f"the model server at {config.base_url} refuses the request ({status}: {message})"
    return RequestFailed(RunFailed(ErrorCode.POLICY_FAILED, text), "simpler")


def _message_of(error: openai.APIError, key: str) -> str:
    """The server's message on one line, short, and without the key."""
    body = error.body
    if isinstance(body, Mapping):
        body = body.get("message") or body.get("detail")
    text = " ".join(str(body or error.message).split())
    text = text.replace(key, "***") if key else text
    return text if len(text) <= _MOST_QUOTED else text[: _MOST_QUOTED - 3] + "..."


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of the Retry-After header; a date there is passed over, the own waiting times will do."""
    try:
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None
