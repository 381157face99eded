"""What vLLM's chat completion takes, field by field, and how long a chat is in tokens: for the tests' chat server.

The fields are those that `ChatCompletionRequest` has in vLLM 0.31.0 and in 0.33.0. vLLM itself passes over a field
that it does not know; the server of the tests does not: such a field is a mistake that nothing else would show.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

Number = (int, float)
FIELDS: dict[str, type | tuple[type, ...]] = {
    "messages": list, "model": str, "frequency_penalty": Number, "logit_bias": dict, "logprobs": bool,
    "top_logprobs": int, "max_tokens": int, "max_completion_tokens": int, "n": int, "presence_penalty": Number,
    "response_format": dict, "seed": int, "stop": (str, list), "stream": bool, "stream_options": dict,
    "temperature": Number, "top_p": Number, "tools": list, "tool_choice": (str, dict), "reasoning_effort": str,
    "thinking_token_budget": int, "include_reasoning": bool, "parallel_tool_calls": bool, "user": str,
    "use_beam_search": bool, "top_k": int, "min_p": Number, "repetition_penalty": Number, "watermarking": bool,
    "length_penalty": Number, "stop_token_ids": list, "include_stop_str_in_output": bool, "ignore_eos": bool,
    "min_tokens": int, "skip_special_tokens": bool, "spaces_between_special_tokens": bool,
    "truncate_prompt_tokens": int, "truncation_side": str, "prompt_logprobs": int, "logprob_token_ids": list,
    "allowed_token_ids": list, "bad_words": list, "echo": bool, "add_generation_prompt": bool,
    "continue_final_message": bool, "add_special_tokens": bool, "documents": list, "chat_template": str,
    "chat_template_kwargs": dict, "media_io_kwargs": dict, "mm_processor_kwargs": dict, "structured_outputs": dict,
    "priority": int, "request_id": str, "session_id": str, "return_tokens_as_token_ids": bool,
    "return_token_ids": bool, "routed_experts_prompt_start": int, "return_token_offsets": bool,
    "return_prompt_text": bool, "cache_salt": str, "kv_transfer_params": dict, "ec_transfer_params": dict,
    "vllm_xargs": dict, "repetition_detection": dict, "stream_interval": int,
}  # fmt: skip
NESTED = {
    "stream_options": {"include_usage", "continuous_usage_stats"},
    "structured_outputs": {
        "json", "regex", "choice", "grammar", "json_object", "disable_any_whitespace", "disable_additional_properties",
        "whitespace_pattern", "structural_tag",
    },
}  # fmt: skip
PLAIN_FIELDS = {
    "messages", "model", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "max_tokens", "n",
    "max_completion_tokens", "presence_penalty", "response_format", "seed", "stop", "stream", "stream_options",
    "temperature", "top_p", "tools", "tool_choice", "reasoning_effort", "parallel_tool_calls", "user",
}  # fmt: skip


def complaint(body: dict[str, Any]) -> str:
    """What is wrong with a request by vLLM's schema; empty where nothing is."""
    for name, value in body.items():
        if name not in FIELDS:
            return f"vLLM has no field {name!r}"
        kinds = FIELDS[name]
        if value is not None and (isinstance(value, bool) is not (kinds is bool) or not isinstance(value, kinds)):
            return f"{name} is {value!r}"
        if isinstance(value, dict) and not set(value) <= NESTED.get(name, set(value)):
            return f"{name} holds {sorted(value)}"
    if body.get("stream_options") and not body.get("stream"):
        return "Stream options can only be defined when `stream=True`."
    if len(body.get("structured_outputs") or {"regex": ""}) != 1:
        return "You can only use one kind of structured outputs constraint"
    for message in body.get("messages", []):
        if set(message) != {"role", "content"} or message["role"] not in ("system", "user", "assistant"):
            return f"a message with {sorted(message)} of {message.get('role')!r}"
    for part in parts_of(body["messages"]):
        match part:
            case {"type": "text", "text": str()}:
                pass
            case {"type": "image_url", "image_url": {"url": str(url)}} if url.startswith("data:image/png;base64,"):
                pass
            case _:
                return f"a part that is neither text nor a picture: {str(part)[:100]}"
    return ""


def picture_bytes(body: dict[str, Any]) -> list[bytes]:
    """The PNG files of a request, in order."""
    urls = [part["image_url"]["url"] for part in parts_of(body["messages"]) if part["type"] == "image_url"]
    return [base64.b64decode(url.partition(",")[2], validate=True) for url in urls]


def prompt_tokens(messages: list[dict[str, Any]]) -> list[int]:
    """A chat as tokens: four characters each, and one for each 32 x 32 pixels of a picture, by its content."""
    tokens: list[int] = []
    for message in messages:
        tokens.append(token(f"<{message['role']}>"))
        for part in parts_of([message]):
            if part["type"] == "text":
                tokens += map(token, pieces_of(part["text"]))
            else:
                png = base64.b64decode(part["image_url"]["url"].partition(",")[2])
                width, height = struct.unpack(">II", png[16:24])
                tokens += [zlib.crc32(png) % 50_000] * (width // 32 * (height // 32))
    tokens.append(token("<assistant>"))
    return tokens


def parts_of(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for message in messages:
        content = message["content"]
        parts += [{"type": "text", "text": content}] if isinstance(content, str) else content
    return parts


def pieces_of(text: str) -> list[str]:
    return [text[start : start + 4] for start in range(0, len(text), 4)]


def token(piece: str) -> int:
    return zlib.crc32(piece.encode()) % 50_000
