"""The families: sizes, tokens, the template, and numbers that mean the same pixel to the model and to the agent."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from rsagent_ros.agent.actions import Segment
from rsagent_ros.agent.geometry import Box, Point, View
from rsagent_ros.agent.parsing import parse
from rsagent_ros.policies.family import CHAT_TEMPLATE, FAMILIES, QWEN2_5_VL, QWEN3_VL, Family, family_of

CHAT: list[dict[str, object]] = [
    {"role": "system", "content": [{"type": "text", "text": "You find things."}]},
    {"role": "user", "content": [{"type": "text", "text": "the mug"}, {"type": "image"}]},
    {"role": "assistant", "content": "<think>There.</think><tool_call>{}</tool_call>"},
    {"role": "user", "content": [{"type": "text", "text": "a mask"}, {"type": "image_url", "image_url": {"url": "x"}}]},
    {"role": "assistant", "content": [{"type": "text", "text": "<think>Done.</think>"}]},
]


def render(chat: list[dict[str, object]], add_generation_prompt: bool = False) -> str:
    template = Environment(trim_blocks=True, lstrip_blocks=True).from_string(CHAT_TEMPLATE.read_text())
    return template.render(messages=chat, add_generation_prompt=add_generation_prompt)


def test_a_family_is_found_by_its_model_type() -> None:
    assert [family_of(family.model_type) for family in FAMILIES] == list(FAMILIES)


@pytest.mark.parametrize("other", ["qwen2_vl", "llava", "", "Qwen2.5-VL"])
def test_another_model_type_is_refused_by_naming_those_there_are(other: str) -> None:
    with pytest.raises(ValueError, match=r"qwen2_5_vl \(Qwen2\.5-VL\) or qwen3_vl \(Qwen3-VL\)") as refused:
        family_of(other)
    assert repr(other) in str(refused.value)


def test_tokens_of_a_picture() -> None:
    assert QWEN2_5_VL.picture_tokens(756, 560) == 27 * 20
    assert QWEN3_VL.picture_tokens(768, 576) == 24 * 18
    with pytest.raises(ValueError, match=r"756 x 561; Qwen2\.5-VL needs sides that are multiples of 28"):
        QWEN2_5_VL.picture_tokens(756, 561)
    with pytest.raises(ValueError, match="0 x 32"):
        QWEN3_VL.picture_tokens(0, 32)


@given(family=st.sampled_from(FAMILIES), width=st.integers(1, 5000), height=st.integers(1, 5000))
def test_every_view_is_drawn_in_sides_that_fit(family: Family, width: int, height: int) -> None:
    tokens = family.picture_tokens(*family.pictures(768).size(width, height))
    assert 1 <= tokens <= (768 // family.multiple) ** 2


@st.composite
def views(draw: st.DrawFn) -> View:
    """A frame, and up to three zooms into it."""
    view = View.whole(draw(st.integers(64, 4000)), draw(st.integers(64, 4000)))
    for _ in range(draw(st.integers(0, 3))):
        x0, y0 = draw(st.floats(0, 800)), draw(st.floats(0, 800))
        view = view.zoom(Box(x0, y0, x0 + draw(st.floats(20, 200)), y0 + draw(st.floats(20, 200))))
    return view


@settings(deadline=None)
@given(
    family=st.sampled_from(FAMILIES), view=views(), across=st.floats(0, 1), down=st.floats(0, 1), whole=st.booleans()
)
def test_a_point_in_the_picture_is_that_point_of_the_frame(
    family: Family, view: View, across: float, down: float, whole: bool
) -> None:
    pictures = family.pictures(768)
    width, height = pictures.size(view.width, view.height)
    # What the model sees, and how its family writes it.
    pixel = Point(across * width, down * height)
    unit = (1000, 1000) if family is QWEN3_VL else (width, height)
    said = [pixel.x / width * unit[0], pixel.y / height * unit[1]]
    if whole:
        said = [round(number) for number in said]
    call = json.dumps({"name": "segment", "arguments": {"positive": [said]}})
    action = parse(f"<tool_call>{call}</tool_call>", pictures.extent(view.width, view.height))
    assert isinstance(action, Segment)
    meant = view.to_frame(action.positive[0])
    # Within a pixel of the frame, and where the model rounds, half its unit more.
    slack = [
        1 + (side / steps / 2 if whole else 0) for side, steps in zip((view.width, view.height), unit, strict=True)
    ]
    assert abs(meant.x - (view.x0 + across * view.width)) <= slack[0]
    assert abs(meant.y - (view.y0 + down * view.height)) <= slack[1]


def test_the_template_says_each_message_whole_and_nothing_else() -> None:
    assert render(CHAT[:3], add_generation_prompt=True) == (
        "<|im_start|>system\nYou find things.<|im_end|>\n"
        "<|im_start|>user\nthe mug<|vision_start|><|image_pad|><|vision_end|><|im_end|>\n"
        "<|im_start|>assistant\n<think>There.</think><tool_call>{}</tool_call><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_chat_is_a_prefix_of_the_longer_chat() -> None:
    texts = [render(CHAT[:length]) for length in range(1, len(CHAT) + 1)]
    assert all(longer.startswith(shorter) for shorter, longer in pairwise(texts))
    assert render(CHAT).startswith(render(CHAT[:2], add_generation_prompt=True))
    assert "There." in texts[-1]
    assert texts[-1].count("<|image_pad|>") == 2
