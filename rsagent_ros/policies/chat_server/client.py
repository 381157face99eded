"""One connection pool to one server, and the thread whose event loop does the talking.

Requests run in that loop because there a request can be broken off at any point: before the connection stands, while
the model reads the chat, or in the middle of a word. A thread that blocks on a socket can't be woken so.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine
from concurrent.futures import CancelledError
from typing import Any, Literal, TypeVar

import msgspec
import openai

from rsagent_ros.policies.chat_server.config import ChatServerConfig
from rsagent_ros.policies.chat_server.failures import explained

_POLL_SECONDS = 0.02
_CLOSING_SECONDS = 1.0

log = logging.getLogger(__name__)

T = TypeVar("T")


class _Tokens(msgspec.Struct):
    tokens: list[int]
    token_strs: list[str]


class Client:
    """Speaks HTTP with the server. Thread-safe."""

    def __init__(self, config: ChatServerConfig) -> None:
        self._config = config
        self._key = config.api_key()
        self._root = config.base_url.rstrip("/").removesuffix("/v1")
        self._http = openai.AsyncOpenAI(
            base_url=config.base_url,
            api_key=self._key or "none",  # the library wants one; a server without keys passes over it
            max_retries=0,  # its own would send again what has reached the model, and past the deadline
            timeout=openai.Timeout(config.stall_timeout, connect=config.connect_timeout, pool=None),
            # A proxy that the environment names can't reach this machine's own loopback.
            http_client=openai.DefaultAsyncHttpxClient(trust_env=False) if config.on_loopback else None,
        )
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_serve, args=(self._loop,), name="chat_server", daemon=True).start()
        self._finalizer = weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)

    def run(
        self, work: Coroutine[Any, Any, T], deadline: float, canceled: Callable[[], bool]
    ) -> T | Literal["cancel", "deadline"]:
        """Run a coroutine in the loop; blocks until it is done, the deadline (steady clock) is over, or it is canceled.

        Returns:
            What the coroutine returned, or why it was broken off. Its connection is closed by then.

        Raises:
            RuntimeError: The client is closed.
        """
        if not self._finalizer.alive:
            work.close()
            raise RuntimeError("the connection to the model server is closed")
        try:
            return asyncio.run_coroutine_threadsafe(_watched(work, deadline, canceled), self._loop).result()
        except CancelledError:
            return "cancel"

    async def events(self, body: dict[str, Any]) -> AsyncGenerator[object, None]:
        """The JSON of each event of a streamed chat completion.

        Raises:
            RequestFailed: Not reached, refused, or broken off.
        """
        answering = False
        try:
            stream = await self._http.post(
                "/chat/completions", body=body, cast_to=object, stream=True, stream_cls=openai.AsyncStream[object]
            )
            answering = True
            async with stream:
                async for event in stream:
                    yield event
        except (openai.APIError, ValueError) as error:
            # Its cause holds the request with its headers; those must not reach a log.
            raise explained(error, self._config, self._key, answering=answering) from None

    async def models(self) -> object:
        """The JSON of GET /models, once /health says that all is well, where the server has that path.

        Raises:
            RequestFailed: Not reached, or refused.
        """
        try:
            try:
                await self._http.get(f"{self._root}/health", cast_to=object)
            except openai.APIStatusError as error:
                # vLLM says there whether it lives. The protocol has no such path, so others may say anything.
                if error.status_code < 500:
                    log.debug("%s/health: %d", self._root, error.status_code)
                else:
                    raise
            return await self._http.get("/models", cast_to=object)
        except (openai.APIError, ValueError) as error:
            raise explained(error, self._config, self._key, answering=False) from None

    async def tokens(self, text: str) -> list[tuple[int, str]]:
        """The tokens of a text, ids and words; none where the server has no /tokenize as vLLM has it."""
        body = {"model": self._config.model, "prompt": text, "add_special_tokens": False, "return_token_strs": True}
        try:
            answer = await self._http.post(f"{self._root}/tokenize", body=body, cast_to=object)
            given = msgspec.convert(answer, _Tokens)
            return list(zip(given.tokens, given.token_strs, strict=True))
        except (openai.APIError, ValueError) as error:
            log.debug("%s/tokenize: %s", self._root, type(error).__name__)
            return []

    def close(self) -> None:
        """Close all connections and end the thread; requests under way are broken off as canceled."""
        if self._finalizer.detach():
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)

    async def _end(self) -> None:
        under_way = asyncio.all_tasks() - {asyncio.current_task()}
        for task in under_way:
            task.cancel()
        if under_way:
            await asyncio.wait(under_way, timeout=_CLOSING_SECONDS)
        await self._http.close()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


async def _watched(
    work: Coroutine[Any, Any, T], deadline: float, canceled: Callable[[], bool]
) -> T | Literal["cancel", "deadline"]:
    task = asyncio.ensure_future(work)
    while not task.done():
        left = deadline - time.monotonic()
        if canceled() or left <= 0:
            task.cancel()
            await asyncio.wait({task}, timeout=_CLOSING_SECONDS)
            if task.done() and not task.cancelled():
                log.debug("broken off as it ended: %r", task.exception())
            return "deadline" if left <= 0 else "cancel"
        await asyncio.wait({task}, timeout=min(_POLL_SECONDS, left))
    return task.result()
