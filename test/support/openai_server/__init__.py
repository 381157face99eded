"""A chat server for tests: speaks OpenAI's protocol over HTTP as vLLM does, says what it is told, faults to inject.

`with OpenAIServer(["...", Say(SEGMENT, after=3, then="drop"), Fail(429)]) as server:` answers the first request with
the first step, and every one behind the script with the last. It refuses any field that vLLM does not have, and counts
its prefix cache as vLLM does: whole blocks of equal tokens from the start.
"""

from openai_server.schema import picture_bytes, pieces_of, prompt_tokens
from openai_server.server import OpenAIServer
from openai_server.steps import MODEL, Fail, Raw, Say, Seen, Step

__all__ = [
    "MODEL",
    "Fail",
    "OpenAIServer",
    "Raw",
    "Say",
    "Seen",
    "Step",
    "picture_bytes",
    "pieces_of",
    "prompt_tokens",
]
