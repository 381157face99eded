"""Requests until there is a reply: again while nothing has reached the model, simpler where one is refused.

Once a first word has come nothing is sent again: two replies would be paid for, and the first is in no record.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import aclosing
from typing import Any

import msgspec

from rsagent_ros.agent.policy import ReplyLimits, Stop
from rsagent_ros.policies.chat_server.client import Client
from rsagent_ros.policies.chat_server.config import ChatServerConfig
from rsagent_ros.policies.chat_server.dialect import Dialect, body
from rsagent_ros.policies.chat_server.failures import RequestFailed, explained, unavailable
from rsagent_ros.policies.chat_server.stream import CUT, ENDED, StreamedReply

log = logging.getLogger(__name__)

_FIRST_WAIT = 0.25
"""Seconds before a request is sent again; each further time twice as long."""
_END_SECONDS = 2.0
"""Seconds that the end of the stream is waited for behind a whole call: only the counts come with it."""


class Requester:
    """Puts requests to one server, and remembers in which dialect it answers. Used from one event loop."""

    def __init__(self, client: Client, config: ChatServerConfig) -> None:
        self._client = client
        self._config = config
        self._dialect = Dialect.GRAMMAR if config.constrained else Dialect.VLLM

    @property
    def holds_grammar(self) -> bool:
        """Whether replies are asked for with the tool grammar: no server has refused it yet."""
        return self._dialect is Dialect.GRAMMAR

    async def request(
        self, messages: list[dict[str, Any]], seed: int | None, limits: ReplyLimits, reply: StreamedReply
    ) -> Stop:
        """Have the chat answered; `reply` grows meanwhile and holds what has come when this is broken off.

        Raises:
            RunFailed: There is no reply to be had.
        """
        refusals: list[RequestFailed] = []
        for dialect in list(Dialect)[self._dialect :]:
            request = body(dialect, self._config, messages, limits, seed)
            try:
                stop = await self._with_retries(request, limits.deadline, reply)
            except RequestFailed as error:
                if error.remedy != "simpler" or reply.text:
                    raise error.failure from None
                refusals.append(error)
                continue
            if refusals:
                log.warning("%s; it is asked as %s from now on", refusals[0], dialect.name)
                self._dialect = dialect
            return stop
        # The first is about the fields that matter most; the others are only about fewer of them.
        raise refusals[0].failure

    async def _with_retries(self, request: dict[str, Any], deadline: float, reply: StreamedReply) -> Stop:
        again = 0
        while True:
            try:
                return await self._once(request, reply)
            except RequestFailed as error:
                if error.remedy != "again" or reply.text or again == self._config.retries:
                    raise
                # Robots that lost the same server at the same time should not come back at the same time.
                wait = _FIRST_WAIT * 2**again * random.uniform(0.75, 1.25) if error.wait is None else error.wait
                if time.monotonic() + wait >= deadline:
                    raise
                log.info("%s; asked again in %.2f s", error, wait)
            await asyncio.sleep(wait)
            again += 1

    async def _once(self, request: dict[str, Any], reply: StreamedReply) -> Stop:
        try:
            await self._read(request, reply)
        except RequestFailed as error:
            if not reply.whole:
                raise
            log.info("behind a whole reply: %s", error)
            return "call"
        if reply.enough:
            return "call" if reply.called else "length"
        if reply.finish in CUT:
            return "length"
        if reply.finish in ENDED or reply.whole:
            return "call"
        if not reply.finish:
            raise RequestFailed(unavailable(self._config, "ended its answer before the reply was; see its log"))
        raise RequestFailed(unavailable(self._config, f"ended the reply for the reason {reply.finish!r}"))

    async def _read(self, request: dict[str, Any], reply: StreamedReply) -> None:
        """Read the stream to its end, or until nothing of use can come."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as behind_call, aclosing(self._client.events(request)) as events:
                async for event in events:
                    try:
                        reply.add(event)
                    except msgspec.ValidationError as error:
                        raise explained(error, self._config, "", answering=True) from None
                    if reply.enough:
                        return
                    if reply.whole != (behind_call.when() is not None):
                        behind_call.reschedule(loop.time() + _END_SECONDS if reply.whole else None)
        except TimeoutError:
            log.debug("the reply is whole, and its end did not come")
