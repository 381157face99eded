"""The model families a policy may be of: what sizes of pictures and which coordinates each was trained on.

All that differs between them for the agent stands here; `PictureFormat` carries it to the episode, which draws the
pictures and reads the numbers. Imports no model code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rsagent_ros.agent.actions import ALL_TOOLS, ToolSet
from rsagent_ros.agent.pictures import OverlayShape, PictureFormat

MESSAGE_START = "<|im_start|>"
MESSAGE_END = "<|im_end|>"
END_OF_TEXT = "<|endoftext|>"
PICTURE_START = "<|vision_start|>"
PICTURE_END = "<|vision_end|>"
PICTURE = "<|image_pad|>"
"""Stands once in the text for a picture, and once in the token ids for each of its tokens."""
VISION_TOKENS = (PICTURE_START, PICTURE_END, "<|vision_pad|>", PICTURE, "<|video_pad|>")
"""Tokens that a model may read but must never say: a sampled one would stand for a picture that is not there."""

CHAT_TEMPLATE = Path(__file__).with_name("chat_template.jinja")
"""The text form of messages, for a model server and for training; the stock templates drop earlier thoughts."""


@dataclass(frozen=True, slots=True)
class Family:
    """One family of vision-language models.

    Attributes:
        name: As people write it.
        model_type: As its checkpoints' config.json writes it.
        multiple: Sides of pictures are whole multiples of this many pixels; a square of that side is one token.
        coordinates: The unit in which it was trained to point: `pixels` of the picture it sees, or `thousandths` of it.
        box_name: The name that a box has in its training.
    """

    name: str
    model_type: str
    multiple: int
    coordinates: Literal["thousandths", "pixels"]
    box_name: str

    def pictures(self, side: int = 768, overlay: OverlayShape = "view", tools: ToolSet = ALL_TOOLS) -> PictureFormat:
        """The format of pictures whose longest side is at most this many pixels.

        Args:
            side: Of clean pictures, pixels.
            overlay: Shape of the overlays that the model was trained with.
            tools: Those that it was trained with.

        Raises:
            ValueError: The side is smaller than one multiple.
        """
        return PictureFormat(side, self.multiple, self.coordinates, overlay, self.box_name, tools=tools)

    def picture_tokens(self, width: int, height: int) -> int:
        """The number of tokens of a picture of this size in pixels, without the two around it.

        Raises:
            ValueError: A side is not a positive multiple: nobody may resize a picture after it was drawn.
        """
        if min(width, height) < 1 or width % self.multiple or height % self.multiple:
            raise ValueError(
                f"a picture of {width} x {height}; {self.name} needs sides that are multiples of {self.multiple}"
            )
        return (width // self.multiple) * (height // self.multiple)


QWEN2_5_VL = Family("Qwen2.5-VL", "qwen2_5_vl", 28, "pixels", "bbox_2d")
QWEN3_VL = Family("Qwen3-VL", "qwen3_vl", 32, "thousandths", "bbox_2d")
FAMILIES = (QWEN2_5_VL, QWEN3_VL)


def family_of(model_type: str) -> Family:
    """The family of a checkpoint, by the `model_type` of its config.json.

    Raises:
        ValueError: None of them; the message names those there are.
    """
    for family in FAMILIES:
        if family.model_type == model_type:
            return family
    known = " or ".join(f"{family.model_type} ({family.name})" for family in FAMILIES)
    raise ValueError(f"the model type is {model_type!r}; this agent knows {known}")
