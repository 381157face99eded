"""The worker as a process: steered, paused, killed, crashing, hanging, and gone with whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from shadow_cases import (
    CRASHES,
    HANGS,
    NO_MODEL,
    RAISES,
    RIGHT,
    SLOW,
    WRONG,
    arm,
    hurry,
    write_circles,
    write_goals,
)

from rsagent_ros.backends import Choice
from rsagent_ros.shadow.candidate import CandidateModels
from rsagent_ros.shadow.process import LOG, ProcessTimeouts, ShadowProcess

FOREVER = 100.0
FAKE = [sys.executable, str(Path(__file__).with_name("fake_worker.py"))]
REAL = [sys.executable, "-m", "rsagent_ros.shadow"]
QUICK = ProcessTimeouts(pause=FOREVER, keep=FOREVER, end=5.0, backoff=0.01, restarts=2)


def until(what: Callable[[], object], *hurried: ShadowProcess) -> None:
    end = time.monotonic() + FOREVER
    while not what():
        for process in hurried:
            hurry(process.pid)
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


def done(process: ShadowProcess) -> bool:
    """Whether it has played all there is."""
    return process.state == "done"


def arguments(folder: Path, incumbent: CandidateModels, candidate: CandidateModels) -> list[str]:
    for name, one in (("incumbent", incumbent), ("candidate", candidate)):
        (folder / f"{name}.yaml").write_text(one.text())
    arms = ["--incumbent", str(folder / "incumbent.yaml"), "--candidate", str(folder / "candidate.yaml")]
    return [str(folder / "records"), *arms, "--out", str(folder / "out"), "--goals", "3", "--budget", "60"]


Start = Callable[..., ShadowProcess]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a process that ends with the test: `start(WRONG, RIGHT)`."""
    with ExitStack() as stack:

        def started(
            incumbent: int, candidate: int, timeouts: ProcessTimeouts = QUICK, program: list[str] = FAKE
        ) -> ShadowProcess:
            words = program + arguments(tmp_path, arm(incumbent), arm(candidate))
            process = ShadowProcess(words, tmp_path / "out", timeouts)
            stack.callback(process.close)
            return process

        yield started


def goals(process: ShadowProcess) -> int:
    return 0 if process.result is None else process.result.goals


def test_it_plays_when_it_may_and_tells_how_it_stands(tmp_path: Path, start: Start) -> None:
    write_goals(tmp_path / "records", 3)
    process = start(WRONG, RIGHT)
    assert (process.state, process.pid, process.starts) == ("waiting", None, 0)
    process.go()
    until(lambda: process.state == "running")
    assert psutil.Process(process.pid).nice() == 19
    until(lambda: done(process), process)
    assert process.result is not None
    assert process.result.finished
    assert process.result.low > 0
    assert process.result.arms == (arm(WRONG).fingerprint, arm(RIGHT).fingerprint)
    assert "a library says hello" in (tmp_path / "out" / LOG).read_text()
    pid = process.pid
    assert pid is not None
    process.close()
    assert process.state == "closed"
    assert not psutil.pid_exists(pid)


def test_new_goals_are_found_while_it_waits(tmp_path: Path, start: Start) -> None:
    write_goals(tmp_path / "records", 1)
    process = start(WRONG, RIGHT)
    process.go()
    until(lambda: done(process), process)
    assert goals(process) == 1
    write_goals(tmp_path / "records", 3, first=1)
    until(lambda: done(process) and goals(process) == 4, process)


def test_the_program_that_a_node_starts(tmp_path: Path, start: Start) -> None:
    write_circles(tmp_path / "records", 3)
    process = start(64, 768, program=REAL)
    process.go()
    until(lambda: done(process), process)
    assert process.result is not None
    assert process.result.low > 0


def test_paused_it_stops_and_goes_on_where_it_was(tmp_path: Path, start: Start) -> None:
    write_goals(tmp_path / "records", 6)
    process = start(WRONG, SLOW)
    process.go()
    until(lambda: process.result is not None, process)
    process.pause()
    until(lambda: process.state == "paused", process)
    before, pid = goals(process), process.pid
    assert before < 6
    process.pause()
    process.go()
    until(lambda: done(process), process)
    assert (goals(process), process.pid, process.starts) == (6, pid, 1)


def test_one_that_hangs_when_it_is_paused_is_killed(tmp_path: Path, start: Start) -> None:
    write_goals(tmp_path / "records", 3)
    process = start(WRONG, HANGS, ProcessTimeouts(pause=0.2, keep=FOREVER, backoff=0.01))
    process.go()
    until(lambda: process.state == "running" and process.result is not None, process)
    pid = process.pid
    assert pid is not None
    time.sleep(0.2)  # it hangs by now, or will when it is told to pause: both are killed
    process.pause()
    until(lambda: not psutil.pid_exists(pid))
    until(lambda: process.state == "waiting")
    assert process.problem == ""  # interrupted, not failed
    process.go()
    until(lambda: process.starts == 2)


def test_one_that_is_paused_for_long_gives_its_memory_back(tmp_path: Path, start: Start) -> None:
    write_goals(tmp_path / "records", 3)
    process = start(WRONG, RIGHT, ProcessTimeouts(pause=FOREVER, keep=0.1))
    process.go()
    until(lambda: done(process), process)
    process.pause()
    until(lambda: process.state == "waiting" and process.pid is None)
    assert process.problem == ""
    process.go()
    until(lambda: done(process) and process.starts == 2, process)
    assert goals(process) == 3


