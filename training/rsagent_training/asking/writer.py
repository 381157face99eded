"""A vision-language model writes implicit questions about a thing that it is shown under a mask."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message, Text
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.geometry import View
from rsagent_ros.agent.mask import Mask
from rsagent_ros.agent.pictures import draw_picture
from rsagent_ros.agent.policy import ReplyLimits
from rsagent_ros.data.example import Example
from rsagent_ros.policies.chat_server import ChatServerConfig, open_chat_server
from rsagent_training.asking.config import QuestionsConfig
from rsagent_training.scene_index import SceneIndex
from rsagent_training.synthesis.attempt import AttemptSpec

_ORDER = """You write questions that test whether a robot understands what things are for.
You see a camera image, and the same image with one target lit up: what is bright, inside the magenta line, is the \
target, the rest is dark. Write {count} different questions or requests to which the target, and nothing else in the \
image, is the answer.
Each must be implicit: it takes common sense, a use, a property, or a relation to other things or people to get it. \
Never say the name of the target, its category, a synonym, or where it is in the image.
Answer with JSON alone:
{{"names": ["every name one could call the target by"], "questions": ["...", "..."]}}"""

_MOST_QUESTIONS = 50
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]


class BadWriting(ValueError):
    """A reply that holds no questions; the message says in a few words why."""


@dataclass(frozen=True)
class Written:
    """Reply of the model about one scene.

    Attributes:
        scene_id: The scene.
        reply: Word for word.
        error: Why there is no reply; empty where there is one.
    """

    scene_id: str
    reply: str
    error: str = ""


@dataclass(frozen=True)
class WriterConfig:
    """The writer's server and settings; picklable, so that every worker can open its own connection."""

    server: ChatServerConfig
    config: QuestionsConfig

    def open(self) -> Writer:
        """Connect.

        Raises:
            RunFailed: The server's client is not installed.
        """
        return Writer(self)


class Writer:
    """Asks the model, one scene at a time."""

    def __init__(self, config: WriterConfig) -> None:
        self._config = config.config
        self._policy = open_chat_server(config.server)

    def __call__(self, spec: AttemptSpec) -> bytes:
        """Ask about one scene; returns the reply as a line for the log. Blocks for `writer_seconds` at most."""
        scene = SceneIndex.cached(spec.folder)[spec.scene_id]
        limits = ReplyLimits(self._config.writer_tokens, time.monotonic() + self._config.writer_seconds)
        try:
            with closing(self._policy.open()) as conversation:
                reply = conversation.reply(self._order(scene), limits=limits, cancel=CancelToken())
            error = "" if reply.stop == "call" else f"the reply was broken off ({reply.stop})"
            written = Written(scene.id, reply.text, error)
        except RunFailed as failure:
            written = Written(scene.id, "", str(failure))
        return msgspec.json.encode(written) + b"\n"

    def _order(self, scene: Example) -> list[Message]:
        view = View.whole(scene.image.shape[1], scene.image.shape[0])
        target: Mask = np.logical_or.reduce(scene.masks)
        pictures = self._policy.pictures
        return [
            Message("system", (Text(_ORDER.format(count=self._config.per_scene)),)),
            Message(
                "user",
                (
                    draw_picture(scene.image, view, None, pictures),
                    draw_picture(scene.image, view, target, pictures),
                    Text("The image, and the target lit up."),
                ),
            ),
        ]


@dataclass(frozen=True)
class _WriterReply:
    names: list[_Text]
    questions: Annotated[list[_Text], msgspec.Meta(max_length=_MOST_QUESTIONS)]


def questions_in(reply: str) -> tuple[list[str], list[str]]:
    """Names of the target, and questions, in a reply; text around the JSON is passed over.

    Raises:
        BadWriting: It holds none.
    """
    start, end = reply.find("{"), reply.rfind("}")
    if start < 0 or end < start:
        raise BadWriting("no JSON in the reply")
    try:
        answer = msgspec.json.decode(reply[start : end + 1], type=_WriterReply)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise BadWriting("its JSON is not what was asked for") from None
    questions = [" ".join(question.split()) for question in answer.questions]
    names = [" ".join(name.split()) for name in answer.names]
    if not any(names) or not any(questions):
        raise BadWriting("no name of the target, or no question")
    return [name for name in names if name], [question for question in questions if question]
