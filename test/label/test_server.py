"""The server as programs see it: what it answers, and whom it refuses."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pytest
from fakes import FakeSegmenter, SegmenterFault
from labelling import TOKEN, ask, fetch, serving, write_goal

from rsagent_ros.agent.mask import decode_rle
from rsagent_ros.label.address import Address
from rsagent_ros.label.click_masks import ClickSegmenter
from rsagent_ros.label.goal_store import GoalStore
from rsagent_ros.label.server import MAX_BODY, LabelServer
from rsagent_ros.records.reader import read_record

CLICK = {"positive": [[160.5, 120.5]]}


@pytest.fixture
def goal(tmp_path: Path) -> Path:
    return write_goal(tmp_path, "a")


@pytest.fixture
def server(goal: Path) -> Iterator[LabelServer]:
    with serving(goal.parent) as server:
        yield server


@pytest.fixture
def url(server: LabelServer) -> str:
    return server.address.url


def test_the_list_is_told_once_until_it_is_another(url: str, goal: Path) -> None:
    status, told = ask(url, "goals")
    assert (status, told["left"], told["segmenter"]) == (200, 0, "fake_segmenter")
    assert [row["record"] for row in told["rows"]] == [goal.name]
    assert "rows" not in ask(url, f"goals?known={told['version']}")[1]
    assert ask(url, "verdict", {"record": goal.name, "judgement": "accept"})[1]["state"] == "accepted"
    again = ask(url, f"goals?known={told['version']}")[1]
    assert [row["state"] for row in again["rows"]] == ["accepted"]


def test_a_goal_its_pictures_and_a_mask(url: str, goal: Path) -> None:
    assert ask(url, f"goal?record={quote(goal.name)}")[1]["instruction"] == "the thing"
    for name in ("frame?record=", "turn?number=0&record="):
        status, kind, data = fetch(url, name + goal.name)
        assert (status, kind) == (200, "image/jpeg")
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
    status, drawn = ask(url, "draw", {"record": goal.name, "clicks": CLICK})
    mask = decode_rle(drawn["mask"])
    assert (status, drawn["area"], mask.shape) == (200, np.count_nonzero(mask), (240, 320))
    assert mask[120, 160]
    status, row = ask(
        url, "verdict", {"record": goal.name, "judgement": "correct", "masks": [drawn["mask"]], "note": "this"}
    )
    assert (status, row["state"], row["judged"]) == (200, "corrected", True)
    (verdict,) = read_record(goal).verdicts
    assert verdict.mask is not None
    assert (verdict.mask == mask).all()
    assert verdict.note == "this"


def test_a_correction_that_waited_in_a_page_of_the_last_release_is_stored(url: str, goal: Path) -> None:
    drawn = ask(url, "draw", {"record": goal.name, "clicks": CLICK})[1]
    status, _ = ask(url, "verdict", {"record": goal.name, "judgement": "correct", "mask": drawn["mask"]})
    assert status == 200
    (verdict,) = read_record(goal).verdicts
    assert verdict.mask is not None
    assert verdict.instances == ()


def test_the_page_and_its_parts_come_from_here_alone(server: LabelServer, url: str) -> None:
    _, kind, page = fetch(url)
    assert kind == "text/html; charset=utf-8"
    assert b"http" not in page
    assert b"<script>" not in page
    for name, kinds in (("page.js", "text/javascript"), ("page.css", "text/css")):
        status, kind, _ = fetch(url, name)
        assert (status, kind) == (200, f"{kinds}; charset=utf-8")
    assert len(server.assets) > 8


@pytest.mark.parametrize("name", ["", "page.js", "goals", "frame?record=nothing", "nothing"])
def test_every_answer_forbids_what_is_not_needed(url: str, server: LabelServer, name: str) -> None:
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.request("GET", f"/{TOKEN}/{name}")
    answer = connection.getresponse()
    answer.read()
    connection.close()
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("path", ["/", "/goals", "//goals", "/wrong/goals", f"/{TOKEN[:-1]}/goals", f"/{TOKEN}x/"])
def test_without_the_token_there_is_nothing(server: LabelServer, path: str) -> None:
    status, told = ask(f"http://127.0.0.1:{server.server_port}{path}")
    assert status == 403
    assert "not that of the running server" in told["error"]


def test_without_its_slash_the_address_is_not_one(server: LabelServer) -> None:
    assert ask(f"http://127.0.0.1:{server.server_port}/{TOKEN}")[0] == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "0.0.0.0", "[::1]", "", "["]
)
def test_names_that_somebody_points_at_loopback_are_refused(url: str, host: str) -> None:
    status, told = ask(url, "goals", headers={"Host": host})
    assert status in (421, 422)
    assert "rows" not in told


def test_it_listens_on_loopback_alone(server: LabelServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_other_pages_can_not_judge(url: str, goal: Path, headers: dict[str, str], status: int) -> None:
    assert ask(url, "verdict", {"record": goal.name, "judgement": "accept"}, headers)[0] == status
    assert read_record(goal).verdicts == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 90_000,
        {"judgement": "accept"},
        {"record": "KEY", "judgement": "perhaps"},
        {"record": "KEY", "judgement": "accept", "source": "grasp"},
        {"record": "KEY", "judgement": "accept", "note": 5},
        {"record": "KEY", "judgement": "accept", "note": "x" * 2_001},
        {"record": "KEY", "judgement": "correct"},
        {"record": "KEY", "judgement": "correct", "mask": {"size": [1, 1], "counts": "0"}},
        {"record": "KEY", "judgement": "correct", "mask": {"size": [240, 320], "counts": "~" * 100_000}},
        {"record": "KEY", "judgement": "accept", "mask": {}},
    ],
)
def test_what_is_no_verdict_is_refused_with_a_sentence(url: str, goal: Path, body: Any) -> None:
    if isinstance(body, dict) and "record" in body:
        body = body | {"record": goal.name}
    status, told = ask(url, "verdict", body)
    assert status == 422
    assert told["error"]
    assert read_record(goal).verdicts == ()


@pytest.mark.parametrize(
    "clicks",
    [
        {},
        {"positive": [[1e999, 5]]},
        {"positive": [[1, 2, 3]]},
        {"positive": [["1", 2]]},
        {"positive": [[-1, 5]]},
        {"positive": [[5, 5]] * 100},
        {"box": [1, 2, 3]},
        {"refine": "yes"},
        {"paint": []},
    ],
)
def test_clicks_that_can_not_be_are_refused_with_a_sentence(url: str, goal: Path, clicks: Any) -> None:
    body = json.dumps({"record": goal.name, "clicks": clicks}).encode().replace(b"Infinity", b"1e999")
    status, told = ask(url, "draw", body)
    assert status == 422
    assert told["error"]


@pytest.mark.parametrize("name", ["goal?record=x", "frame?record=x", "goal", "turn?record=../../etc/passwd", "nothing"])
def test_what_is_not_there(url: str, name: str) -> None:
    assert ask(url, name)[0] == 404


@pytest.mark.parametrize("number", ["", "-1", "7", "x", "9" * 99])
def test_turns_that_are_not_there(url: str, goal: Path, number: str) -> None:
    assert ask(url, f"turn?record={goal.name}&number={number}")[0] == 404


def test_a_body_that_is_too_large_is_not_read(server: LabelServer) -> None:
    head = f"POST /{TOKEN}/verdict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for length, expected in (
        (f"Content-Length: {MAX_BODY + 1}", 413),
        ("Content-Length: 9" + "9" * 300, 413),
        ("", 411),
    ):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
            connection.sendall(f"{head}{length}\r\n\r\n".replace("\r\n\r\n\r\n", "\r\n\r\n").encode())
            assert connection.makefile("rb").readline().split()[1] == str(expected).encode()
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n".encode())
        assert connection.makefile("rb").readline().split()[1] == b"411"


def test_a_page_that_goes_away_in_the_middle_takes_nothing_with_it(server: LabelServer, url: str) -> None:
    head = f"POST /{TOKEN}/verdict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for part in (b"", head.encode(), f"{head}Content-Length: 50\r\n\r\n{{".encode(), b"\x00\xff\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=60) as connection:
            connection.sendall(part)
    assert ask(url, "goals")[0] == 200


@pytest.mark.parametrize(
    ("fault", "status", "why"),
    [
        ("raises", 422, "a fault that was injected"),
        ("out_of_memory", 422, "memory is full"),
        ("memory_error", 500, "MemoryError"),
        ("empty_mask", 422, "Nothing could be segmented"),
        ("nan_score", 422, "Nothing could be segmented"),
        ("wrong_shape", 422, "returned a mask of"),
    ],
)
def test_a_segmenter_that_fails_is_told_and_the_rest_works(
    goal: Path, fault: SegmenterFault, status: int, why: str
) -> None:
    with serving(goal.parent, FakeSegmenter(fault)) as server:
        got, told = ask(server.address.url, "draw", {"record": goal.name, "clicks": CLICK})
        assert (got, why in told["error"]) == (status, True)
        assert ask(server.address.url, "verdict", {"record": goal.name, "judgement": "reject"})[0] == 200
    assert len(read_record(goal).verdicts) == 1


def test_a_slow_segmenter_keeps_nobody_from_judging(goal: Path) -> None:
    segmenter = FakeSegmenter("hang")
    with serving(goal.parent, segmenter) as server:
        connection = HTTPConnection("127.0.0.1", server.server_port, timeout=60)
        body = json.dumps({"record": goal.name, "clicks": CLICK})
        connection.request("POST", f"/{TOKEN}/draw", body, {"Content-Type": "application/json"})
        assert ask(server.address.url, "verdict", {"record": goal.name, "judgement": "accept"})[0] == 200
        segmenter.release.set()
        assert connection.getresponse().status == 200
        connection.close()


def test_a_record_that_is_broken_is_told_by_name(tmp_path: Path) -> None:
    whole, broken = write_goal(tmp_path, "whole"), write_goal(tmp_path, "broken")
    broken.write_bytes(broken.read_bytes()[:100])
    with serving(whole.parent) as server:
        rows = ask(server.address.url, "goals")[1]["rows"]
        assert [bool(row["problem"]) for row in rows] == ["broken" in row["record"] for row in rows]
        for name in ("goal", "frame"):
            status, told = ask(server.address.url, f"{name}?record={broken.name}")
            assert status == 422
            assert broken.name in told["error"]
        assert ask(server.address.url, f"goal?record={whole.name}")[0] == 200


def test_a_port_that_is_taken_says_what_to_do(server: LabelServer, goal: Path) -> None:
    address = Address(server.server_port, TOKEN)
    with pytest.raises(OSError, match=r"can't be had \(Address already in use\).*another --port"):
        LabelServer(GoalStore(goal), ClickSegmenter(FakeSegmenter()), address)
