"""One connection: reads requests, refuses what vLLM would refuse in its words, streams replies, breaks off."""

from __future__ import annotations

import json
import re
import select
import socket
import struct
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

from fakes import ABSENT

from openai_server.schema import PLAIN_FIELDS, complaint, parts_of, pieces_of, prompt_tokens, token
from openai_server.steps import MODEL, Fail, Raw, Say, Seen
from rsagent_ros.policies.chat_server.grammar_check import QUESTION

if TYPE_CHECKING:
    from openai_server.server import OpenAIServer


class Handler(BaseHTTPRequestHandler):
    """Of one connection, in a thread of its own."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    @property
    def owner(self) -> OpenAIServer:
        """The server it belongs to."""
        owner: OpenAIServer = self.server.owner  # type: ignore[attr-defined]
        return owner

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        owner = self.owner
        if self.path == "/health":
            self._send(200 if owner.healthy and not owner.plain else 404 if owner.plain else 503, b"", "text/plain")
        elif not self._authorized():
            self._json(401, {"error": "Unauthorized"})
        elif self.path == "/v1/models" and owner.card is not None:
            self._send(200, owner.card, "application/json")
        elif self.path == "/v1/models":
            cards: list[dict[str, Any]] = [{"id": name, "object": "model"} for name in owner.models]
            cards[:1] = [card | {"max_model_len": owner.context} for card in cards[:1]]
            cards[1:] = [card | {"parent": owner.models[0], "max_model_len": None} for card in cards[1:]]
            self._json(200, {"object": "list", "data": cards})
        else:
            self._error(404, "Not Found", "Not Found")

    def do_POST(self) -> None:
        owner = self.owner
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if owner.drops_other_paths and self.path != "/v1/chat/completions":
            self.close_connection = True
            return cut(self.connection)
        if not self._authorized():
            return self._json(401, {"error": "Unauthorized"})
        if self.path == "/tokenize" and not owner.plain:
            words = pieces_of(json.loads(raw)["prompt"])
            return self._json(200, {"tokens": [token(word) for word in words], "token_strs": words})
        if self.path != "/v1/chat/completions":
            return self._error(404, "Not Found", "Not Found")
        body = json.loads(raw)
        seen = Seen(body, raw, {name.lower(): value for name, value in self.headers.items()})
        trying = body["messages"] == QUESTION
        (owner.tried if trying else owner.seen).append(seen)
        refusal = self._refusal(body)
        if refusal is not None:
            return self._error(*refusal)
        step = self._answer_to_a_trial(body) if trying else owner.step(body)
        match step:
            case Fail(status, message, headers):
                self._error(status, message, "InjectedError", headers)
            case Raw(content, content_type):
                self._send(200, content, content_type)
            case Say():
                self._say(step, seen)
            case str():
                self._say(Say(step), seen)
        return None

    def _answer_to_a_trial(self, body: dict[str, Any]) -> Say:
        """What the client's check asks for: a token, then a text that only its grammar allows."""
        if self.owner.engine_hangs:
            return Say(after=0)
        regex = (body.get("structured_outputs") or {}).get("regex", "")
        literal = re.sub(r"\\(.)", r"\1", regex)
        kept = self.owner.keeps_grammars and re.fullmatch(regex, literal)
        return Say(literal if kept else "Yes, I am here.")

    def _authorized(self) -> bool:
        key = self.owner.api_key
        return not key or self.headers.get("Authorization") == f"Bearer {key}"

    def _refusal(self, body: dict[str, Any]) -> tuple[int, str, str] | None:
        """Status, message and type of the error, worded as vLLM words it; None where all is well."""
        owner = self.owner
        if owner.plain and set(body) - PLAIN_FIELDS:
            return 422, f"Unexpected fields in the request: {set(body) - PLAIN_FIELDS}", "Unprocessable"
        for name in sorted(owner.lacks & set(body)):
            return 400, f"the field {name} is not supported", "BadRequestError"
        wrong = complaint(body)
        if wrong:
            owner.complaints.append(wrong)
            return 400, wrong, "BadRequestError"
        if owner.models and body.get("model") not in owner.models:
            message = f"The model `{body.get('model')}` does not exist. Valid aliases: {', '.join(owner.models)}."
            return 404, message, "NotFoundError"
        pictures = sum(part.get("type") == "image_url" for part in parts_of(body["messages"]))
        if pictures > owner.max_images:
            message = (
                f"At most {owner.max_images} image(s) may be provided in one prompt. "
                "Set `--limit-mm-per-prompt` to increase this limit. (parameter=image)"
            )
            return 400, message, "BadRequestError"
        length = len(prompt_tokens(body["messages"]))
        if length > owner.context:
            message = (
                f"This model's maximum context length is {owner.context} tokens. However, your prompt contains "
                f"{length} input tokens, which exceeds this limit even without any output tokens. Please reduce the "
                f"length of the input prompt. (parameter=input_tokens, value={length})"
            )
            return 400, message, "BadRequestError"
        return None

    def _say(self, step: Say, seen: Seen) -> None:
        """Stream the reply."""
        owner, body = self.owner, seen.body
        prompt = prompt_tokens(body["messages"])
        text, stopped = _stopped(_held_to_grammar(step.text, body) if owner.keeps_grammars else step.text, body)
        pieces = pieces_of(text)
        if owner.bars_tokens:
            pieces = [part for piece in pieces for part in ([*piece] if " " in piece[1:] else [piece])]
        most = min(body.get("max_completion_tokens") or 1_000_000, owner.context - len(prompt))
        finish = step.finish or ("stop" if len(pieces) <= most else "length")
        pieces = pieces[:most]
        said = [token(piece) for piece in pieces]
        cached = owner.cached(prompt)
        owner.cached(prompt + said)
        if step.after == -1:
            return self._break_off(step.then, seen)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            first: dict[str, Any] = {"choices": [_choice({"role": "assistant", "content": ""})]}
            self._event(first | ({"prompt_token_ids": prompt} if body.get("return_token_ids") else {}))
            for number, piece in enumerate(pieces):
                if number == step.after:
                    return self._break_off(step.then, seen)
                if step.seconds:
                    time.sleep(step.seconds)
                choice = _choice({"content": piece})
                if body.get("return_token_ids"):
                    choice["token_ids"] = [said[number]]
                if body.get("logprobs"):
                    content = [{"token": piece, "logprob": -0.5, "bytes": None, "top_logprobs": []}]
                    choice["logprobs"] = {"content": content}
                if number == len(pieces) - 1:
                    choice |= {"finish_reason": finish, "stop_reason": stopped}
                self._event({"choices": [choice]})
            if not pieces:
                self._event({"choices": [_choice({}) | {"finish_reason": finish}]})
            if step.after == len(pieces):
                return self._break_off(step.then, seen)
            if (body.get("stream_options") or {}).get("include_usage"):
                usage = {"prompt_tokens": len(prompt), "completion_tokens": len(said)}
                usage |= {"total_tokens": len(prompt) + len(said)}
                details = {} if owner.plain else {"prompt_tokens_details": {"cached_tokens": cached}}
                self._event({"choices": [], "usage": usage | details})
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
        except OSError:
            seen.gone.set()
            self.close_connection = True
        return None

    def _break_off(self, then: object, seen: Seen) -> None:
        self.close_connection = True
        if then == "hang":
            seen.hanging.set()
            while not self.owner.released.is_set():
                if select.select([self.connection], [], [], 0.01)[0]:
                    seen.gone.set()
                    return
        elif then == "drop":
            cut(self.connection)
        elif then == "die":
            self.owner.stop()
        elif then == "end":
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")
        else:
            self._chunk(f"data: {json.dumps({'error': then})}\n\n".encode())
            self._chunk(b"data: [DONE]\n\n")
            self._chunk(b"")

    def _event(self, data: dict[str, Any]) -> None:
        whole = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": MODEL} | data
        self._chunk(f"data: {json.dumps(whole)}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _error(self, status: int, message: str, kind: str, headers: dict[str, str] | None = None) -> None:
        error = {"message": message, "type": kind, "param": None, "code": status}
        self._json(status, {"error": error}, headers)

    def _json(self, status: int, data: object, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(data).encode(), "application/json", headers)

    def _send(self, status: int, data: bytes, content_type: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


def _held_to_grammar(text: str, body: dict[str, Any]) -> str:
    """A text that the grammar allows: the one the script wants, if it does."""
    regex = (body.get("structured_outputs") or {}).get("regex")
    return text if regex is None or re.fullmatch(regex, text) else ABSENT


def _stopped(text: str, body: dict[str, Any]) -> tuple[str, str | None]:
    """The text up to the first stop string, and that."""
    for stop in body.get("stop") or ():
        before, found, _ = text.partition(stop)
        if found:
            return before + (found if body.get("include_stop_str_in_output") else ""), stop
    return text, None


def _choice(delta: dict[str, Any]) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}


def cut(connection: socket.socket) -> None:
    """Close with a reset, as the system does for a process that was killed."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
