"""Random weights behind vLLM: what the grammar lets them say, how long replies are broken off, a server that dies.

They would go on for ever, so nothing but the grammar, a cancel, a deadline or the context ends their replies.
"""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from chat_talk import ask, noise, user
from real_vllm.serving import KEY, LAUNCH_PROGRAM, STARTED, Serving, serving, until

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import ReplyError, RunFailed
from rsagent_ros.agent.geometry import EXTENT
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.parsing import read
from rsagent_ros.agent.policy import Reply
from rsagent_ros.backends import Choice, open_models
from rsagent_ros.model_server.program import READY
from rsagent_ros.model_server.supervisor import SupervisorTimeouts
from rsagent_ros.policies.chat_server import ChatServerConfig
from rsagent_ros.policies.chat_server.policy import ChatServerPolicy
from rsagent_ros.policies.family import QWEN3_VL
from rsagent_ros.weights.tiny import save_tiny

pytestmark = pytest.mark.timeout(900)
REPLIES = 150
LONG = 6000
SHORT = 3.0
"""Seconds: in the middle of a long reply."""
RESTART = "restarting the server"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server of the checkpoint of `rsagent models tiny`, by the program that `serve:=true` starts."""
    folder = tmp_path_factory.mktemp("random")
    save_tiny(QWEN3_VL, folder / "tiny")
    with serving(folder, LAUNCH_PROGRAM, model=str(folder / "tiny"), served_name="tiny", context=8192) as server:
        yield server


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSAGENT_API_KEY", KEY)


def policy(served: Serving, **settings: Any) -> ChatServerPolicy:
    options: dict[str, Any] = {"model": "tiny", "base_url": served.url, "family": "qwen3_vl", "temperature": 1.0}
    return ChatServerPolicy(ChatServerConfig(**options | settings))


def test_the_check_finds_nothing_wrong(served: Serving, caplog: pytest.LogCaptureFixture) -> None:
    assert policy(served).check(engine_seconds=120.0).context == 8192
    assert caplog.text == ""


def test_what_ends_under_the_grammar_can_be_read(
    served: Serving, record_property: Callable[[str, object], None]
) -> None:
    free = policy(served)

    def reply(number: int) -> Reply:
        return ask(free.open(), user(f"Where is thing {number}?", noise(seed=number)), max_tokens=512, seconds=600)

    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(reply, range(REPLIES)))
    ended = [one for one in replies if one.stop == "call"]
    mistakes: Counter[str] = Counter()
    for one in ended:
        try:
            read(one.text, (EXTENT, EXTENT), ended=True)
        except ReplyError as error:
            mistakes[error.code] += 1
    record_property("ended", len(ended))
    record_property("mistakes", dict(mistakes))
    assert len(ended) >= 0.8 * REPLIES
    assert mistakes.total() <= 0.05 * len(ended)


@pytest.mark.parametrize("end", ["cancel", "deadline"])
def test_a_reply_that_is_broken_off_ends_at_the_server_too(served: Serving, end: str) -> None:
    cancel = CancelToken()
    if end == "cancel":
        threading.Timer(SHORT, cancel.set).start()
    talk = policy(served, constrained=False, temperature=0.0).open()
    seconds = SHORT if end == "deadline" else 600.0
    assert ask(talk, user("Go on."), max_tokens=LONG, seconds=seconds, cancel=cancel).stop == end
    said = served.metric("vllm:generation_tokens_total")
    until(lambda: served.metric("vllm:num_requests_running") == 0, 10.0)
    assert (
        served.metric("vllm:generation_tokens_total") - said < LONG / 2
    )  # it went on for no longer than it took to see


def test_a_hung_engine_behind_good_health_is_found_and_restarted(served: Serving) -> None:
    begun = served.said().count(READY)
    served.child("VLLM::EngineCore").suspend()
    with pytest.raises(RunFailed, match="gave no token within 3 s"):
        policy(served).check(engine_seconds=3.0)
    timeouts = SupervisorTimeouts()
    until(lambda: "its engine did nothing" in served.said(), timeouts.probe + timeouts.hang + 30.0)
    until(lambda: served.said().count(READY) > begun, STARTED)
    policy(served).check(engine_seconds=60.0)


def test_a_server_that_is_killed_in_the_middle_is_stood_in_for_and_comes_back(
    served: Serving, caplog: pytest.LogCaptureFixture
) -> None:
    settings = {
        "chat_server.model": "tiny", "chat_server.base_url": served.url, "chat_server.family": "qwen3_vl",
        "chat_server.constrained": False,
    }  # fmt: skip
    restarts = served.said().count(RESTART)
    choice = Choice(policy="chat_server", fallback_policy="reference", settings=settings)
    frame = np.full((480, 640, 3), 128, dtype=np.uint8)
    with open_models(choice) as models:

        def episode(most: int) -> Episode:
            budget = Budget(600, max_turns=3, max_reply_tokens=most)
            one = Episode(frame, "the red mug", models.segmenter, budget, pictures=models.policy.pictures)
            drive(one, models.policy)
            return one

        said = served.metric("vllm:generation_tokens_total")
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(episode, LONG)
            until(lambda: served.metric("vllm:generation_tokens_total") > said + 10)  # the supervisor asks for one
            served.child("vllm serve").send_signal(signal.SIGKILL)
            ended = running.result()
        assert ended.result.degraded
        assert ended.result.outcome is not Outcome.FAILED
        assert "in the middle of a reply" in caplog.text  # `models.lost` may say by now what the next check met
        until(lambda: not models.lost, STARTED)
        assert not episode(16).result.degraded
    assert served.said().count(RESTART) == restarts + 1


def test_the_server_ends_with_its_supervisor(served: Serving) -> None:
    processes = served.process.children(recursive=True)
    assert len(processes) >= 2
    served.process.terminate()
    until(lambda: not any(one.is_running() for one in processes), 60.0)
