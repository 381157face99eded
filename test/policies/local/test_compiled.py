"""Compiled decoding over a cache of fixed size: traced as one graph, the same numbers as the growing cache."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

from functools import partial

import torch
from local_cases import ask, tiny_folder, tiny_policy, turns

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.policy import ReplyLimits
from rsagent_ros.policies.family import FAMILIES, QWEN2_5_VL, Family
from rsagent_ros.policies.local import policy as policy_module
from rsagent_ros.policies.local.checkpoint import load_checkpoint
from rsagent_ros.policies.local.compiled import CompiledDecoder, grouped_attention
from rsagent_ros.policies.local.config import LocalConfig
from rsagent_ros.policies.local.decoder import GrowingDecoder
from rsagent_ros.policies.local.policy import LocalPolicy
from rsagent_ros.policies.local.transcript import Transcript


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_it_says_what_the_growing_cache_says(family: Family, monkeypatch: pytest.MonkeyPatch) -> None:
    # Traced for real, but not translated to machine code: that alone takes half a minute.
    monkeypatch.setattr(policy_module, "CompiledDecoder", partial(CompiledDecoder, backend="eager"))
    config = LocalConfig(str(tiny_folder(family)), device="cpu", side=224, context=512, compile=True)
    policy = LocalPolicy(load_checkpoint(config), config)
    policy.warm_up()
    plain = tiny_policy(family)
    ours, theirs = policy.open(), plain.open()
    for messages in turns(family, 4):
        reply, wanted = ask(ours, messages), ask(theirs, messages)
        assert reply.token_ids == wanted.token_ids
        assert reply.logprobs == pytest.approx(wanted.logprobs, abs=1e-4)
        assert reply.cached_tokens == wanted.cached_tokens
    # A batch goes over the growing cache, and conversations may change between both.
    talks = [ours, policy.open()]
    chats = [turns(family)[1], turns(family)[0]]
    limits = [ReplyLimits(5, float("inf"))] * 2
    replies = policy.reply_batch(talks, chats, limits=limits, cancel=CancelToken())
    assert replies[0].token_ids == ask(theirs, chats[0], tokens=5).token_ids
    assert replies[1].token_ids == ask(plain.open(), chats[1], tokens=5).token_ids


@torch.inference_mode()
def test_what_an_earlier_row_left_behind_does_not_count() -> None:
    family = QWEN2_5_VL
    checkpoint = load_checkpoint(LocalConfig(str(tiny_folder(family)), device="cpu"))
    layout = Transcript(checkpoint.vocabulary, family)
    layout.append_messages(turns(family)[0])
    read = GrowingDecoder(checkpoint.model, [[]])
    read.read([layout.layout()], [0], checkpoint.patches)
    decoder = CompiledDecoder(checkpoint.model, 128, backend="eager")
    decoder.load([(keys, torch.full_like(values, torch.nan)) for keys, values in read.take(0)])
    assert decoder.step([5], [90]).isnan().all()
    few = [(keys[:, :, :7], values[:, :, :7]) for keys, values in read.take(0)]
    decoder.load(list(few))
    torch.testing.assert_close(decoder.step([5], [7]), GrowingDecoder(checkpoint.model, [few]).step([5], [7]))


@pytest.mark.parametrize("scaling", [None, 0.3])
def test_grouped_attention_is_attention(scaling: float | None) -> None:
    numbers = torch.Generator().manual_seed(0)
    query = torch.randn((2, 6, 1, 8), generator=numbers)
    key, value = (torch.randn((2, 3, 5, 8), generator=numbers) for _ in "kv")
    mask = torch.tensor([[0, 1, 1, 1, 1], [1, 1, 1, 0, 0]], dtype=torch.bool)[:, None, None]
    got, _ = grouped_attention(torch.nn.Module(), query, key, value, mask, scaling=scaling)
    wanted = torch.nn.functional.scaled_dot_product_attention(
        query, key.repeat_interleave(2, dim=1), value.repeat_interleave(2, dim=1), mask, scale=scaling
    )
    torch.testing.assert_close(got, wanted.transpose(1, 2))
