"""Text to token ids and back, so that no text from outside can pose as a token of the chat's frame.

The tokenizer is read from a checkpoint's tokenizer.json with the `tokenizers` library itself: one file, the same ids
everywhere, safe to use from several threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from rsagent_ros.agent.actions import CALL_CLOSE
from rsagent_ros.policies.family import (
    END_OF_TEXT,
    MESSAGE_END,
    MESSAGE_START,
    PICTURE,
    PICTURE_END,
    PICTURE_START,
    VISION_TOKENS,
)

FRAME = (MESSAGE_START, MESSAGE_END, PICTURE_START, PICTURE, PICTURE_END)
TAIL = len(CALL_CLOSE) + 4
"""Ids that surely hold a closing tag at their end: each has at least one of its bytes, and few bytes may follow it."""


class Vocabulary:
    """The tokenizer of one checkpoint.

    Attributes:
        size: Number of ids that mean something; a model's own table may be longer.
        vision_ids: Ids that stand for pictures.
        stop_ids: Ids by which a model ends its reply.
    """

    def __init__(self, path: Path) -> None:
        """Read a tokenizer.json.

        Raises:
            ValueError: It is damaged, or lacks a token of the chat's frame as a special token. One sentence.
        """
        try:
            self._tokenizer = Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises a bare Exception for whatever is wrong with the file
            raise ValueError(f"{path} is not a tokenizer ({error}); copy the file from the checkpoint again") from error
        # From here on "<|im_start|>" in a text is its twelve characters, not the beginning of a message.
        self._tokenizer.encode_special_tokens = True
        for token in FRAME:
            number = self._tokenizer.token_to_id(token)
            if number is None or self.encode(token) == [number]:
                raise ValueError(
                    f"{path} has no special token {token}; use the tokenizer of a Qwen2.5-VL or Qwen3-VL checkpoint"
                )
        self.size: int = self._tokenizer.get_vocab_size(with_added_tokens=True)
        self.message_start = self.id_of(MESSAGE_START)
        self.message_end = self.id_of(MESSAGE_END)
        self.picture_start = self.id_of(PICTURE_START)
        self.picture = self.id_of(PICTURE)
        self.picture_end = self.id_of(PICTURE_END)
        known = map(self._tokenizer.token_to_id, VISION_TOKENS)
        self.vision_ids = frozenset(number for number in known if number is not None)
        ends = map(self._tokenizer.token_to_id, (MESSAGE_END, END_OF_TEXT))
        self.stop_ids = frozenset(number for number in ends if number is not None)

    def id_of(self, token: str) -> int:
        """The id of one token, by its name.

        Raises:
            KeyError: There is none of that name.
        """
        number = self._tokenizer.token_to_id(token)
        if number is None:
            raise KeyError(token)
        return int(number)

    def encode(self, text: str) -> list[int]:
        """The ids of a text; names of special tokens in it are plain text."""
        # Half a surrogate pair has no UTF-8 form; an episode cleans its texts, other callers may not.
        return list(self._tokenizer.encode(text.encode("utf-8", "replace").decode(), add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens by their names, broken characters as U+FFFD."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def decode_reply(self, ids: Sequence[int]) -> str:
        """The text of a reply's ids, without the token that ended it."""
        return self.decode(ids[:-1] if ids and ids[-1] in self.stop_ids else ids)

    def closes_call(self, ids: Sequence[int]) -> bool:
        """Whether a reply's ids end its call with the last of them."""
        return CALL_CLOSE in self.decode(ids[-TAIL:])
