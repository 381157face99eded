"""The policy that asks a model behind an OpenAI-compatible server: vLLM first, any other as far as it goes.

    policy = ChatServerPolicy(ChatServerConfig(model="Qwen/Qwen2.5-VL-7B-Instruct"))
    policy.check()                      # is it there, and does it serve that model?
    result = drive(Episode(frame, "the red mug", segmenter, pictures=policy.pictures), policy)

`requester` decides what is sent again after a failure, `failures` what each failure means to a user.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.policy import ReplyLimits
from rsagent_ros.policies.chat_server.client import Client
from rsagent_ros.policies.chat_server.config import ChatServerConfig
from rsagent_ros.policies.chat_server.conversation import ChatServerConversation
from rsagent_ros.policies.chat_server.failures import RequestFailed, explained, unavailable
from rsagent_ros.policies.chat_server.grammar_check import QUESTION, broken_grammar
from rsagent_ros.policies.chat_server.requester import Requester
from rsagent_ros.policies.chat_server.stream import StreamedReply

log = logging.getLogger(__name__)

_MOST_NAMED = 10


class _Model(msgspec.Struct):
    id: str
    parent: Any = None
    max_model_len: Any = None


class _Models(msgspec.Struct):
    data: list[Any] | None = None


@dataclass(frozen=True)
class Served:
    """The facts that a healthy server states about itself.

    Attributes:
        models: Names it serves, LoRA adapters included; empty where a server keeps no list.
        context: Tokens that fit into one chat, replies included; None where it does not say.
    """

    models: tuple[str, ...]
    context: int | None


class ChatServerPolicy:
    """Asks a chat server. Thread-safe: many conversations at the same time, each in a thread of its own.

    Attributes:
        config: As given.
        name: `chat_server:` and the model.
        pictures: Pictures and coordinates as the model wants them.
    """

    def __init__(self, config: ChatServerConfig) -> None:
        """Read the API key; nothing is sent yet.

        Raises:
            ValueError: The file of the API key is of no use.
        """
        self.config = config
        self.name = f"chat_server:{config.model}"
        self.pictures = config.pictures
        self._client = Client(config)
        self._requester = Requester(self._client, config)
        self._opened = itertools.count()

    def open(self, seed: int | None = None) -> ChatServerConversation:
        """Begin a conversation; nothing is sent yet.

        Args:
            seed: Of its sampling; without one, the config's and the number of the conversation.
        """
        number = next(self._opened)
        if seed is None and self.config.seed >= 0:
            seed = self.config.seed + number
        return ChatServerConversation(self._client, self._requester, self.config, seed)

    def check(self, seconds: float = 5.0, engine_seconds: float = 30.0) -> Served:
        """Ask the server whether it is well and serves the model, and have it say one token.

        The token is asked for as in a goal, so the server compiles the tool grammar here; that it keeps to grammars is
        tried on a short text. The log warns where it does not. Blocks for `seconds` and `engine_seconds` at most.

        Raises:
            RunFailed: MODEL_UNAVAILABLE, with what to do about it.
        """
        served = self._client.run(self._served(), time.monotonic() + seconds, lambda: False)
        if not isinstance(served, Served):
            raise unavailable(self.config, f"did not answer within {seconds:g} s")
        # A server may say that all is well while its engine hangs.
        deadline = time.monotonic() + engine_seconds
        if self._client.run(self._tried(deadline), deadline, lambda: False) is not None:
            what = f"says that it is well, and gave no token within {engine_seconds:g} s"
            raise unavailable(self.config, f"{what}: its engine hangs or is overloaded; restart it")
        return served

    def close(self) -> None:
        """Close the connections; replies under way are broken off as canceled."""
        self._client.close()

    async def _tried(self, deadline: float) -> None:
        """Have the engine work, with the grammar where replies are held to it.

        A refusal is an answer too, and goals will tell what it is about.
        """
        streamed = StreamedReply()
        try:
            limits = ReplyLimits(1, deadline, self.pictures.tools)
            await self._requester.request(QUESTION, None, limits, streamed)
        except RunFailed as failure:
            if failure.code is ErrorCode.MODEL_UNAVAILABLE and not streamed.text:
                raise
            return
        if not self._requester.holds_grammar:
            return
        try:
            broken = await broken_grammar(self._client, self.config)
        except (RequestFailed, RunFailed, msgspec.ValidationError) as error:
            log.debug("the grammars of the model server at %s can't be tried: %s", self.config.base_url, error)
            return
        if broken:
            log.warning("the model server at %s %s", self.config.base_url, broken)

    async def _served(self) -> Served:
        try:
            listed = _readable(msgspec.convert(await self._client.models(), _Models).data or [])
        except RequestFailed as error:
            raise error.failure from None
        except msgspec.ValidationError as error:
            raise explained(error, self.config, "", answering=True).failure from None
        models = {model.id: model for model in listed}
        if models and self.config.model not in models:
            known = ", ".join(list(models)[:_MOST_NAMED]) + (", ..." if len(models) > _MOST_NAMED else "")
            raise unavailable(self.config, f"serves {known}; {self.config.model!r} is not among them")
        model = models.get(self.config.model)
        if model is not None and model.max_model_len is None:
            model = models.get(str(model.parent))  # an adapter has the context of what it is an adapter for
        context = None if model is None else model.max_model_len
        return Served(tuple(models), context if isinstance(context, int) else None)


def _readable(cards: Sequence[object]) -> list[_Model]:
    """The models of a list that can be read: one odd entry hides no other.

    Raises:
        msgspec.ValidationError: There are entries, and none can be read.
    """
    models, error = [], None
    for card in cards:
        try:
            models.append(msgspec.convert(card, _Model))
        except msgspec.ValidationError as odd:
            error = odd
    if error is not None and not models:
        raise error
    return models
