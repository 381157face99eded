"""Budgets and the cancel token."""

from __future__ import annotations

import math
import threading
import time
from typing import Any

import pytest

from rsagent_ros.agent.budget import Budget, CancelToken


@pytest.mark.parametrize("name", ["seconds", "max_turns", "max_reply_tokens", "max_tokens"])
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_budget_without_anything_to_spend_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}; it must be greater than 0"):
        Budget(**{name: value})


def test_deadline_is_on_the_steady_clock() -> None:
    before = time.monotonic()
    assert before + 5 <= Budget(seconds=5).deadline() <= time.monotonic() + 5


def test_raised_flag_stays_raised() -> None:
    token = CancelToken()
    assert not token.is_set
    assert not token.wait(0.0)
    token.set()
    token.set()
    assert token.is_set
    assert token.wait(60)


def test_waiting_thread_wakes_when_the_flag_is_raised() -> None:
    token = CancelToken()
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(token.wait(60)))
    thread.start()
    token.set()
    thread.join(60)
    assert woken == [True]
