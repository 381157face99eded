"""A chat server for each test, and what every test of the chat server's policy needs."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from openai_server import OpenAIServer


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    """A server that is up; the test fails if it was ever sent what vLLM does not know."""
    from openai_server import OpenAIServer  # needs the package openai, without which the tests here are skipped

    with OpenAIServer() as running:
        yield running
        assert running.complaints == []


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port on which connections are taken and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
