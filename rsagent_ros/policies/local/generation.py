"""From laid-out conversations to sampled replies: read what is new, then one token at a time until each row ends.

Rows of one batch don't know of each other: each has its own cache, limits and random numbers, ends when it ends, and
says what it would say alone (up to the rounding of the arithmetic).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.policy import ReplyLimits, Stop
from rsagent_ros.policies.local.cache import KVCache, cached_tokens
from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_ros.policies.local.compiled import CompiledDecoder
from rsagent_ros.policies.local.decoder import Decoder, GrowingDecoder
from rsagent_ros.policies.local.sampling import Sampling, banned_ids
from rsagent_ros.policies.local.transcript import Layout

MAX_PREFILL_TOKENS = 16_384
"""Most tokens, padding included, of several rows in one forward pass; a longer row goes alone. Bounds memory."""


@dataclass(eq=False)
class BatchRow:
    """One reply in the making.

    Attributes:
        layout: The conversation up to here.
        cache: Keys and values of its first tokens; once it has ended, of all but the last that was sampled.
        generator: Its random numbers.
        limits: Its tokens and time.
        prompt_tokens, cached_tokens: Tokens of the layout, and of these the cached ones; 0 until it is read.
        sampled, logprobs: Tokens so far.
        stop: Reason of its end; None until then.
        ended: `time.monotonic()` of that.
    """

    layout: Layout
    cache: KVCache
    generator: torch.Generator
    limits: ReplyLimits
    prompt_tokens: int = 0
    cached_tokens: int = 0
    sampled: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    stop: Stop | None = None
    ended: float = 0.0

    @property
    def position(self) -> int:
        """Position of the newest sampled token, the same along all three axes."""
        return int(self.layout.positions[0, -1]) + len(self.sampled)

    def end(self, stop: Stop) -> None:
        """Sample nothing more."""
        self.stop = stop
        self.ended = time.monotonic()


class Engine:
    """Runs the model of a checkpoint. Not for several threads at a time."""

    def __init__(self, checkpoint: Checkpoint, sampling: Sampling, compiled: CompiledDecoder | None = None) -> None:
        """Prepare; `compiled` decodes single rows where it is given."""
        self._checkpoint = checkpoint
        self._sampling = sampling
        self._compiled = compiled
        known = checkpoint.vocabulary
        self._banned = banned_ids(checkpoint.logits, known.vision_ids, known.size, checkpoint.model.device)

    @torch.inference_mode()
    def run(self, rows: Sequence[BatchRow], cancel: CancelToken) -> None:
        """Sample a reply in every row. Blocks until all have ended; rows are changed in place.

        Args:
            rows: After an error, their caches are of no use.
            cancel: Ends all rows before the next token.

        Raises:
            RuntimeError, MemoryError: Memory is full, if `devices.is_full` says so.
            RunFailed: The model computes numbers that are not finite.
        """
        going = [row for row in rows if not _broken_off(row, cancel)]
        if not going:
            return
        logits = torch.cat([self._read(group) for group in _groups(going)])
        decoder = self._decoder(going)
        while True:
            self._sample(logits, going)
            staying = []
            for number, row in enumerate(going):
                if row.stop is None and not _broken_off(row, cancel):
                    staying.append(number)
                else:
                    row.cache = decoder.take(number)
            if not staying:
                return
            if len(staying) < len(going):
                decoder.keep(staying)
                going = [going[number] for number in staying]
            logits = decoder.step([row.sampled[-1] for row in going], [row.position for row in going])

    @torch.inference_mode()
    def warm_up(self, row: BatchRow) -> None:
        """Read a row and compute one step after it, for the time and memory that the first ones take."""
        self._read([row])
        self._decoder([row]).step([row.layout.ids[-1]], [row.position + 1])

    def _read(self, rows: list[BatchRow]) -> torch.Tensor:
        for row in rows:
            row.prompt_tokens, row.cached_tokens = len(row.layout.ids), cached_tokens(row.cache)
        decoder = GrowingDecoder(self._checkpoint.model, [row.cache for row in rows])
        logits = decoder.read(
            [row.layout for row in rows], [row.cached_tokens for row in rows], self._checkpoint.patches
        )
        for number, row in enumerate(rows):
            row.cache = decoder.take(number)
        return logits

    def _decoder(self, rows: list[BatchRow]) -> Decoder:
        if self._compiled is not None and len(rows) == 1:
            self._compiled.load(rows[0].cache)
            return self._compiled
        return GrowingDecoder(self._checkpoint.model, [row.cache for row in rows])

    def _sample(self, logits: torch.Tensor, rows: list[BatchRow]) -> None:
        """Pick the next token of every row."""
        picked = self._sampling.pick(logits, self._banned, [row.generator for row in rows])
        vocabulary = self._checkpoint.vocabulary
        for row, token, logprob in zip(rows, *picked, strict=True):
            if not math.isfinite(logprob):
                raise RunFailed(
                    ErrorCode.POLICY_FAILED,
                    f"{self._checkpoint.name} computes numbers that are not finite; use dtype bfloat16 or float32, and "
                    "get the weights again if that does not help",
                )
            row.sampled.append(token)
            row.logprobs.append(logprob)
            if token in vocabulary.stop_ids or vocabulary.closes_call(row.sampled):
                row.end("call")
            elif len(row.sampled) >= row.limits.max_tokens:
                row.end("length")


def _broken_off(row: BatchRow, cancel: CancelToken) -> bool:
    """End a row whose goal was cancelled or whose time is over; returns whether it was."""
    if cancel.is_set:
        row.end("cancel")
    elif time.monotonic() >= row.limits.deadline:
        row.end("deadline")
    return row.stop is not None


def _groups(rows: list[BatchRow]) -> Iterator[list[BatchRow]]:
    """The rows in order, in as few groups as one forward pass each can read."""
    group: list[BatchRow] = []
    longest = 0
    for row in rows:
        new = len(row.layout.ids) - cached_tokens(row.cache)
        if group and max(longest, new) * (len(group) + 1) > MAX_PREFILL_TOKENS:
            yield group
            group, longest = [], 0
        group.append(row)
        longest = max(longest, new)
    yield group
