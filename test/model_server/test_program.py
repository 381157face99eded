from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rsagent_ros.model_server.program import READY, main

DESKTOP = Path(__file__).parents[2] / "config" / "serve" / "desktop_24gb.yaml"


def test_show_says_what_would_be_run_and_what_fits(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(DESKTOP), "--show", "--model", "/models/mine", "--port", "8123", "--executable", "/v/vllm"]) == 0
    command, budget = capsys.readouterr().out.splitlines()
    assert command.startswith("/v/vllm serve /models/mine ")
    assert "--port 8123" in command
    assert budget == "# " + DESKTOP.read_text(encoding="utf-8").splitlines()[2].removeprefix("# ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["/nowhere.yaml"], "/nowhere.yaml: No such file or directory"),
        ([str(DESKTOP), "--port", "70000"], "port is 70000"),
        ([str(DESKTOP), "--adapter", "mugs=/nowhere"], "/nowhere/adapter_config.json: No such file"),
        ([str(DESKTOP), "--adapter", "mugs"], "--adapter mugs: write it as NAME=FOLDER"),
    ],
)
def test_bad_usage_is_one_sentence(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--show"]) == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_when_the_server_is_healthy_and_ends_with_it(tmp_path: Path, number: signal.Signals) -> None:
    executable = tmp_path / "vllm"
    server = Path(__file__).with_name("fake_vllm.py")
    executable.write_text(f'#!/bin/sh\nexec {sys.executable} {server} "$@"\n', encoding="utf-8")
    executable.chmod(0o755)
    (tmp_path / "mode").write_text("well", encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    recipe = yaml.safe_load(DESKTOP.read_text(encoding="utf-8")) | {"executable": str(executable), "port": port}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    environment = os.environ | {"FAKE_VLLM": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-m", "rsagent_ros.model_server", str(tmp_path / "recipe.yaml")],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{READY} http://127.0.0.1:{port}/v1\n"
        process.send_signal(number)
        assert process.wait(60) == 0
