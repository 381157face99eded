"""Messages as the OpenAI protocol writes them. Each is encoded once; every later request sends the same bytes."""

from __future__ import annotations

import base64
from typing import Any

import cv2

from rsagent_ros.agent.chat import Message, Picture, Text


def encoded(message: Message) -> dict[str, Any]:
    """A message as JSON: text alone as a string, text and pictures as a list of parts in the order of the message."""
    if not message.pictures:
        return {"role": message.role, "content": message.text}
    return {"role": message.role, "content": [_part(part) for part in message.parts]}


def _part(part: Text | Picture) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image_url", "image_url": {"url": data_url(part)}}


def data_url(picture: Picture) -> str:
    """The picture as a PNG: what the model sees are exactly the pixels that were drawn."""
    bgr = cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2BGR)
    done, png = cv2.imencode(".png", bgr)
    if not done:
        raise RuntimeError(f"OpenCV could not encode a picture of {picture.pixels.shape}")
    return "data:image/png;base64," + base64.b64encode(png.tobytes()).decode("ascii")
