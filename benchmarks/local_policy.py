"""Savings of the kept KV cache: conversations of eight turns with a tiny random model on one CPU core.

The chat has the sizes of a real goal: a picture of 756 x 560, 7 overlays of 392 x 392, 100 tokens a reply. The model
has not, so only ratios mean something; `gpu_policy.py` measures the real size on a GPU.
"""

from __future__ import annotations

import math
import statistics
import tempfile
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from entry import Entry, at_most, not_here, reported

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message, Picture, Text
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.policies.family import QWEN2_5_VL
from rsagent_ros.policies.local import LocalConfig, load_local_policy

if TYPE_CHECKING:
    from rsagent_ros.policies.local.policy import LocalPolicy

TURNS = 8
TOKENS = 100
CONVERSATIONS = 5
HITS = 95.0
GROWTH = 1.5


def run() -> list[Entry]:
    """Measure; about ten seconds."""
    try:
        import torch

        from rsagent_ros.weights.tiny import save_tiny
    except ImportError as error:
        return [not_here("local policy", f"{error}; pip install -e '.[models]'")]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        save_tiny(QWEN2_5_VL, Path(folder) / "tiny")
        policy = load_local_policy(LocalConfig(str(Path(folder) / "tiny"), device="cpu"))
    # Every reply has its full length: nothing that a random model happens to say ends it.
    policy.checkpoint.vocabulary.stop_ids = frozenset()
    kept = [_conversation(policy, keep=True) for _ in range(CONVERSATIONS)]
    afresh = [_conversation(policy, keep=False) for _ in range(CONVERSATIONS)]
    known = sum(before.prompt_tokens + before.sampled_tokens for before in kept[0][:-1])
    hits = sum(reply.cached_tokens for reply in kept[0][1:])
    return [
        Entry(
            "local policy, cache hits among tokens of earlier turns",
            round(100 * hits / known, 2),
            "%",
            f">= {HITS:g}",
            100 * hits / known >= HITS,
            f"{hits} of {known} in turns 2 to {TURNS}",
        ),
        at_most("local policy, turn 8 over turn 2, cache kept", _growth(kept), "x", GROWTH, _by_turn(kept)),
        reported("local policy, turn 8 over turn 2, all read again", _growth(afresh), "x", _by_turn(afresh)),
    ]


def _conversation(policy: LocalPolicy, *, keep: bool) -> list[Reply]:
    replies = []
    with closing(policy.open(seed=0)) as conversation:
        for turn in range(TURNS):
            if not keep:
                conversation.forget()
            messages = [Message("user", (Text(f'{{"turns_left": {TURNS - turn}}}'), _picture(turn)))]
            limits = ReplyLimits(TOKENS, math.inf)
            replies.append(conversation.reply(messages, limits=limits, cancel=CancelToken()))
    return replies


def _picture(turn: int) -> Picture:
    shape = (560, 756, 3) if turn == 0 else (392, 392, 3)
    pixels = np.random.default_rng(turn).integers(0, 256, shape, dtype=np.uint8)
    return Picture(pixels, "view" if turn == 0 else "overlay")


def _growth(conversations: list[list[Reply]]) -> float:
    return statistics.median(replies[-1].seconds / replies[1].seconds for replies in conversations)


def _by_turn(conversations: list[list[Reply]]) -> str:
    turns = zip(*conversations, strict=True)
    times = [statistics.median(reply.seconds for reply in replies) for replies in turns]
    return "ms by turn: " + ", ".join(f"{1000 * seconds:.0f}" for seconds in times)
