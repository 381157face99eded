"""An episode as one training sequence: the very tokens that the local policy reads and says, and which carry loss.

Tokens come from `policies.local.transcript`, which the robot uses too; nothing is tokenised in another way, so what is
trained is what is run. Pictures are drawn again from the trace and its frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_ros.policies.local.transcript import Layout, Transcript
from rsagent_ros.policies.local.vocabulary import Vocabulary

IGNORED = -100
"""The label of a token that carries no loss, in torch and transformers."""


@dataclass(frozen=True, eq=False)
class TokenSequence:
    """One episode as a model is trained on it.

    Attributes:
        name: Of the trajectory or scene, for messages.
        layout: Tokens, positions and pictures. It ends with the last reply.
        reply_spans: For each turn, the first token of its reply and the one behind its last.
        loss_mask: (tokens,) bool: which tokens carry loss.
    """

    name: str
    layout: Layout
    reply_spans: tuple[tuple[int, int], ...]
    loss_mask: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.layout.ids)

    @property
    def prompt_length(self) -> int:
        """Number of tokens before the first reply."""
        return self.reply_spans[0][0]


def sequence_of(
    trace: Trace,
    frame: NDArray[np.uint8],
    checkpoint: Checkpoint,
    *,
    name: str = "",
    learn: Sequence[bool] | None = None,
    sampled: bool = False,
) -> TokenSequence:
    """The sequence of a trace.

    Args:
        trace: With at least one turn.
        frame: The (H, W, 3) uint8 RGB frame it was about.
        checkpoint: Whose tokens.
        name: For messages.
        learn: For each turn, whether its reply carries loss; all do by default.
        sampled: The checkpoint's own model sampled the replies: their recorded ids are taken unseen.

    Raises:
        ValueError: The trace has no turns, a picture does not fit the family, or sampled ids are missing.
    """
    if not trace.turns:
        raise ValueError(f"{name}: an episode without a turn has nothing to train on")
    if trace.pictures.coordinates != checkpoint.family.coordinates:
        raise ValueError(
            f"{name}: its coordinates are {trace.pictures.coordinates}, {checkpoint.family.name} points in "
            f"{checkpoint.family.coordinates}; make the trajectories for this family"
        )
    vocabulary = checkpoint.vocabulary
    transcript = Transcript(vocabulary, checkpoint.family)
    learn = [True] * len(trace.turns) if learn is None else learn
    reply_spans: list[tuple[int, int]] = []
    new_messages: list[Message] = []
    turns = iter(trace.turns)
    for message in trace.messages(frame):
        if message.role != "assistant":
            new_messages.append(message)
            continue
        turn = next(turns)
        ids = _sampled_ids(turn, name) if sampled else reply_ids(turn, vocabulary)
        transcript.append_messages(new_messages)
        new_messages = []
        start = len(transcript.layout().ids)
        transcript.append_reply(ids)
        reply_spans.append((start, start + len(ids)))
    layout = transcript.layout()
    loss_mask = np.zeros(len(layout.ids), dtype=np.bool_)
    for (start, end), wanted in zip(reply_spans, learn, strict=True):
        loss_mask[start:end] = wanted
    return TokenSequence(name, layout, tuple(reply_spans), loss_mask)


def token_count(trace: Trace, checkpoint: Checkpoint) -> int:
    """The number of tokens of the sequence of a trace that carries no sampled ids; nothing is drawn."""
    vocabulary = checkpoint.vocabulary
    transcript = Transcript(vocabulary, checkpoint.family)
    turns = iter(trace.turns)
    new_messages: list[Message] = []
    for message in trace.outline():
        if message.role != "assistant":
            new_messages.append(message)
            continue
        transcript.append_messages(new_messages)
        new_messages = []
        transcript.append_reply(reply_ids(next(turns), vocabulary))
    return len(transcript.layout().ids)


def reply_ids(turn: Turn, vocabulary: Vocabulary) -> list[int]:
    """The ids of a reply: those that were recorded if they spell it in this vocabulary, else its text in tokens.

    A teacher of another family records ids of its own tokenizer, which mean something else here.
    """
    if turn.token_ids is not None and all(number < vocabulary.size for number in turn.token_ids):
        ids = list(turn.token_ids)
        if vocabulary.decode_reply(ids) == turn.reply:
            return ids
    return vocabulary.encode(turn.reply)


def _sampled_ids(turn: Turn, name: str) -> list[int]:
    if turn.token_ids is None:
        raise ValueError(
            f"{name}: turn {turn.index} has no recorded token ids; reinforcement learning needs the very tokens that "
            "were sampled; a server must return them, as vLLM does, and logprobs too"
        )
    return list(turn.token_ids)


def image_inputs(
    sequences: Sequence[TokenSequence], checkpoint: Checkpoint, device: torch.device
) -> dict[str, torch.Tensor]:
    """The pictures of all sequences, one after the other, as the model takes them: empty where there are none.

    Returns:
        `pixel_values` (patches, values of a patch) float32 and `image_grid_thw` (pictures, 3) int64.
    """
    pictures = [picture for sequence in sequences for picture in sequence.layout.pictures]
    if not pictures:
        return {}
    patches = checkpoint.patches
    return {
        "pixel_values": torch.cat([patches.cut(picture.pixels, device, torch.float32) for picture in pictures]),
        "image_grid_thw": torch.tensor(
            [(1, picture.rows * patches.merge, picture.columns * patches.merge) for picture in pictures], device=device
        ),
    }


def padded(rows: Sequence[Sequence[int]], value: int, *, left: bool = False) -> torch.Tensor:
    """Rows of different lengths as one (rows, longest) int64 tensor."""
    longest = max(map(len, rows))
    table = torch.full((len(rows), longest), value, dtype=torch.long)
    for number, row in enumerate(rows):
        place = slice(longest - len(row), longest) if left else slice(len(row))
        table[number, place] = torch.tensor(row, dtype=torch.long)
    return table


def collate(sequences: Sequence[TokenSequence], checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    """A batch for supervised training, on the CPU: padded on the right, labels only on tokens that carry loss.

    Positions are left to the model, which counts them as the transcript does when it is told which tokens are
    pictures (`mm_token_type_ids`); a test holds the two together.
    """
    ids = [sequence.layout.ids for sequence in sequences]
    labels = [np.where(sequence.loss_mask, sequence.layout.ids, IGNORED).tolist() for sequence in sequences]
    filled = padded(ids, checkpoint.vocabulary.message_end)
    attention = padded([[1] * len(row) for row in ids], 0)
    return {
        "input_ids": filled,
        "attention_mask": attention,
        "labels": padded(labels, IGNORED),
        "mm_token_type_ids": ((filled == checkpoint.vocabulary.picture) & (attention == 1)).long(),
        **image_inputs(sequences, checkpoint, torch.device("cpu")),
    }
