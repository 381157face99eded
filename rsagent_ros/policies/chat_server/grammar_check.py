"""A check that a server keeps to a grammar, on a text that only a grammar makes it say.

vLLM passes over fields that it does not know, so a slip in one takes the grammar away without a word. And where one
token of the vocabulary holds several words, xgrammar (0.2.3 to 0.2.8) bars tokens that the grammar allows: a model can
then not say what it was trained to say.
"""

from __future__ import annotations

import math
import re
from contextlib import aclosing

from rsagent_ros.agent.actions import CALL_CLOSE, Finish, ReportAbsent, Segment, render
from rsagent_ros.agent.geometry import Point
from rsagent_ros.agent.policy import ReplyLimits
from rsagent_ros.policies.chat_server.client import Client
from rsagent_ros.policies.chat_server.config import ChatServerConfig
from rsagent_ros.policies.chat_server.dialect import Dialect, body
from rsagent_ros.policies.chat_server.stream import StreamedReply

QUESTION = [{"role": "user", "content": "Are you there?"}]
CALLS = (Segment(positive=(Point(500, 500),)), Finish((1,)), ReportAbsent("nothing fits"))
TEXT = "<think>Here.</think>" + "".join(render(call).removesuffix(CALL_CLOSE) for call in CALLS)
"""The calls without their ends, at which a server stops."""
MOST_TOKENS = 200
BLANK = re.compile("[ Ġ▁]")
"""A blank as vocabularies write it; behind the first character of a token, it holds several words."""
BIAS = 100
"""Largest that the protocol allows: it makes the likeliest of what the grammar allows."""


async def broken_grammar(client: Client, config: ChatServerConfig) -> str:
    """Say what is wrong with the server's grammars, as the end of a sentence about it; empty where nothing is.

    Raises:
        RequestFailed: The request came to nothing.
    """
    phrases = {token for token, words in await client.tokens(TEXT) if BLANK.search(words, 1)}
    request = body(Dialect.GRAMMAR, config, QUESTION, ReplyLimits(MOST_TOKENS, math.inf), None)
    # Only what a regular expression means otherwise: servers refuse other escapes that Python's has.
    request |= {"structured_outputs": {"regex": re.sub(r"([\[\]{}.])", r"\\\1", TEXT)}, "temperature": 0.0}
    if phrases:
        request["logit_bias"] = {str(token): BIAS for token in phrases}
    streamed = StreamedReply()
    async with aclosing(client.events(request)) as events:
        async for event in events:
            streamed.add(event)
    reply = streamed.reply("call", 0.0)
    if reply.text != TEXT:
        return (
            f"passes over the grammar (structured_outputs) that it was to keep to, and said {reply.text[:60]!r}; "
            "expect more replies that can't be read, or use vLLM 0.31 or later"
        )
    if reply.token_ids is not None and not phrases <= set(reply.token_ids):
        return (
            "bars tokens that its grammar allows, as xgrammar does where one token holds several words; start it with "
            "--structured-outputs-config.backend outlines, or set chat_server.constrained to false"
        )
    return ""
