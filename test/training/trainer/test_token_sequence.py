"""A trace as a training sequence: the tokens of the local policy, and loss where it belongs."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Literal

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import numpy as np
import torch
from fakes import FakePolicy
from jinja2 import Environment
from local_cases import faulty_policy, tiny_checkpoint, tiny_policy
from training_cases import RIGHT, SIDE, UNREADABLE, WRONG, ZOOM, episode, finish, scene, trajectory

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Text
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.turn import Trace
from rsagent_ros.policies.family import CHAT_TEMPLATE, FAMILIES, QWEN2_5_VL, QWEN3_VL, Family
from rsagent_ros.policies.local.policy import LocalConversation, LocalPolicy
from rsagent_training.trainer.episode_batch import lay_out
from rsagent_training.trainer.token_sequence import IGNORED, TokenSequence, collate, sequence_of, token_count

EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def talk(policy: LocalPolicy, running: Episode) -> LocalConversation:
    """Drive an episode as `drive` does, and keep the conversation."""
    conversation = policy.open(seed=3)
    while not running.done:
        running.step(conversation.reply(running.new_messages(), limits=running.limits, cancel=CancelToken()))
    return conversation


def said(sequence: TokenSequence, family: Family) -> list[str]:
    """The texts of runs of tokens that carry loss."""
    vocabulary = tiny_checkpoint(family).vocabulary
    return [
        vocabulary.decode(sequence.layout.ids[start:end])
        for start, end in sequence.reply_spans
        if sequence.loss_mask[start]
    ]


@EACH_FAMILY
@pytest.mark.parametrize("overlay", ["view", "square"])
def test_tokens_are_counted_without_drawing(family: Family, overlay: Literal["view", "square"]) -> None:
    checkpoint = tiny_checkpoint(family)
    for replies in ([WRONG, ZOOM, RIGHT, finish(2)], [UNREADABLE, RIGHT, finish(1)]):
        running = episode(scene(1), family.pictures(SIDE, overlay))
        drive(running, FakePolicy(replies))
        drawn, blank = running.trace.messages(scene(1).image), running.trace.outline()
        assert [one.role for one in blank] == [one.role for one in drawn]
        assert [[(p.pixels.shape, p.kind) for p in one.pictures] for one in blank] == [
            [(p.pixels.shape, p.kind) for p in one.pictures] for one in drawn
        ]
        whole = sequence_of(running.trace, scene(1).image, checkpoint)
        assert token_count(running.trace, checkpoint) == len(whole)
    seen = replace(
        running.trace, turns=(*running.trace.turns[:-1], replace(running.trace.turns[-1], picture_sizes=((28, 28),)))
    )
    assert seen.outline()[1].pictures[0].pixels.shape == (28, 28, 3)


@EACH_FAMILY
@pytest.mark.parametrize("seed", range(4))
def test_tokens_are_those_of_the_conversation_that_was_held(family: Family, seed: int) -> None:
    policy = tiny_policy(family, temperature=1.0, side=SIDE, seed=seed)
    running = episode(scene(seed), policy.pictures, max_turns=4, max_reply_tokens=30)
    held = talk(policy, running).transcript.layout()
    rebuilt = sequence_of(running.trace, scene(seed).image, policy.checkpoint, sampled=True)
    assert rebuilt.layout.ids == held.ids
    assert rebuilt.loss_mask.tolist() == held.sampled
    np.testing.assert_array_equal(rebuilt.layout.positions, held.positions)
    for one, other in zip(rebuilt.layout.pictures, held.pictures, strict=True):
        assert one.start == other.start
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_the_same_after_the_record_has_been_on_disk_with_views_and_overlays() -> None:
    policy, _ = faulty_policy(QWEN2_5_VL, WRONG + ZOOM + RIGHT + finish(2), side=SIDE)
    running = episode(scene(0), policy.pictures, max_reply_tokens=200)
    held = talk(policy, running).transcript.layout()
    assert [turn.picture for turn in running.trace.turns] == ["overlay", "view", "overlay", None]
    trace = Trace.from_json(running.trace.to_json())
    for sampled in (True, False):
        rebuilt = sequence_of(trace, scene(0).image, policy.checkpoint, sampled=sampled)
        assert rebuilt.layout.ids == held.ids
        assert len(rebuilt.layout.pictures) == 4
        for one, other in zip(rebuilt.layout.pictures, held.pictures, strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)


def test_second_looks_are_no_part_of_the_sequence() -> None:
    said = RIGHT + finish(1)
    plain, _ = faulty_policy(QWEN2_5_VL, said, side=SIDE)
    expected = episode(scene(0), plain.pictures, max_reply_tokens=200)
    drive(expected, plain)
    looking, _ = faulty_policy(QWEN2_5_VL, said + finish(1), side=SIDE)
    running = episode(scene(0), looking.pictures, max_reply_tokens=200, second_look=True)
    drive(running, looking)
    assert [look.verdict for look in running.trace.second_looks] == ["yes"]
    sequences = [sequence_of(one.trace, scene(0).image, plain.checkpoint, sampled=True) for one in (expected, running)]
    assert sequences[0].layout.ids == sequences[1].layout.ids
    assert sequences[0].loss_mask.tolist() == sequences[1].loss_mask.tolist()


@EACH_FAMILY
def test_loss_is_on_replies_of_turns_to_learn_and_on_nothing_else(family: Family) -> None:
    one = trajectory(scene(1), [WRONG, UNREADABLE, RIGHT, finish(2)], [False, False, True, True], family)
    sequence = sequence_of(one.trace, scene(1).image, tiny_checkpoint(family), learn=one.learn)
    assert said(sequence, family) == [RIGHT, finish(2)]
    batch = collate([sequence], tiny_checkpoint(family))
    kept = batch["labels"][0] != IGNORED
    vocabulary = tiny_checkpoint(family).vocabulary
    assert vocabulary.decode(batch["labels"][0][kept].tolist()) == RIGHT + finish(2)
    assert torch.equal(batch["labels"][0][kept], batch["input_ids"][0][kept])
    text = vocabulary.decode(sequence.layout.ids)
    assert WRONG in text  # it is read, but not learned
    assert "turns_left" in text


def test_ids_of_another_tokenizer_are_not_taken_for_ours() -> None:
    one = trajectory(scene(1), [RIGHT, finish(1)])
    vocabulary = tiny_checkpoint(QWEN2_5_VL).vocabulary
    first, second = one.trace.turns
    foreign = replace(one.trace, turns=(replace(first, token_ids=(5, 9, 123_456)), second))
    wrong = replace(one.trace, turns=(replace(first, token_ids=tuple(vocabulary.encode("other words"))), second))
    plain = sequence_of(one.trace, scene(1).image, tiny_checkpoint(QWEN2_5_VL))
    for trace in (foreign, wrong):
        assert sequence_of(trace, scene(1).image, tiny_checkpoint(QWEN2_5_VL)).layout.ids == plain.layout.ids


@EACH_FAMILY
@pytest.mark.parametrize("ended_by_itself", [True, False], ids=["end sampled", "end written"])
def test_the_newline_behind_the_end_of_a_reply_is_read_and_not_learned(family: Family, ended_by_itself: bool) -> None:
    """A model may sample `<|im_end|>` or stop at its call; what follows is the template's text all the same."""
    checkpoint = tiny_checkpoint(family)
    vocabulary = checkpoint.vocabulary
    end = vocabulary.message_end
    one = trajectory(scene(1), [WRONG, RIGHT, finish(2)], family=family)
    replies = [[*vocabulary.encode(turn.reply), *([end] if ended_by_itself else [])] for turn in one.trace.turns]
    turns = zip(one.trace.turns, replies, strict=True)
    trace = replace(one.trace, turns=tuple(replace(turn, token_ids=tuple(ids)) for turn, ids in turns))
    sequence = sequence_of(trace, scene(1).image, checkpoint, sampled=True)

    ids, mask = sequence.layout.ids, sequence.loss_mask
    behind = vocabulary.encode("\n")
    for (start, stop), reply in zip(sequence.reply_spans, replies, strict=True):
        assert ids[start:stop] == reply
        assert mask[start:stop].all()
        if stop == len(ids):
            continue  # nobody reads on behind the last one
        frame = behind if ended_by_itself else [end, *behind]
        assert ids[stop : stop + len(frame)] == frame
        assert ids[stop + len(frame)] == vocabulary.message_start
        assert not mask[stop : stop + len(frame)].any()
    labels = collate([sequence], checkpoint)["labels"][0]
    assert labels[labels != IGNORED].tolist() == [number for reply in replies for number in reply]
    batch = lay_out([sequence], [[1.0] * len(replies)], checkpoint, torch.device("cpu"))
    learned = batch["tool_mask"][0].bool()
    assert batch["completion_ids"][0][learned].tolist() == labels[labels != IGNORED].tolist()
    assert batch["advantages"][0][~learned].tolist() == [0.0] * int((~learned).sum())

    template = Environment(trim_blocks=True, lstrip_blocks=True, autoescape=False).from_string(
        CHAT_TEMPLATE.read_text(encoding="utf-8")
    )
    chat = [
        {
            "role": message.role,
            "content": [{"type": "text", "text": part.text} if isinstance(part, Text) else {"type": "image"}
                        for part in message.parts],
        }
        for message in trace.messages(scene(1).image)
    ]  # fmt: skip
    once = re.sub(r"(<\|image_pad\|>)+", r"\1", vocabulary.decode(ids))
    written = template.render(messages=chat, add_generation_prompt=False)
    assert once + ("\n" if ended_by_itself else "<|im_end|>\n") == written


