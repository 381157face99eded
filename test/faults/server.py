"""Faults of the model server behind the policy chat_server: it is gone, refuses, or breaks off in the middle."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fakes import FINISH, SEGMENT
from faults.matrix import Row, Setup
from faults.stage import Stage
from lifecycle_msgs.msg import Transition
from openai_server import Fail, Raw, Say, Step
from openai_server.schema import pieces_of

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


def cut_out(body: dict[str, Any]) -> Step:
    """Replies without the stop string, as most servers send them that know no fields of vLLM's."""
    said = any(message["role"] == "assistant" for message in body["messages"])
    text = (FINISH if said else SEGMENT).split(body["stop"][0])[0]
    return Raw(
        events({"choices": [{"delta": {"content": text}}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]})
    )


def events(*chunks: dict[str, Any]) -> bytes:
    """A stream of these events, and no end of it."""
    return b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks)


def cuts(stage: Stage) -> None:
    """All replies of two goals."""
    stage.server.reply_to = cut_out
    stage.ask()
    stage.say().wait()
    stage.server.reply_to = says(FINISH)


def odd_ends(stage: Stage) -> None:
    """A whole reply, and behind it what OpenAI's protocol does not have; one goal for each."""
    whole = {"choices": [{"delta": {"content": FINISH}}]}
    for tail in (
        [{"choices": None, "usage": {"prompt_tokens": None}}],
        [{"choices": [{"delta": None, "finish_reason": "eos_token"}]}],
        [{"error": {"message": "engine died", "code": 500}}],
        [{"choices": 3}],
        [],
    ):
        stage.server.reply_to = says(Raw(events(whole, *tail)))
        stage.ask()
    stage.server.reply_to = says(Raw(events(whole) + b"data: {broken\n\n"))
    stage.ask()
    stage.server.reply_to = says(FINISH)


def engine_hangs(stage: Stage) -> None:
    """No token comes while /health says that all is well: goals end in time, and configuring the node finds it."""
    stage.server.engine_hangs = True
    stage.server.reply_to = says(Say(FINISH, after=-1))
    stage.ask(budget=0.8)
    assert stage.robot.change_state(Transition.TRANSITION_DEACTIVATE)
    assert stage.robot.change_state(Transition.TRANSITION_CLEANUP)
    assert not stage.robot.change_state(Transition.TRANSITION_CONFIGURE)
    stage.agent.wait_for("gave no token within")
    stage.server.engine_hangs = False
    stage.server.reply_to = says(FINISH)
    assert stage.robot.change_state(Transition.TRANSITION_CONFIGURE)
    assert stage.robot.change_state(Transition.TRANSITION_ACTIVATE)


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
    Row("model server cuts the stop string out of its replies", cuts, ("FOUND",), setup=SERVER),
    Row("model server ends its streams in odd ways", odd_ends, ("FOUND",), setup=SERVER),
    Row(
        "model server does not end its stream behind the reply",
        second_reply(Say(FINISH, after=len(pieces_of(FINISH)))),
        ("FOUND",),
        setup=SERVER,
    ),
    Row(
        "model server's engine hangs, its health is good",
        engine_hangs,
        SPENT,
        setup=SERVER,
        note="found when the node is configured",
    ),
)
