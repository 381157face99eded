"""`rsagent mcp --picture` as the SDK's own client sees it, over stdio and over HTTP on loopback."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import cv2
import numpy as np
import pytest
from fakes import POLICY_SCRIPTS
from mcp import Client
from mcp_calls import facts, pixels, text, told, with_client
from recorded import recorded

from rsagent_ros.cli import main
from rsagent_ros.records.limits import Limits
from rsagent_ros.records.writer import RecordWriter

PATIENCE = 60.0


@pytest.fixture(scope="module")
def discs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two red discs and a blue one on grey."""
    pixels = np.full((240, 320, 3), 190, np.uint8)
    for x, colour in ((60, (40, 40, 210)), (160, (200, 80, 30)), (260, (40, 40, 210))):
        cv2.circle(pixels, (x, 120), 30, colour, -1)
    path = tmp_path_factory.mktemp("picture") / "discs.png"
    cv2.imwrite(str(path), pixels)
    return path


@pytest.fixture
def records(tmp_path: Path) -> Path:
    writer = RecordWriter(tmp_path / "records", Limits(free_megabytes=0))
    writer.write(recorded(POLICY_SCRIPTS["instant"]))
    return writer.folder


def test_what_is_asked_comes_back_as_numbers_and_as_a_picture(discs: Path) -> None:
    async def talk(client: Client) -> None:
        found = await client.call_tool("ask", {"instruction": "the blue circle"})
        assert facts(found)["outcome"] == "found"
        (one,) = facts(found)["objects"]
        assert np.abs(np.array(one["box"]) - (130, 90, 190, 150)).max() <= 4
        shown = pixels(found)
        assert shown.shape == (240, 320, 3)
        assert shown[120, 160, 0] > 150  # bright where it is
        assert shown[120, 60].max() < 150  # dark where another one is
        absent = await client.call_tool("ask", {"instruction": "the green circle"})
        assert (facts(absent)["outcome"], facts(absent)["objects"]) == ("not_in_view", [])

    with_client(talk, "--picture", str(discs))


def test_a_question_is_answered_with_its_goal(discs: Path) -> None:
    async def talk(client: Client) -> None:
        asked = facts(await client.call_tool("ask", {"instruction": "the red circle"}))
        assert (asked["outcome"], len(asked["objects"])) == ("ambiguous", 2)
        assert asked["question"]
        right = await client.call_tool("follow_up", {"goal_id": asked["goal_id"], "answer": "the right one"})
        (one,) = facts(right)["objects"]
        assert one["box"][0] > 200
        again = await client.call_tool("follow_up", {"goal_id": "nobody's", "answer": "the right one"})
        assert 'goal "nobody\'s" asked nothing, or is unknown' in told(again)
        left = {"goal_id": asked["goal_id"], "answer": "the right one", "camera": "left"}
        assert "there is no camera 'left'" in told(await client.call_tool("follow_up", left))

    with_client(talk, "--picture", str(discs))


def test_the_tools_change_nothing_unless_told_otherwise(discs: Path) -> None:
    async def talk(client: Client) -> None:
        tools = {tool.name: tool.annotations for tool in (await client.list_tools()).tools}
        assert set(tools) == {"ask", "follow_up", "status", "last_seen"}
        assert all(hints is not None and hints.read_only_hint for hints in tools.values())
        assert (await client.call_tool("judge", {"goal_id": "picture-1", "right": True})).is_error

    async def talk_to_writer(client: Client) -> None:
        tools = {tool.name: tool.annotations for tool in (await client.list_tools()).tools}
        hints = tools["judge"]
        assert hints is not None
        assert hints.read_only_hint is False
        refused = await client.call_tool("judge", {"goal_id": "picture-1", "right": True})
        assert "this server has a picture" in told(refused)

    with_client(talk, "--picture", str(discs))
    with_client(talk_to_writer, "--picture", str(discs), "--allow-writes")


def test_status_and_what_was_seen_last(discs: Path, records: Path) -> None:
    async def talk(client: Client) -> None:
        status = (await client.call_tool("status", {})).structured_content
        assert status is not None
        assert (status["state"], status["width"], status["policy"]) == ("active", 320, "reference")
        seen = await client.call_tool("last_seen", {"what": "the thing in the middle"})
        assert facts(seen)["goal_id"] == "goal-1"
        assert facts(seen)["when"] == "2025-11-21T14:35:12.123+00:00"
        assert facts(seen)["box"] == [16, 12, 48, 36]
        assert pixels(seen).shape == (48, 64, 3)
        never = await client.call_tool("last_seen", {"what": "the red mug"})
        assert "'the red mug' was not found in the newest" in text(never)

    async def talk_without(client: Client) -> None:
        assert "start it with --records" in told(await client.call_tool("last_seen", {"what": "the red mug"}))

    with_client(talk, "--picture", str(discs), "--records", str(records))
    with_client(talk_without, "--picture", str(discs))


def test_what_can_t_be_asked_is_told(discs: Path) -> None:
    async def talk(client: Client) -> None:
        for arguments, words in (
            ({"instruction": " "}, "the instruction is empty"),
            ({"instruction": "a mug", "camera": "left"}, "there is no camera 'left'"),
        ):
            assert words in told(await client.call_tool("ask", arguments))

    with_client(talk, "--picture", str(discs))


@contextmanager
def http_server(*arguments: str) -> Iterator[int]:
    """A server over HTTP; gives its port once it listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = int(unused.getsockname()[1])
    server = subprocess.Popen([sys.executable, "-m", "rsagent_ros.cli", "mcp", "--http", str(port), *arguments])
    try:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait(PATIENCE)


def test_over_http_on_loopback_and_for_no_other_host(discs: Path) -> None:
    async def talk(port: int) -> None:
        with anyio.fail_after(PATIENCE):
            async with Client(f"http://127.0.0.1:{port}/mcp") as client:
                found = await client.call_tool("ask", {"instruction": "the blue circle"})
                assert facts(found)["outcome"] == "found"

    with http_server("--picture", str(discs)) as port:
        anyio.run(talk, port)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request(
            "POST", "/mcp", body="{}", headers={"Host": "evil.example", "Content-Type": "application/json"}
        )
        assert connection.getresponse().status == 421


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--picture", "nowhere.png"], "the file nowhere.png is missing"),
        (["--http", "99999"], "use a port from 1 to 65535"),
        (["--records", "nowhere"], "there is no such folder"),
    ],
)
def test_bad_usage(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["mcp", *arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