def test_another_familys_coordinates_are_refused() -> None:
    one = trajectory(scene(1), [RIGHT, finish(1)], family=QWEN2_5_VL)
    with pytest.raises(ValueError, match=r"its coordinates are pixels, Qwen3-VL points in thousandths"):
        sequence_of(one.trace, scene(1).image, tiny_checkpoint(QWEN3_VL), name="t")


def test_sampled_ids_may_not_be_missing() -> None:
    one = trajectory(scene(1), [RIGHT, finish(1)])
    with pytest.raises(ValueError, match="turn 1 has no recorded token ids"):
        sequence_of(one.trace, scene(1).image, tiny_checkpoint(QWEN2_5_VL), name="t", sampled=True)


@EACH_FAMILY
def test_a_padded_batch_computes_what_the_policy_computed(family: Family) -> None:
    """The log-probabilities that were recorded come back from one forward pass over a batch of whole episodes."""
    policy = tiny_policy(family, temperature=1.0, side=SIDE)
    episodes = [episode(scene(seed), policy.pictures, max_turns=seed + 2, max_reply_tokens=20) for seed in range(3)]
    for running in episodes:
        talk(policy, running)
    sequences = [
        sequence_of(running.trace, scene(number).image, policy.checkpoint, sampled=True)
        for number, running in enumerate(episodes)
    ]
    batch = collate(sequences, policy.checkpoint)
    labels = batch.pop("labels")
    with torch.no_grad():
        logits = policy.checkpoint.model(**batch).logits
    chances = logits[:, :-1].log_softmax(-1).gather(2, batch["input_ids"][:, 1:, None])[..., 0]
    for row, running in enumerate(episodes):
        recorded = [chance for turn in running.trace.turns for chance in turn.logprobs or ()]
        computed = chances[row][labels[row, 1:] != IGNORED]
        torch.testing.assert_close(computed, torch.tensor(recorded), atol=2e-4, rtol=0)
