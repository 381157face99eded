"""Tiny tokenizers of the networks that take words, of the same kinds as real ones.

They know the words of a table top and spell others: CLIP's any text by its bytes, BERT's those of English letters.
"""

from __future__ import annotations

import json
import string
from typing import Any

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import BertTokenizer, CLIPTokenizer

WORDS = (
    "a the red green blue yellow orange purple black white grey brown mug cup ball box cube cylinder cone plate bowl "
    "bottle apple banana fork spoon knife table chair person dog cat object"
).split()

START, END = "<|startoftext|>", "<|endoftext|>"

_BERT_IDS = {"[PAD]": 0, "[UNK]": 100, "[CLS]": 101, "[SEP]": 102, "[MASK]": 103, ".": 1012, "?": 1029}
"""Ids of bert-base-uncased: the code of Grounding DINO has those of what separates phrases."""


def tiny_clip_tokenizer(length: int, padding: str = END) -> CLIPTokenizer:
    """Byte-level BPE with a few hundred tokens, for texts of at most `length` tokens."""
    stock = CLIPTokenizer().backend_tokenizer
    learner = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    learner.normalizer, learner.pre_tokenizer = stock.normalizer, stock.pre_tokenizer
    trainer = trainers.BpeTrainer(vocab_size=900, end_of_word_suffix="</w>", show_progress=False)
    learner.train_from_iterator(WORDS, trainer)
    merges: Any = [(left, right) for left, right in json.loads(learner.to_str())["model"]["merges"]]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*alphabet, *(f"{letter}</w>" for letter in alphabet), *(left + right for left, right in merges)]
    # As in CLIP's own, the end has the highest id: OWLv2 looks for it there.
    vocabulary = {token: number for number, token in enumerate([*tokens, START, END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=padding, model_max_length=length)


def tiny_bert_tokenizer(length: int) -> BertTokenizer:
    """Word pieces of one letter and a few whole words, for texts of at most `length` tokens."""
    letters = string.ascii_lowercase + string.digits
    pieces = dict.fromkeys([*letters, *WORDS, *(f"##{letter}" for letter in letters), *"-,'"])
    vocabulary = {token: 200 + number for number, token in enumerate(pieces)} | _BERT_IDS
    free = (number for number in range(max(vocabulary.values())) if number not in set(vocabulary.values()))
    vocabulary |= {f"[unused{number}]": number for number in free}
    ordered = dict(sorted(vocabulary.items(), key=lambda pair: pair[1]))
    return BertTokenizer(vocab=ordered, model_max_length=length)
