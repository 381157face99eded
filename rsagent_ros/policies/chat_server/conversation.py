"""One episode's talk with a chat server.

Every request sends the whole chat again, byte for byte as before and longer at its end: that is what a server's prefix
cache hits on. How much it hit is counted by the server and recorded, never assumed.
"""

from __future__ import annotations

import time
from typing import Any

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message, Text
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.policies.chat_server.client import Client
from rsagent_ros.policies.chat_server.config import ChatServerConfig
from rsagent_ros.policies.chat_server.messages import encoded
from rsagent_ros.policies.chat_server.requester import Requester
from rsagent_ros.policies.chat_server.stream import StreamedReply
from rsagent_ros.policies.family import family_of


class ChatServerConversation:
    """One episode's talk. Used by one thread at a time, but for `close`."""

    def __init__(self, client: Client, requester: Requester, config: ChatServerConfig, seed: int | None) -> None:
        self._client = client
        self._requester = requester
        self._config = config
        self._seed = seed
        self._family = family_of(config.family)
        self._messages: list[dict[str, Any]] = []
        self._pictures = 0
        self._closed = False

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """Answer. Blocks until the reply is whole, `limits` are reached, or `cancel` is set.

        Cancel and deadline close the request at once, whatever the server does; what had come by then is the reply. A
        message of the role `assistant` among the new ones is a reply that another policy gave.

        Raises:
            RunFailed: MODEL_UNAVAILABLE, CONTEXT_TOO_LONG, or POLICY_FAILED where the server refuses the request.
            ValueError: A picture that is not of the policy's format; draw it with `policy.pictures`.
        """
        started = time.monotonic()
        for message in new_messages:
            for picture in message.pictures:
                self._family.picture_tokens(picture.pixels.shape[1], picture.pixels.shape[0])
                self._pictures += 1
            self._messages.append(encoded(message))
        if self._pictures > self._config.max_images:
            raise RunFailed(
                ErrorCode.CONTEXT_TOO_LONG,
                f"the chat holds {self._pictures} pictures and max_images is {self._config.max_images}; "
                "use fewer turns, or raise it together with the server's limit",
            )
        streamed = StreamedReply()
        stop = self._client.run(
            self._requester.request(self._messages, self._seed, limits, streamed),
            limits.deadline,
            lambda: cancel.is_set or self._closed,
        )
        reply = streamed.reply(stop, time.monotonic() - started)
        if stop == "length" and 0 < reply.sampled_tokens < limits.max_tokens and streamed.finish == "length":
            raise RunFailed(
                ErrorCode.CONTEXT_TOO_LONG,
                f"the chat of {reply.prompt_tokens} tokens left room for {reply.sampled_tokens} tokens of reply in the "
                "model's context; use fewer turns, smaller pictures or a larger context",
            )
        self._messages.append(encoded(Message("assistant", (Text(reply.text),))))
        return reply

    def close(self) -> None:
        """Forget the chat; a reply under way in another thread is broken off."""
        self._closed = True