def test_killed_it_is_started_again_and_nothing_is_played_twice(tmp_path: Path, start: Start) -> None:
    write_goals(tmp_path / "records", 5)
    process = start(WRONG, SLOW)
    process.go()
    until(lambda: process.result is not None, process)
    killed = process.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    until(lambda: done(process) and process.starts == 2, process)
    assert process.result is not None
    assert (process.result.goals, process.result.candidate) == (5, 1.0)
    answers = [line for path in tmp_path.rglob("results.jsonl") for line in path.read_text().splitlines()[1:]]
    assert len(answers) == 10


@pytest.mark.parametrize(
    ("candidate", "told"),
    [
        (CRASHES, "it was killed by SIGKILL; its last lines are in"),
        (NO_MODEL, "the candidate can't be loaded: FileNotFoundError: there are no weights"),
    ],
)
def test_a_candidate_that_never_plays_is_given_up(tmp_path: Path, start: Start, candidate: int, told: str) -> None:
    write_goals(tmp_path / "records", 3)
    process = start(WRONG, candidate)
    process.go()
    until(lambda: process.state == "given up", process)
    assert f"given up after 3 tries in a row: {told}" in process.problem
    assert process.result is None or process.result.goals == 0
    process.pause()
    process.go()
    assert process.state == "given up"


def test_a_candidate_that_fails_goals_loses_them(tmp_path: Path, start: Start) -> None:
    write_goals(tmp_path / "records", 3)
    process = start(RIGHT, RAISES, ProcessTimeouts(pause=FOREVER, keep=FOREVER, backoff=0.01, restarts=3))
    process.go()
    until(lambda: done(process), process)
    assert process.result is not None
    assert (process.result.candidate, process.result.promotable) == (0.0, False)


def test_a_program_that_is_not_there_is_given_up(tmp_path: Path, start: Start) -> None:
    process = start(WRONG, RIGHT, program=["/nowhere/python"])
    process.go()
    until(lambda: process.state == "given up", process)
    assert "it can't be started: FileNotFoundError" in process.problem


def test_it_dies_with_who_started_it(tmp_path: Path) -> None:
    """SIGKILL: the starter can do nothing about it."""
    write_goals(tmp_path / "records", 3)
    words = [*FAKE, *arguments(tmp_path, arm(WRONG), arm(HANGS))]
    program = f"""
import subprocess, sys, time
worker = subprocess.Popen({words!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
worker.stdin.write(b"go\\n")
worker.stdin.flush()
worker.stdout.readline()
print(worker.pid, flush=True)
time.sleep(1000)
"""
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert starter.stdout is not None
    with starter.stdout:
        worker = int(starter.stdout.readline())
    assert psutil.pid_exists(worker)
    starter.kill()
    starter.wait()
    until(lambda: not psutil.pid_exists(worker) or psutil.Process(worker).status() == psutil.STATUS_ZOMBIE)


def test_it_ends_when_stdin_is_closed_though_it_hangs(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    words = [*FAKE, *arguments(tmp_path, arm(HANGS), arm(RIGHT))]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        worker.stdin.write(b"go\n")
        worker.stdin.flush()
        assert b"running" in worker.stdout.readline()
        worker.stdin.close()
        assert worker.wait(FOREVER) == 0


def test_bad_arguments_are_told_and_end_it(tmp_path: Path) -> None:
    words = [*REAL, *arguments(tmp_path, arm(WRONG), arm(RIGHT))]
    (tmp_path / "candidate.yaml").write_text("policy: telepathy")
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert '{"problem": "candidate ' in ended.stdout
    assert "there is no policy 'telepathy'" in ended.stdout
    assert "Traceback" not in ended.stderr


LEAVES_A_CHILD = """
import os, signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])  # it holds stdout, too
with open(sys.argv[1] + ".child", "w") as file:
    file.write(str(child.pid))
os.kill(os.getpid(), signal.SIGSEGV)
"""


def test_what_a_dead_worker_left_behind_ends_with_it(tmp_path: Path, start: Start) -> None:
    process = start(WRONG, RIGHT, ProcessTimeouts(backoff=FOREVER, restarts=5), [sys.executable, "-c", LEAVES_A_CHILD])
    process.go()
    end = time.monotonic() + FOREVER
    while not process.problem:
        process.pause()  # at any moment, also of its death: nothing is raised
        process.go()
        assert time.monotonic() < end
    assert "it was killed by SIGSEGV" in process.problem
    child = int((tmp_path / "records.child").read_text())
    until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)
    process.close()


def test_it_begins_anew_when_weights_are_written_anew(tmp_path: Path) -> None:
    write_goals(tmp_path / "records", 3)
    weights = tmp_path / "weights"
    weights.write_bytes(b"old")
    candidate = CandidateModels(Choice("local", view_side=RIGHT, settings={"local.lora": str(weights)}))
    process = ShadowProcess([*FAKE, *arguments(tmp_path, arm(WRONG), candidate)], tmp_path / "out", QUICK)
    process.go()
    until(lambda: done(process), process)
    weights.write_bytes(b"new weights")
    new = candidate.fingerprint
    until(lambda: process.result is not None and process.result.arms[1] == new and done(process), process)
    assert (goals(process), process.starts, process.problem) == (3, 1, "")
    process.close()
