"""Episodes as the batch that TRL's GRPO loss reads: prompts, completions, masks, pictures, advantages.

A prompt is all before the first reply, a completion all after it: observations too, which `tool_mask` keeps out of the
loss. Each token of a reply has the advantage of its turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from rsagent_ros.agent.turn import Trace
from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_training.trainer.run_folder import TrainingStopped
from rsagent_training.trainer.token_sequence import TokenSequence, image_inputs, padded

Batch = dict[str, Any]


def lay_out(
    sequences: Sequence[TokenSequence],
    advantages: Sequence[Sequence[float]],
    checkpoint: Checkpoint,
    device: torch.device,
) -> Batch:
    """Lay episodes out in TRL's names: prompts padded on the left, completions on the right.

    Args:
        sequences: One for each episode.
        advantages: One number for each turn of each episode.
        checkpoint: The policy's, for its padding and its pictures.
        device: Where the tensors go.
    """
    end = checkpoint.vocabulary.message_end
    prompts = [sequence.layout.ids[: sequence.prompt_length] for sequence in sequences]
    completions = [sequence.layout.ids[sequence.prompt_length :] for sequence in sequences]
    batch: Batch = {
        "prompt_ids": padded(prompts, end, left=True),
        "prompt_mask": padded([[1] * len(row) for row in prompts], 0, left=True),
        "completion_ids": padded(completions, end),
        "completion_mask": padded([[1] * len(row) for row in completions], 0),
        "tool_mask": padded([sequence.loss_mask[sequence.prompt_length :].tolist() for sequence in sequences], 0),
    }
    attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
    ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
    batch["mm_token_type_ids"] = ((ids == checkpoint.vocabulary.picture) & (attention == 1)).long()
    batch["advantages"] = torch.zeros(batch["completion_ids"].shape)
    for row, (sequence, turns) in enumerate(zip(sequences, advantages, strict=True)):
        for (start, stop), advantage in zip(sequence.reply_spans, turns, strict=True):
            batch["advantages"][row, start - sequence.prompt_length : stop - sequence.prompt_length] = advantage
    return {
        **{name: value.to(device) for name, value in batch.items()},
        **image_inputs(sequences, checkpoint, device),
        "num_images": [len(sequence.layout.pictures) for sequence in sequences],
        "names": [sequence.name for sequence in sequences],
    }


def recorded_logps(traces: Sequence[Trace], sequences: Sequence[TokenSequence], width: int) -> torch.Tensor:
    """(episodes, width) log-probabilities that a server recorded while it sampled; 0 where nothing was sampled.

    Args:
        traces: One for each episode.
        sequences: Of the same episodes.
        width: Tokens of the longest completion.

    Raises:
        TrainingStopped: A turn has no log-probability for each of its tokens.
    """
    recorded = torch.zeros(len(traces), width)
    for row, (trace, sequence) in enumerate(zip(traces, sequences, strict=True)):
        for turn, (start, stop) in zip(trace.turns, sequence.reply_spans, strict=True):
            if turn.logprobs is None or len(turn.logprobs) != stop - start:
                raise TrainingStopped(
                    f"turn {turn.index} on scene {sequence.name} has no log-probability for each of its tokens; "
                    "the server must give logprobs and token ids, as vLLM does"
                )
            recorded[row, start - sequence.prompt_length : stop - sequence.prompt_length] = torch.tensor(turn.logprobs)
    return recorded


def share_of_other_prompts(traces: Sequence[Trace], sequences: Sequence[TokenSequence]) -> float:
    """Share of turns whose prompt had another number of tokens on the server than here.

    The server reads earlier replies as text, and may split it into other tokens than were sampled.
    """
    pairs = [
        (turn.prompt_tokens, start)
        for trace, sequence in zip(traces, sequences, strict=True)
        for turn, (start, _) in zip(trace.turns, sequence.reply_spans, strict=True)
    ]
    return sum(theirs != ours for theirs, ours in pairs) / len(pairs)
