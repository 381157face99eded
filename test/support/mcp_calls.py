"""Calls of the MCP server's tools by the SDK's own client, and what is in their results."""

from __future__ import annotations

import base64
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import cv2
import numpy as np
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp_types import CallToolResult, ImageContent, TextContent
from numpy.typing import NDArray

PATIENCE = 60.0


def with_client(talk: Callable[[Client], Awaitable[None]], *arguments: str, **environment: str) -> None:
    """Talk to a server that runs as a program, over stdio."""
    command = ["-m", "rsagent_ros.cli", "mcp", *arguments]
    server = StdioServerParameters(command=sys.executable, args=command, env=os.environ | environment)

    async def run() -> None:
        with anyio.fail_after(PATIENCE):
            async with Client(stdio_client(server)) as client:
                await talk(client)

    anyio.run(run)


def text(result: CallToolResult) -> str:
    """The text of a result."""
    content = result.content[0]
    assert isinstance(content, TextContent)
    return content.text


def facts(result: CallToolResult) -> dict[str, Any]:
    """The JSON of a result."""
    assert not result.is_error, text(result)
    return dict(json.loads(text(result)))


def told(result: CallToolResult) -> str:
    """The sentence of a result that is an error."""
    assert result.is_error
    return text(result)


def pixels(result: CallToolResult) -> NDArray[np.uint8]:
    """The picture of a result, (h, w, 3) BGR."""
    image = result.content[1]
    assert isinstance(image, ImageContent)
    assert image.mime_type == "image/jpeg"
    decoded = cv2.imdecode(np.frombuffer(base64.b64decode(image.data), np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.asarray(decoded, dtype=np.uint8)
