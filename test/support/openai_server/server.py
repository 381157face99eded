"""The server: what it is set to, what it has seen, its prefix cache, its socket."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fakes import FINISH, SEGMENT

from openai_server.handler import Handler, cut
from openai_server.steps import MODEL, Seen, Step

BLOCK = 16
"""Tokens of one block of the prefix cache."""


class OpenAIServer:
    """Listens on a free port of the loopback device between `__enter__` and `__exit__`.

    Attributes:
        script: Steps; may be changed at any time.
        seen: Every chat request, in order, but for those of a check: they are in `tried`.
        keeps_grammars: Whether it looks at the field for grammars.
        bars_tokens: Whether it spells tokens that hold several words.
        complaints: What no client should ever send; a test looks here, since a client may hide it behind a second try.
        healthy: What /health says.
        card: The bytes of /v1/models; None: as vLLM lists `models`.
        drops_other_paths: Whatever is posted elsewhere breaks it, and it drops the connection.
        engine_hangs: No token comes, whatever /health says.
        lacks: Names of fields that this server refuses though vLLM knows them.
    """

    def __init__(
        self,
        script: Sequence[Step] = (SEGMENT, FINISH),
        *,
        models: Sequence[str] = (MODEL,),
        context: int = 16_384,
        max_images: int = 12,
        api_key: str = "",
        plain: bool = False,
        lacks: Sequence[str] = (),
        reply_to: Callable[[dict[str, Any]], Step] | None = None,
    ) -> None:
        """Make a server that is not up yet.

        Args:
            script: What it says.
            models: Names it serves; all but the first are adapters of that.
            context: Tokens of prompt and reply together.
            max_images: Most pictures in one chat.
            api_key: The key that it asks for; empty for none.
            plain: Knows OpenAI's fields alone, and refuses vLLM's with 422, as `transformers serve` does.
            lacks: Fields to refuse with 400.
            reply_to: Chooses the step by the request instead of the script.
        """
        self.script = list(script)
        self.models = list(models)
        self.context = context
        self.max_images = max_images
        self.api_key = api_key
        self.plain = plain
        self.lacks = set(lacks)
        self.reply_to = reply_to
        self.healthy = True
        self.card: bytes | None = None
        self.drops_other_paths = False
        self.engine_hangs = False
        self.seen: list[Seen] = []
        self.tried: list[Seen] = []
        self.keeps_grammars = True
        self.bars_tokens = False
        self.complaints: list[str] = []
        self.released = threading.Event()
        self._cached: set[tuple[int, ...]] = set()
        self._lock = threading.Lock()
        self._count = itertools.count()
        self._port = 0
        self._http: _Http | None = None

    @property
    def url(self) -> str:
        """Root of the API."""
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> OpenAIServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.stop()

    def start(self) -> None:
        """Listen; after `stop` on the same port again."""
        self._http = _Http(("127.0.0.1", self._port), Handler, self)
        self._port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Close the port and every connection, as a killed process would."""
        http, self._http = self._http, None
        if http is not None:
            http.shutdown()
            http.server_close()
            http.drop_all()

    def step(self, body: dict[str, Any]) -> Step:
        """What to answer this request with."""
        if self.reply_to is not None:
            return self.reply_to(body)
        with self._lock:
            return self.script[min(next(self._count), len(self.script) - 1)]

    def cached(self, prompt: list[int]) -> int:
        """How many of the prompt's tokens are in the cache; they all are from now on."""
        blocks = [tuple(prompt[:end]) for end in range(BLOCK, len(prompt) + 1, BLOCK)]
        with self._lock:
            hits = sum(1 for _ in itertools.takewhile(self._cached.__contains__, blocks))
            self._cached.update(blocks)
        return min(hits * BLOCK, len(prompt) - 1)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler], owner: OpenAIServer) -> None:
        self.owner = owner
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was dropped on purpose is no error worth a traceback."""

    def drop_all(self) -> None:
        for connection in list(self._open):
            cut(connection)
