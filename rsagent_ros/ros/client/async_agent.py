"""The client for planners that are written with asyncio.

    from rsagent_ros.ros.client.async_agent import AsyncAgent

    async with AsyncAgent() as agent:
        answer = await agent.segment("the red mug")

A task that is cancelled while it waits cancels its goal. Several goals may be awaited at once; which of them is worked
on is up to the node's `queue_policy`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from types import TracebackType
from typing import Any

from rsagent_ros.action import Segment
from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.turn import Turn
from rsagent_ros.ros.client.agent import Agent, Answer
from rsagent_ros.ros.client.tracked import Tracked


class AsyncAgent:
    """`Agent` with methods to await. Each call waits in a thread of asyncio's own; the event loop is never blocked."""

    def __init__(self, name: str = "agent", **options: Any) -> None:
        """As `Agent`."""
        self._agent = Agent(name, **options)

    async def __aenter__(self) -> AsyncAgent:
        await asyncio.to_thread(self._agent.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self._agent.close)

    async def wait_until_active(self, seconds: float) -> None:
        """As `Agent.wait_until_active`."""
        await asyncio.to_thread(self._agent.wait_until_active, seconds)

    async def segment(
        self, instruction: str, *, on_turn: Callable[[Turn], None] | None = None, **options: Any
    ) -> Answer:
        """As `Agent.segment`. To cancel, cancel the task; `on_turn` is called in the loop."""
        return await self._waited_for(partial(self._agent.segment, instruction, **options), on_turn)

    async def send(
        self, goal: Segment.Goal, *, on_turn: Callable[[Turn], None] | None = None, **options: Any
    ) -> Answer:
        """As `Agent.send`."""
        return await self._waited_for(partial(self._agent.send, goal, **options), on_turn)

    async def judge(self, goal_id: str, accepted: bool, **options: Any) -> None:
        """As `Agent.judge`."""
        await asyncio.to_thread(partial(self._agent.judge, goal_id, accepted, **options))

    async def tracked(self, goal_id: str = "", seconds: float | None = None) -> AsyncIterator[Tracked]:
        """As `Agent.tracked`, for `async for`. A task that is cancelled follows no longer; the agent still does."""
        cancel = CancelToken()
        masks = self._agent.tracked(goal_id, seconds, cancel=cancel)
        waiting: asyncio.Task[Tracked | None] | None = None
        try:
            while True:
                waiting = asyncio.create_task(asyncio.to_thread(next, masks, None))
                mask = await asyncio.shield(waiting)
                if mask is None:
                    return
                yield mask
        finally:
            cancel.set()
            if waiting is not None:
                await _over(waiting)  # a generator can't be closed while a thread is in it
            masks.close()

    async def stop_tracking(self, goal_id: str = "") -> None:
        """As `Agent.stop_tracking`."""
        await asyncio.to_thread(self._agent.stop_tracking, goal_id)

    async def _waited_for(self, ask: Callable[..., Answer], on_turn: Callable[[Turn], None] | None) -> Answer:
        cancel, loop = CancelToken(), asyncio.get_running_loop()
        failures: list[Exception] = []

        def tell(turn: Turn) -> None:
            try:
                if on_turn is not None and not failures:
                    on_turn(turn)
            except Exception as error:  # belongs to who awaits the goal, not to the loop
                failures.append(error)
                cancel.set()

        def told(turn: Turn) -> None:
            loop.call_soon_threadsafe(tell, turn)

        listener = None if on_turn is None else told
        waiting = asyncio.create_task(asyncio.to_thread(ask, on_turn=listener, cancel=cancel))
        try:
            answer = await asyncio.shield(waiting)
        except asyncio.CancelledError:
            cancel.set()
            await _over(waiting)  # the node has ended the goal then
            raise
        if failures:
            raise failures[0]
        return answer


async def _over(waiting: asyncio.Task[Any]) -> None:
    """Wait until it is, whatever came of it: nobody is interested any more."""
    await asyncio.wait([waiting])
    if not waiting.cancelled():
        waiting.exception()  # else asyncio says that nobody has looked at it
