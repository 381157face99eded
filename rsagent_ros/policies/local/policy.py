"""The policy over a model in this process: conversations, batches of them, and what happens when memory is full."""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import torch

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message, Picture, Text
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.policy import Conversation, Reply, ReplyLimits, Stop
from rsagent_ros.devices import is_full
from rsagent_ros.policies.local.cache import KVCache
from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_ros.policies.local.compiled import CompiledDecoder
from rsagent_ros.policies.local.config import LocalConfig
from rsagent_ros.policies.local.generation import BatchRow, Engine
from rsagent_ros.policies.local.sampling import Sampling
from rsagent_ros.policies.local.transcript import Transcript

log = logging.getLogger(__name__)

POLL = 0.02
"""Seconds between looks at cancel and deadline while another thread uses the model."""


class LocalPolicy:
    """A checkpoint as policy. May be used from any thread; the model itself answers one call after the other.

    Attributes:
        name: The checkpoint's folder, and the adapter's.
        pictures: Pictures that the model was trained on.
        checkpoint: The model and what belongs to it.
        context: Most tokens of one conversation.
    """

    def __init__(self, checkpoint: Checkpoint, config: LocalConfig) -> None:
        """Take a loaded checkpoint; the model of one that is in training must be in eval mode for every reply."""
        self.name = f"local/{checkpoint.name}"
        trained = checkpoint.trained
        self.pictures: PictureFormat = checkpoint.family.pictures(config.side, trained.overlay, trained.tools)
        self.checkpoint = checkpoint
        self.context = min(config.context, checkpoint.context)
        self._seed = config.seed
        self._numbers = itertools.count()
        compiled = CompiledDecoder(checkpoint.model, self.context) if config.compile else None
        self._engine = Engine(checkpoint, Sampling(config.temperature, config.top_p), compiled)
        self._busy = threading.Lock()
        self._opening = threading.Lock()
        self._conversations: weakref.WeakSet[LocalConversation] = weakref.WeakSet()

    def open(self, seed: int | None = None) -> LocalConversation:
        """Begin a conversation.

        Args:
            seed: Decides every sample in it; without one, the policy's seed and the number of the conversation do.
                The same seed and messages give the same replies on the same device.
        """
        if seed is None:
            mixed = np.random.SeedSequence((self._seed, next(self._numbers))).generate_state(1, np.uint64)
            seed = int(mixed[0])
        generator = torch.Generator(self.checkpoint.model.device).manual_seed(seed)
        conversation = LocalConversation(self, generator)
        with self._opening:
            self._conversations.add(conversation)
        return conversation

    def reply_batch(
        self,
        conversations: Sequence[Conversation],
        new_messages: Sequence[list[Message]],
        *,
        limits: Sequence[ReplyLimits],
        cancel: CancelToken,
    ) -> list[Reply]:
        """One reply for each conversation, in order, computed together; like `Conversation.reply` otherwise.

        Raises:
            RunFailed: As there, for any of them; none has a reply then.
            TypeError: A conversation of another policy.
        """
        started = time.monotonic()
        talks = [talk for talk in conversations if isinstance(talk, LocalConversation) and talk.policy is self]
        if len(talks) < len(conversations):
            raise TypeError(f"{self.name} answers only conversations that it opened itself")
        for talk, messages in zip(talks, new_messages, strict=True):
            talk.append_messages(messages)
        while not self._busy.acquire(timeout=POLL):
            if cancel.is_set or time.monotonic() >= max(limit.deadline for limit in limits):
                stop: Stop = "cancel" if cancel.is_set else "deadline"
                return [Reply("", stop, seconds=time.monotonic() - started) for _ in talks]
        try:
            rows = self._answer(talks, limits, cancel)
        finally:
            self._busy.release()
        decode_reply = self.checkpoint.vocabulary.decode_reply
        return [
            Reply(
                decode_reply(row.sampled),
                row.stop or "call",
                token_ids=tuple(row.sampled),
                logprobs=tuple(row.logprobs),
                prompt_tokens=row.prompt_tokens,
                cached_tokens=row.cached_tokens,
                sampled_tokens=len(row.sampled),
                seconds=row.ended - started,
                picture_sizes=talk.transcript.picture_sizes,
            )
            for talk, row in zip(talks, rows, strict=True)
        ]

    def warm_up(self) -> None:
        """Read the largest picture and compute one token. Blocks; compiles where that is asked for.

        Raises:
            RunFailed: OUT_OF_MEMORY: not even that fits.
        """
        side = self.pictures.size(self.pictures.side, self.pictures.side)[0]
        black = Picture(np.zeros((side, side, 3), np.uint8), "view")
        with closing(self.open(seed=0)) as conversation, self._busy:
            conversation.append_messages([Message("user", (Text("What is there?"), black))])
            row = conversation.row(ReplyLimits(1, math.inf))
            try:
                self._engine.warm_up(row)
            except (RuntimeError, MemoryError) as error:
                if not is_full(error):
                    raise
                raise self._out_of_memory() from error

    def _answer(
        self, talks: Sequence[LocalConversation], limits: Sequence[ReplyLimits], cancel: CancelToken
    ) -> list[BatchRow]:
        """Sample the replies; where memory is full, free what can be freed and try once more with less."""
        states = [talk.generator.get_state() for talk in talks]
        if (rows := self._try(talks, limits, cancel)) is not None:
            return rows
        self._free()
        for talk, state in zip(talks, states, strict=True):
            talk.generator.set_state(state)
        if len(talks) > 1:
            log.warning("%s: out of memory with %d conversations at once; now one by one", self.name, len(talks))
            return [self._answer([one], [limit], cancel)[0] for one, limit in zip(talks, limits, strict=True)]
        if talks[0].transcript.halve_pictures():
            sizes = ", ".join(f"{width} x {height}" for width, height in talks[0].transcript.picture_sizes)
            log.warning("%s: out of memory; it goes on with smaller pictures (%s pixels)", self.name, sizes)
        else:
            log.warning("%s: out of memory; once more from scratch", self.name)
        if (rows := self._try(talks, limits, cancel)) is not None:
            return rows
        self._free()
        raise self._out_of_memory()

    def _try(
        self, talks: Sequence[LocalConversation], limits: Sequence[ReplyLimits], cancel: CancelToken
    ) -> list[BatchRow] | None:
        """Sample the replies; None when the device's memory is full."""
        rows = [talk.row(limit) for talk, limit in zip(talks, limits, strict=True)]
        try:
            self._engine.run(rows, cancel)
        except (RuntimeError, MemoryError) as error:
            if not is_full(error):
                raise
            # Not handled in here: the error's traceback holds on to the tensors that are to be freed.
            return None
        for talk, row in zip(talks, rows, strict=True):
            talk.take_over(row)
        return rows

    def _free(self) -> None:
        """Let go of every conversation's keys and values; their next reply reads them again."""
        with self._opening:
            conversations = list(self._conversations)
        for conversation in conversations:
            conversation.forget()
        if self.checkpoint.model.device.type == "cuda":
            torch.cuda.empty_cache()

    def _out_of_memory(self) -> RunFailed:
        return RunFailed(
            ErrorCode.OUT_OF_MEMORY,
            f"{self.name}: the memory of {self.checkpoint.model.device} is full, also on a second try with less; lower "
            f"side ({self.pictures.side}) or context ({self.context}), or use a smaller checkpoint",
        )


