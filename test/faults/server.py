"""Faults of the model server behind the policy chat_server: it is gone, refuses, or breaks off in the middle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakes import FINISH, SEGMENT
from faults.matrix import Row, Setup
from faults.stage import Stage
from openai_server import Fail, Raw, Say, Step

SERVER = Setup("server", server=True)


def says(second: Step) -> Callable[[dict[str, Any]], Step]:
    """A server whose first reply is a mask; then comes this."""

    def reply(body: dict[str, Any]) -> Step:
        return second if any(message["role"] == "assistant" for message in body["messages"]) else SEGMENT

    return reply


def second_reply(step: Step, budget: float = 5.0) -> Callable[[Stage], None]:
    """Goals during which the server fails in the second turn; well again after that."""

    def inject(stage: Stage) -> None:
        stage.server.reply_to = says(step)
        stage.ask(budget=budget)
        stage.say(budget=budget).wait()
        stage.server.reply_to = says(FINISH)

    return inject


def dies(stage: Stage) -> None:
    """Goes in the middle of a reply, is not there for the next goal, and comes back."""
    stage.server.reply_to = says(Say(FINISH, after=2, then="die"))
    stage.ask()
    stage.ask()
    stage.server.reply_to = says(FINISH)
    stage.server.start()


AWAY = ("FAILED MODEL_UNAVAILABLE",)
SPENT = ("GAVE_UP TIME_SPENT",)
ROWS = (
    Row("model server dies in the middle of a reply", dies, AWAY, setup=SERVER),
    Row("model server answers with status 500", second_reply(Fail(500)), AWAY, setup=SERVER),
    Row("model server is busy: status 429", second_reply(Fail(429)), AWAY, setup=SERVER),
    Row(
        "model server drops the connection after half a stream",
        second_reply(Say(FINISH, after=3, then="drop")),
        AWAY,
        setup=SERVER,
    ),
    Row(
        "model server ends the stream after half a reply",
        second_reply(Say(FINISH, after=3, then="end")),
        AWAY,
        setup=SERVER,
    ),
    Row(
        "model server stops in the middle of a stream, connection open",
        second_reply(Say(FINISH, after=3), 0.8),
        SPENT,
        setup=SERVER,
    ),
    Row(
        "model server does not answer, connection open",
        second_reply(Say(FINISH, after=-1), 0.8),
        SPENT,
        setup=SERVER,
    ),
    Row("model server streams garbage", second_reply(Raw(b"\xff\xfe\x00{")), AWAY, setup=SERVER),
)
