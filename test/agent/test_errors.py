"""Errors carry a code and one sentence that any message and file can hold."""

from __future__ import annotations

import pytest

from rsagent_ros.agent.errors import ReplyError, RunFailed, ToolFailed, describe, plain
from rsagent_ros.agent.outcome import ErrorCode


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a\n  b"), "ValueError: a b"),
        (ValueError(), "ValueError"),
        (OSError(2, "No such file", "\udcff.png"), "No such file: '\\udcff.png'"),
        (ValueError("\ud800"), "ValueError: ?"),
        (Mute(), "str() failed"),
        (ExceptionGroup("two", [ValueError("a")]), "two (1 sub-exception)"),
    ],
)
def test_any_error_is_described_on_one_line(error: Exception, text: str) -> None:
    assert text in describe(error)
    assert "\n" not in describe(error)
    describe(error).encode()


def test_long_error_is_cut() -> None:
    assert len(describe(ValueError("x" * 10_000_000))) == 500


def test_plain_keeps_what_utf8_can_hold() -> None:
    assert plain("grün 中 🤖\n\0") == "grün 中 🤖\n\0"
    assert plain("a\ud83d\udd16b") == "a??b"


def test_messages_are_plain_and_codes_stay() -> None:
    assert str(ReplyError("no_call", "say it")) == "no_call: say it"
    assert ToolFailed("empty_mask", "\udc80").message == "?"
    failed = RunFailed(ErrorCode.OUT_OF_MEMORY, "full")
    assert (failed.code, failed.message, str(failed)) == (ErrorCode.OUT_OF_MEMORY, "full", "OUT_OF_MEMORY: full")