class LocalConversation:
    """One episode's talk.

    Attributes:
        policy: Who opened it.
        transcript: All messages and replies.
        generator: Its random numbers.
    """

    def __init__(self, policy: LocalPolicy, generator: torch.Generator) -> None:
        self.policy = policy
        self.transcript = Transcript(policy.checkpoint.vocabulary, policy.checkpoint.family)
        self.generator = generator
        self._cache: KVCache = []
        self._closed = False

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """Answer; heeds limits and cancel between any two tokens, and while another conversation is answered.

        Raises:
            RunFailed: CONTEXT_TOO_LONG, before anything is computed; OUT_OF_MEMORY, after a second try with smaller
                pictures; POLICY_FAILED: a picture that does not fit the family, or damaged weights.
        """
        return self.policy.reply_batch([self], [new_messages], limits=[limits], cancel=cancel)[0]

    def close(self) -> None:
        """Free what the conversation holds; a reply that is still being said frees it when it ends."""
        self._closed = True
        self.forget()

    def append_messages(self, messages: list[Message]) -> None:
        """Take in the messages to be answered."""
        if self._closed:
            raise RuntimeError("the conversation is closed; open another")
        try:
            self.transcript.append_messages(messages)
        except ValueError as error:
            raise RunFailed(ErrorCode.POLICY_FAILED, f"{self.policy.name}: {error}") from error

    def row(self, limits: ReplyLimits) -> BatchRow:
        """The reply that is due, with the cache; that is the row's until `take_over`.

        Raises:
            RunFailed: There is no room for a reply.
        """
        layout = self.transcript.layout()
        room = self.policy.context - len(layout.ids)
        if room < 1:
            raise RunFailed(
                ErrorCode.CONTEXT_TOO_LONG,
                f"{self.policy.name}: the conversation has {len(layout.ids)} tokens, which leaves no room for a "
                f"reply in a context of {self.policy.context}; raise context, or lower side or the number of turns",
            )
        cache, self._cache = self._cache, []
        return BatchRow(layout, cache, self.generator, replace(limits, max_tokens=min(limits.max_tokens, room)))

    def take_over(self, row: BatchRow) -> None:
        """Remember the reply."""
        self.transcript.append_reply(row.sampled)
        self._cache = [] if self._closed else row.cache

    def forget(self) -> None:
        """Let go of keys and values."""
        self._cache = []
