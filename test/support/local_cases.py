"""Tiny checkpoints on disk, policies over them, and chats to try them with."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from transformers import PreTrainedModel

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message, Picture, Role, Text
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.policies.family import Family
from rsagent_ros.policies.local.checkpoint import Checkpoint, load_checkpoint
from rsagent_ros.policies.local.config import LocalConfig
from rsagent_ros.policies.local.policy import LocalConversation, LocalPolicy
from rsagent_ros.weights.tiny import save_tiny

SHAPES = ((4, 7), (6, 3), (5, 5))
"""Rows and columns of tokens of the pictures of three turns."""


@cache
def _kept_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tiny_checkpoints_")


@cache
def tiny_folder(family: Family) -> Path:
    """A tiny checkpoint of the family; not to be changed."""
    folder = Path(_kept_folder().name) / f"tiny-{family.model_type}"
    save_tiny(family, folder)
    return folder


@cache
def tiny_checkpoint(family: Family) -> Checkpoint:
    """The same, loaded."""
    return load_checkpoint(LocalConfig(str(tiny_folder(family)), device="cpu"))


def tiny_policy(family: Family, **options: Any) -> LocalPolicy:
    """A policy over it with small pictures."""
    return LocalPolicy(tiny_checkpoint(family), _config(family, options))


def _config(family: Family, options: dict[str, Any]) -> LocalConfig:
    return LocalConfig(str(tiny_folder(family)), **{"side": 224, "device": "cpu", **options})


def picture(family: Family, rows: int, columns: int, seed: int = 0, kind: Any = "view") -> Picture:
    """Noise of that many tokens."""
    shape = (rows * family.multiple, columns * family.multiple, 3)
    return Picture(np.random.default_rng((seed, rows, columns)).integers(0, 256, shape, dtype=np.uint8), kind)


def says(role: Role, *parts: str | Picture) -> Message:
    """A message."""
    return Message(role, tuple(Text(part) if isinstance(part, str) else part for part in parts))


def turns(family: Family, count: int = 3, seed: int = 0) -> list[list[Message]]:
    """New messages of some turns: a picture in each, of another shape than the one before."""
    chats = [
        [says("user", f'{{"turns_left": {count - turn}}}', picture(family, *SHAPES[turn % 3], seed + turn))]
        for turn in range(count)
    ]
    return [[says("system", "You find things in a picture."), *chats[0]], *chats[1:]]


def ask(
    conversation: LocalConversation, messages: list[Message], tokens: int = 12, cancel: CancelToken | None = None
) -> Reply:
    """A reply without a deadline."""
    return conversation.reply(messages, limits=ReplyLimits(tokens, math.inf), cancel=cancel or CancelToken())


class FaultyModel(torch.nn.Module):
    """A real model that may be made to say a script, and to fail.

    Attributes:
        script: Ids to say one after the other, whatever is read; then what the model itself says.
        faults: For each forward pass, what happens first: an error to raise, or a function to call.
        nan_from: Forward pass from which on all logits are NaN.
        passes: (rows, tokens) of every forward pass.
    """

    def __init__(self, model: PreTrainedModel, script: Sequence[int] = ()) -> None:
        super().__init__()
        self.model = model
        self.config, self.device, self.dtype = model.config, model.device, model.dtype
        self.script = list(script)
        self.faults: dict[int, Exception | Callable[[], None]] = {}
        self.nan_from = math.inf
        self.passes: list[tuple[int, int]] = []

    def forward(self, **inputs: Any) -> Any:
        number = len(self.passes)
        self.passes.append(tuple(inputs["input_ids"].shape))
        fault = self.faults.get(number)
        if isinstance(fault, Exception):
            # Half-way through, as memory runs out: some layers have written to the cache already.
            self.model(**inputs)
            raise fault
        if fault is not None:
            fault()
        output = self.model(**inputs)
        if self.script:
            output.logits[:, -1] = torch.where(torch.arange(output.logits.shape[-1]) == self.script.pop(0), 50.0, -50.0)
        if number >= self.nan_from:
            output.logits[:] = torch.nan
        return output


def faulty_policy(family: Family, said: str | Sequence[int] = (), **options: Any) -> tuple[LocalPolicy, FaultyModel]:
    """A policy over a faulty model that first says this, and the model."""
    checkpoint = tiny_checkpoint(family)
    model = FaultyModel(checkpoint.model, checkpoint.vocabulary.encode(said) if isinstance(said, str) else said)
    return LocalPolicy(replace(checkpoint, model=cast(PreTrainedModel, model)), _config(family, options)), model
