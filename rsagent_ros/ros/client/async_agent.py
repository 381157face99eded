"""`AsyncAgent`: the asyncio client.

    from rsagent_ros.ros.client import AsyncAgent

    async with AsyncAgent() as agent:
        answer = await agent.segment("the red mug")

A task that is cancelled while it waits cancels its goal. Several goals may be awaited at once; the node's
`queue_policy` decides which of them runs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, TypeVar

from rsagent_ros.action import Segment
from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.turn import Turn
from rsagent_ros.ros.client.agent import Agent, Answer
from rsagent_ros.ros.client.tracked import Tracked

CALLS = 256
"""Calls that may wait at the same time, each in a thread. asyncio's own pool has a handful, and goals take seconds."""

_Returned = TypeVar("_Returned")


class AsyncAgent:
    """Client of one agent node whose methods are awaited. The event loop is never blocked."""

    def __init__(self, name: str = "agent", **options: Any) -> None:
        """Prepare; `async with` connects. Arguments as for `Agent`."""
        self._agent = Agent(name, **options)
        self._threads = ThreadPoolExecutor(CALLS, thread_name_prefix="agent client")

    async def __aenter__(self) -> AsyncAgent:
        await self._call(self._agent.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._call(self._agent.close)
        self._threads.shutdown(wait=False)

    async def wait_until_active(self, seconds: float) -> None:
        """Wait until the agent takes goals; see `Agent.wait_until_active`."""
        await self._call(self._agent.wait_until_active, seconds)

    async def segment(
        self, instruction: str, *, on_turn: Callable[[Turn], None] | None = None, **options: Any
    ) -> Answer:
        """Look for something; see `Agent.segment`. To cancel, cancel the task. `on_turn` is called in the loop."""
        return await self._wait_for(partial(self._agent.segment, instruction, **options), on_turn)

    async def send(
        self, goal: Segment.Goal, *, on_turn: Callable[[Turn], None] | None = None, **options: Any
    ) -> Answer:
        """Send a goal with every field of the action; see `Agent.send`."""
        return await self._wait_for(partial(self._agent.send, goal, **options), on_turn)

    async def judge(self, goal_id: str, accepted: bool, **options: Any) -> None:
        """Tell the agent what was true about a goal; see `Agent.judge`."""
        await self._call(partial(self._agent.judge, goal_id, accepted, **options))

    async def tracked(self, goal_id: str = "", seconds: float | None = None) -> AsyncIterator[Tracked]:
        """Yield where the objects of a goal are; see `Agent.tracked`. A cancelled task does not stop the tracking."""
        cancel = CancelToken()
        masks = self._agent.tracked(goal_id, seconds, cancel=cancel)
        waiting: asyncio.Task[Tracked | None] | None = None
        try:
            while True:
                waiting = asyncio.create_task(self._call(next, masks, None))
                mask = await asyncio.shield(waiting)
                if mask is None:
                    return
                yield mask
        finally:
            cancel.set()
            if waiting is not None:
                await _finished(waiting)  # a generator can't be closed while a thread is in it
            masks.close()

    async def stop_tracking(self, goal_id: str = "") -> None:
        """Stop tracking; see `Agent.stop_tracking`."""
        await self._call(self._agent.stop_tracking, goal_id)

    async def _call(self, function: Callable[..., _Returned], *arguments: Any) -> _Returned:
        """Run a blocking function in a thread of this client."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, function, *arguments)

    async def _wait_for(self, send: Callable[..., Answer], on_turn: Callable[[Turn], None] | None) -> Answer:
        cancel, loop = CancelToken(), asyncio.get_running_loop()
        failures: list[Exception] = []

        def call_on_turn(turn: Turn) -> None:
            try:
                if on_turn is not None and not failures:
                    on_turn(turn)
            except Exception as error:  # belongs to the task that awaits the goal, not to the loop
                failures.append(error)
                cancel.set()

        def schedule(turn: Turn) -> None:
            loop.call_soon_threadsafe(call_on_turn, turn)

        listener = None if on_turn is None else schedule
        waiting = asyncio.create_task(self._call(partial(send, on_turn=listener, cancel=cancel)))
        try:
            answer = await asyncio.shield(waiting)
        except asyncio.CancelledError:
            cancel.set()
            await _finished(waiting)  # the node has ended the goal then
            raise
        if failures:
            raise failures[0]
        return answer


async def _finished(waiting: asyncio.Task[Any]) -> None:
    """Wait for a task whose outcome nobody needs."""
    await asyncio.wait([waiting])
    if not waiting.cancelled():
        waiting.exception()  # marks it as retrieved
