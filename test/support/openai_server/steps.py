"""What the server does with a request, and what it remembers of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Literal

from fakes import SEGMENT

MODEL = "test-model"
"""The model that is served unless a test says otherwise."""


@dataclass(frozen=True)
class Say:
    """Says a text, token by token, and may break off.

    Attributes:
        text: The reply.
        seconds: Before each token.
        after: Tokens that come; None: all of them, and the end. -1: not even the headers come.
        then: Instead of the rest: `hang` until the client goes, `drop` the connection, `end` the stream as if all were
            said, `die`: the whole server; or an error event with this content.
        finish: The reason that is given at the end; None: `stop` or `length`, as it was.
    """

    text: str = SEGMENT
    seconds: float = 0.0
    after: int | None = None
    then: Literal["hang", "drop", "end", "die"] | dict[str, Any] | str = "hang"
    finish: str | None = None


@dataclass(frozen=True)
class Fail:
    """Refuses with an HTTP status."""

    status: int
    message: str = "a fault that was injected"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Raw:
    """Answers with these bytes, whatever they are."""

    body: bytes
    content_type: str = "text/event-stream"


Step = str | Say | Fail | Raw


@dataclass
class Seen:
    """One chat request.

    Attributes:
        body: Its JSON.
        raw: Its bytes.
        headers: In lower case.
        hanging: Set when the server has said all that it will.
        gone: Set when the server has noticed that the client closed the connection before the reply was whole.
    """

    body: dict[str, Any]
    raw: bytes
    headers: dict[str, str]
    hanging: threading.Event = field(default_factory=threading.Event)
    gone: threading.Event = field(default_factory=threading.Event)
