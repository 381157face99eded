"""A real server, started as users start it: `rsagent serve`, or the program that the launch file runs."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from rsagent_ros.model_server.program import READY

STARTED = 400.0
"""Seconds: cold files and two busy cores."""
KEY = "test-key"
RSAGENT_SERVE = ("rsagent", "serve")
LAUNCH_PROGRAM = (sys.executable, "-m", "rsagent_ros.model_server")
SHARE_GIB = 3.5


@dataclass(frozen=True)
class Serving:
    """A server that is up.

    Attributes:
        root: URL without the /v1.
        process: The supervisor.
        log: File with all that it and vLLM say.
    """

    root: str
    process: psutil.Process
    log: Path

    @property
    def url(self) -> str:
        return f"{self.root}/v1"

    def said(self) -> str:
        """All lines of the log."""
        return self.log.read_text(encoding="utf-8")

    def metric(self, name: str, **labels: str) -> float:
        """Sum of a metric over its labels."""
        with urllib.request.urlopen(f"{self.root}/metrics", timeout=30) as response:
            lines = response.read().decode().splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        found = [line for line in lines if re.match(rf"{name}[ {{]", line) and all(label in line for label in wanted)]
        return sum(float(line.rsplit(maxsplit=1)[1]) for line in found)

    def child(self, words: str) -> psutil.Process:
        """The newest process below the supervisor whose command line holds these words."""
        found = [one for one in self.process.children(recursive=True) if words in " ".join(one.cmdline())]
        return max(found, key=psutil.Process.create_time)


@contextmanager
def serving(folder: Path, program: tuple[str, ...], arguments: Sequence[str] = (), **recipe: Any) -> Iterator[Serving]:
    """Serve by a recipe in float32 on a free port of loopback; the key of clients is KEY."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    device = psutil.virtual_memory().total / 2**30
    written = {
        "executable": str(Path(os.environ["RSAGENT_VLLM"]).absolute()),
        "port": port,
        "chats": 8,
        "family": "qwen3_vl",
        "arguments": ["--dtype", "float32", "--block-size", "32", "--enforce-eager", *arguments],
        "memory": {
            "device_gib": device, "billion_parameters": 0.001, "layers": 3, "kv_heads": 2, "head_size": 32,
            "work_gib": 0.5, "segmenter_gib": 0.0, "other_gib": device - SHARE_GIB,
        },
    } | recipe  # fmt: skip
    (folder / "recipe.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    variables = os.environ | {"VLLM_API_KEY": KEY, "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"}
    log = folder / "server.log"
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*program, str(folder / "recipe.yaml")], env=variables, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        until(lambda: READY in log.read_text(encoding="utf-8") or process.poll() is not None, STARTED)
        assert process.poll() is None, log.read_text(encoding="utf-8")[-5000:]
        yield Serving(f"http://127.0.0.1:{port}", psutil.Process(process.pid), log)
    finally:
        process.terminate()
        process.wait(60)


def until(what: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that a server does."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.2)
