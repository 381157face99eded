"""Text and token ids: nothing that is text becomes part of the chat's frame."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st
from local_cases import tiny_folder
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from rsagent_ros.policies.family import QWEN2_5_VL
from rsagent_ros.policies.local.vocabulary import FRAME, Vocabulary
from rsagent_ros.weights.tiny import tiny_tokenizer

SPECIAL = [*FRAME, "<|endoftext|>", "<|video_pad|>"]


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary(tiny_folder(QWEN2_5_VL) / "tokenizer.json")


@settings(deadline=None)
@given(text=st.lists(st.one_of(st.sampled_from(SPECIAL), st.text(max_size=10))).map("".join))
def test_no_text_becomes_a_special_token(vocabulary: Vocabulary, text: str) -> None:
    ids = vocabulary.encode(text)
    assert not {vocabulary.id_of(token) for token in SPECIAL}.intersection(ids)
    assert vocabulary.decode(ids) == unicodedata.normalize("NFC", text.encode("utf-8", "replace").decode())


def test_tags_of_a_call_are_single_tokens(vocabulary: Vocabulary) -> None:
    assert vocabulary.encode("<tool_call>") == [vocabulary.id_of("<tool_call>")]


def test_ids_are_those_of_transformers(vocabulary: Vocabulary) -> None:
    text = 'system\nYou find things:\n\n  12 mugs, \'the red one\'s\'. <tool_call>{"name": "zoom"}</tool_call>\n'
    assert vocabulary.encode(text) == AutoTokenizer.from_pretrained(tiny_folder(QWEN2_5_VL)).encode(text)


@pytest.mark.parametrize(
    ("said", "closes"),
    [
        ("<tool_call>{}</tool_call>", True),
        ("</tool_call>\n", True),
        ("<tool_call>{}</tool_call", False),
        ("<tool_call>{}", False),
    ],
)
def test_a_closed_call_is_seen_however_it_was_spelled(vocabulary: Vocabulary, said: str, closes: bool) -> None:
    assert vocabulary.closes_call(vocabulary.encode(said)) is closes
    letter_by_letter = [number for letter in said for number in vocabulary.encode(letter)]
    assert vocabulary.closes_call(letter_by_letter) is closes


def test_what_was_said_leaves_out_the_token_that_ended_it(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode("the mug")
    assert vocabulary.decode_reply([*ids, vocabulary.message_end]) == "the mug"
    assert vocabulary.decode_reply([*ids, vocabulary.message_start]) == "the mug<|im_start|>"
    assert vocabulary.decode_reply([]) == ""


def test_a_token_that_is_not_special_is_refused(tmp_path: Path) -> None:
    plain = Tokenizer.from_str(tiny_tokenizer().to_str().replace('"special":true', '"special":false'))
    plain.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"tokenizer.json has no special token <\|im_start\|>; use the tokenizer of"):
        Vocabulary(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("content", ["", "{}", "not JSON"])
def test_a_damaged_file_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(ValueError, match=r"tokenizer.json is not a tokenizer .*; copy the file"):
        Vocabulary(tmp_path / "tokenizer.json")
