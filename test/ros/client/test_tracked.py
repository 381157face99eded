"""What a planner sees of a thing that is followed, in a loop and in a coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from filming import FilmCamera, Shots
from ros_support import AgentProcess, Robot
from rsagent_ros.msg import TrackedMask as TrackedMaskMessage
from sensor_msgs.msg import Image

from rsagent_ros.agent.mask import iou
from rsagent_ros.ros.client import Agent, AsyncAgent, Tracked
from rsagent_ros.ros.client.tracked import TrackedMasks

Start = Callable[..., AgentProcess]
Film_ = Callable[..., FilmCamera]


@pytest.fixture
def here(domain: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of a planner on the agent's domain."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(domain))


def test_a_planner_follows_in_a_loop(here: None, robot: Robot, start: Start, film: Film_, moving: Shots) -> None:
    start(script="filmed")
    camera = film(moving)
    with Agent() as agent:
        answer = agent.segment("the red box", track=True)
        camera.play()
        seen = []
        for mask in agent.tracked(answer.goal_id):
            seen.append(mask)
            if len(seen) == 10:
                agent.stop_tracking(answer.goal_id)
        assert [mask.state for mask in seen[:10]] == ["tracking"] * 10
        assert seen[-1].state == "stopped"
        assert seen[0].track_id == answer.message.instances[0].track_id
        assert min(iou(mask.mask, camera.truth[mask.stamp_ns]) for mask in seen[:10]) >= 0.8
        assert list(agent.tracked(answer.goal_id, seconds=0.3)) == []


def test_a_coroutine_follows_and_may_be_cancelled(
    here: None, robot: Robot, start: Start, film: Film_, moving: Shots
) -> None:
    start(script="filmed")
    camera = film(moving)

    async def plan() -> list[Tracked]:
        async with AsyncAgent() as agent:
            answer = await agent.segment("the red box", track=True)
            camera.play()
            seen = []

            async def watch() -> None:
                async for mask in agent.tracked(answer.goal_id):
                    seen.append(mask)

            watching = asyncio.create_task(watch())
            while len(seen) < 5:
                await asyncio.sleep(0.01)
            watching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await watching
            async for mask in agent.tracked(answer.goal_id):  # the agent has not stopped
                seen.append(mask)
                if mask.state == "tracking":
                    await agent.stop_tracking(answer.goal_id)
            return seen

    *tracking, last = asyncio.run(plan())
    assert len(tracking) >= 6
    assert {mask.state for mask in tracking} == {"tracking"}
    assert last.state == "stopped"
    assert min(iou(mask.mask, camera.truth[mask.stamp_ns]) for mask in tracking) >= 0.8


def masks_of(goal_id: str, *states: tuple[int, int]) -> list[TrackedMaskMessage]:
    picture = Image(height=1, width=1, encoding="mono8", step=1, data=b"\x00")
    return [TrackedMaskMessage(goal_id=goal_id, track_id=track, state=state, image=picture) for track, state in states]


TRACKING, STOPPED = TrackedMaskMessage.TRACKING, TrackedMaskMessage.STOPPED


def test_who_asks_again_hears_of_all_that_is_still_followed(robot: Robot) -> None:
    tracks = TrackedMasks(robot.node, "/agent/tracked_mask")

    def follow(goal_id: str, seconds: float | None) -> Iterator[tuple[int, str]]:
        for mask in tracks.follow(goal_id, seconds, alive=lambda: True, stopped=lambda: False):
            yield mask.track_id, mask.state

    for message in masks_of("a", (1, TRACKING), (2, TRACKING)):
        tracks.receive(message)
    assert sorted(follow("a", 0.2)) == [(1, "tracking"), (2, "tracking")]
    for message in masks_of("a", (1, STOPPED)):
        tracks.receive(message)
    again = follow("a", None)
    assert next(again) == (1, "stopped")
    for message in masks_of("a", (2, STOPPED)):  # goes on until this one has stopped, too
        tracks.receive(message)
    assert list(again) == [(2, "stopped")]


def test_what_has_stopped_before_does_not_end_what_comes_now(robot: Robot) -> None:
    tracks = TrackedMasks(robot.node, "/agent/tracked_mask")
    for message in masks_of("a", (1, STOPPED)):
        tracks.receive(message)
    whatever = tracks.follow("", None, alive=lambda: True, stopped=lambda: False)
    assert next(whatever).goal_id == "a"
    for message in masks_of("b", (2, TRACKING)):
        tracks.receive(message)
    assert next(whatever).goal_id == "b"
    for message in masks_of("b", (2, STOPPED)):
        tracks.receive(message)
    assert [mask.state for mask in whatever] == ["stopped"]
