"""GoalStore to judge and servers to judge them with: what the tests of labelling share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from drawings import Drawn, scene
from fakes import FINISH, SEGMENT, FakePolicy, FakeSegmenter, Step
from numpy.typing import NDArray
from recorded import STAMP

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.label.address import Address
from rsagent_ros.label.click_masks import ClickSegmenter
from rsagent_ros.label.goal_store import GoalStore
from rsagent_ros.label.server import LabelServer
from rsagent_ros.records.record import Record, Verdict
from rsagent_ros.records.writer import RecordWriter

TOKEN = "the-token-of-the-tests"


def picture(seed: int = 0) -> tuple[NDArray[np.uint8], list[Drawn]]:
    """A (240, 320, 3) picture and the four things that are drawn in it."""
    return scene(seed)


def write_goal(
    folder: Path,
    goal_id: str = "goal-1",
    *verdicts: Verdict,
    script: Sequence[Step] = (SEGMENT, FINISH),
    instruction: str = "the thing",
    image: NDArray[np.uint8] | None = None,
    stamp_ns: int = STAMP,
) -> Path:
    """Store a goal that the fakes played; returns its file. By default the answer is the middle of the picture."""
    frame = picture()[0] if image is None else image
    episode = Episode(frame, instruction, FakeSegmenter(), goal_id=goal_id)
    drive(episode, FakePolicy(script))
    return RecordWriter(folder).write(Record(goal_id, stamp_ns, "front", frame, episode.trace, verdicts=verdicts))


@contextmanager
def serving(folder: Path, segmenter: Segmenter[Any] | None = None, port: int = 0) -> Iterator[LabelServer]:
    """A server in this process."""
    drawer = ClickSegmenter(FakeSegmenter() if segmenter is None else segmenter)
    with LabelServer(GoalStore(folder), drawer, Address(port, TOKEN)) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class LabelProcess:
    """`rsagent label` in a process of its own; killed at the end. A context manager."""

    def __init__(self, folder: Path, state: Path, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "rsagent_ros.cli", "label", str(folder), "--no-browser", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "XDG_STATE_HOME": str(state)},
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url.startswith("http://127.0.0.1:"), self.url

    def kill(self) -> None:
        """With SIGKILL: it can do nothing more."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> LabelProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.returncode is None:
            self.kill()


def ask(url: str, name: str = "", body: object = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    """Status and JSON of a request to a server; GET, or POST where there is a body."""
    status, kind, data = fetch(url, name, body, headers)
    assert kind == "application/json"
    return status, json.loads(data)


def fetch(
    url: str, name: str = "", body: object = None, headers: dict[str, str] | None = None
) -> tuple[int, str | None, bytes]:
    """Status, content type and body of the answer; what is no bytes goes out as JSON."""
    parts = urlsplit(url)
    connection = HTTPConnection(str(parts.hostname), parts.port or 80, timeout=60)
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {} if data is None else {"Content-Type": "application/json"}
    try:
        connection.request("GET" if data is None else "POST", parts.path + name, data, sent | (headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()
