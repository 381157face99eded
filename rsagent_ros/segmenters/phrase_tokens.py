"""Noun phrases as tokens of a network: none is cut short, and none is looked for of which the network knows nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from rsagent_ros.agent.errors import ToolFailed, describe
from rsagent_ros.checkpoint import AGAIN, unusable


class PhraseTokens:
    """The tokenizer of a network that takes words."""

    def __init__(self, tokenizer: Any, limit: int, *, padded: bool) -> None:
        """Take a tokenizer of transformers.

        Args:
            tokenizer: One that adds the special tokens of its network.
            limit: Most tokens of one phrase, the special ones included.
            padded: Whether the network wants `limit` tokens whatever the phrase.
        """
        self._tokenizer = tokenizer
        self._limit = limit
        self._padded = padded

    @staticmethod
    def load(kind: Any, folder: Path, vocabulary: int, limit: int, *, padded: bool) -> PhraseTokens:
        """Load the tokenizer of a checkpoint folder; `kind` is its class in transformers.

        Args:
            kind: CLIPTokenizer or BertTokenizer.
            folder: The folder of the checkpoint.
            vocabulary: Tokens that the network knows, by config.json.
            limit: As in `PhraseTokens`.
            padded: As in `PhraseTokens`.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: there is none, or it is another network's.
        """
        files = tuple(kind.vocab_files_names.values())
        if not any((folder / name).is_file() for name in files):
            raise unusable(f"{folder} has no tokenizer: none of {', '.join(files)} is there", AGAIN)
        try:
            tokenizer = kind.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # tokenizers and transformers each have errors of their own for a bad file
            raise unusable(f"the tokenizer in {folder} can't be read ({describe(error)})", AGAIN) from error
        if len(tokenizer) > vocabulary:
            raise unusable(
                f"the tokenizer in {folder} has {len(tokenizer)} tokens and config.json {vocabulary}: it is another "
                "model's",
                AGAIN,
            )
        return PhraseTokens(tokenizer, limit, padded=padded)

    def __call__(self, phrase: str, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and attention mask of a phrase, (1, N) int64 each.

        Raises:
            ToolFailed: It is empty, too long, or has words of which the tokenizer knows no part.
        """
        if not phrase.strip():
            raise ToolFailed("bad_phrase", "The phrase is empty. Name what to look for, such as a red mug.")
        # Words that look like a special token, such as [SEP], are words: else they would end the phrase.
        ids = self._tokenizer(phrase, split_special_tokens=True, verbose=False)["input_ids"]
        if len(ids) > self._limit:
            raise ToolFailed(
                "phrase_too_long",
                f"The phrase is {len(ids)} tokens long, and the segmenter takes {self._limit}. Use fewer words, in "
                "English.",
            )
        # Byte-level tokenizers spell everything; for them the unknown token is the one that ends the phrase.
        unknown = self._tokenizer.unk_token_id
        if unknown != self._tokenizer.eos_token_id and unknown in ids:
            raise ToolFailed(
                "unknown_words", "The segmenter can't read all of these words. Say it in plain English words."
            )
        padding = [self._tokenizer.pad_token_id] * (self._limit - len(ids) if self._padded else 0)
        mask = [1] * len(ids) + [0] * len(padding)
        return torch.tensor([ids + padding], device=device), torch.tensor([mask], device=device)
