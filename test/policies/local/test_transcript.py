"""A conversation as token ids: append-only, faithful to what was sampled, positions as the models count them."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import numpy as np
import torch
from local_cases import picture, says, tiny_checkpoint, tiny_folder, turns
from transformers import AutoTokenizer

from rsagent_ros.agent.chat import Text
from rsagent_ros.policies.family import FAMILIES, PICTURE, QWEN2_5_VL, QWEN3_VL, Family
from rsagent_ros.policies.local.transcript import Layout, Transcript

CALL = "<think>It is.</think><tool_call>{}</tool_call>"


def transcript(family: Family) -> Transcript:
    return Transcript(tiny_checkpoint(family).vocabulary, family)


def text(family: Family, layout: Layout, start: int = 0) -> str:
    return tiny_checkpoint(family).vocabulary.decode(layout.ids[start:])


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_tokens_are_those_of_the_chat_template(family: Family) -> None:
    talk = transcript(family)
    first, second, _ = turns(family)
    talk.append_messages(first)
    talk.append_reply(tiny_checkpoint(family).vocabulary.encode(CALL))
    talk.append_messages(second)
    chat: list[Any] = [
        {
            "role": message.role,
            "content": [
                {"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"}
                for part in message.parts
            ],
        }
        for message in [*first, says("assistant", CALL), *second]
    ]
    tokenizer: Any = AutoTokenizer.from_pretrained(tiny_folder(family))
    wanted = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    for rows, columns in ((4, 7), (6, 3)):
        wanted = wanted.replace(PICTURE, "<picture>" * rows * columns, 1)
    assert talk.layout().ids == tokenizer.encode(wanted.replace("<picture>", PICTURE))


def test_it_only_ever_grows_at_its_end() -> None:
    talk = transcript(QWEN2_5_VL)
    before: list[int] = []
    for number, messages in enumerate(turns(QWEN2_5_VL, 6)):
        talk.append_messages(messages)
        talk.append_reply([500 + number, 7, 7])
        layout = talk.layout()
        assert layout.ids[: len(before)] == before
        assert len(layout.ids) == len(layout.sampled) == layout.positions.shape[1]
        assert [layout.ids[place] for place in np.flatnonzero(layout.sampled)[-3:]] == [500 + number, 7, 7]
        before = layout.ids
    assert sum(layout.sampled) == 18


@pytest.mark.parametrize(
    ("ends_with", "closing"),
    [
        ("", "<|im_end|>\n"),
        ("<|im_end|>", "\n"),
        ("<|endoftext|>", "<|im_end|>\n"),
    ],
)
def test_a_reply_is_closed_as_far_as_the_model_did_not(ends_with: str, closing: str) -> None:
    talk = transcript(QWEN2_5_VL)
    vocabulary = tiny_checkpoint(QWEN2_5_VL).vocabulary
    talk.append_messages([says("user", "the mug")])
    talk.append_reply([*vocabulary.encode(CALL), *([vocabulary.id_of(ends_with)] if ends_with else [])])
    before = talk.layout()
    talk.append_messages([says("user", "next")])
    after = talk.layout()
    assert (
        text(QWEN2_5_VL, after, len(before.ids))
        == f"{closing}<|im_start|>user\nnext<|im_end|>\n<|im_start|>assistant\n"
    )
    assert not any(after.sampled[len(before.ids) :])


def test_a_reply_that_never_came_is_closed_too() -> None:
    talk = transcript(QWEN2_5_VL)
    talk.append_messages([says("user", "the mug")])
    talk.append_messages([says("user", "next")])
    assert text(QWEN2_5_VL, talk.layout()).count("<|im_start|>assistant\n<|im_end|>\n<|im_start|>user\n") == 1


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_positions_are_those_of_the_model(family: Family) -> None:
    talk = transcript(family)
    for messages in turns(family, 3):
        talk.append_messages(messages)
        talk.append_reply([5, 6, 7])
    layout = talk.layout()
    ids = torch.tensor([layout.ids])
    grids = torch.tensor([[1, 2 * placed.rows, 2 * placed.columns] for placed in layout.pictures])
    kinds = (ids == tiny_checkpoint(family).vocabulary.picture).int()
    wanted, _ = tiny_checkpoint(family).model.model.get_rope_index(ids, kinds, image_grid_thw=grids)
    np.testing.assert_array_equal(layout.positions, wanted[:, 0].numpy())


def test_halved_pictures_of_thousandths_are_all_smaller() -> None:
    talk = transcript(QWEN3_VL)
    talk.append_messages([says("user", picture(QWEN3_VL, 6, 8), picture(QWEN3_VL, 12, 12, kind="overlay"))])
    assert talk.halve_pictures()
    talk.append_messages([says("user", picture(QWEN3_VL, 1, 10))])
    shapes = [(placed.rows, placed.columns) for placed in talk.layout().pictures]
    assert shapes == [(4, 5), (8, 8), (1, 7)]
    assert talk.picture_sizes == ((5 * 32, 4 * 32), (8 * 32, 8 * 32), (7 * 32, 32))


def test_halving_leaves_pictures_whose_pixels_are_the_coordinates() -> None:
    talk = transcript(QWEN2_5_VL)
    talk.append_messages([says("user", picture(QWEN2_5_VL, 6, 8))])
    talk.append_messages([says("user", picture(QWEN2_5_VL, 14, 14, kind="overlay"))])
    assert not talk.halve_pictures()
    assert talk.picture_sizes == ()
    talk.append_messages([says("user", picture(QWEN2_5_VL, 10, 14, kind="overlay"))])
    assert talk.halve_pictures()
    assert [(placed.rows, placed.columns) for placed in talk.layout().pictures] == [(6, 8), (9, 9), (10, 14)]
    assert talk.picture_sizes == ((8 * 28, 6 * 28), (9 * 28, 9 * 28), (14 * 28, 10 * 28))


def test_sides_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"224 x 160; Qwen2\.5-VL needs sides that are multiples of 28"):
        transcript(QWEN2_5_VL).append_messages([says("user", picture(QWEN3_VL, 5, 7))])
