"""When the device's memory is full: everything that can be freed is freed, then once more with less, then the end."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch
from local_cases import ask, faulty_policy, picture, says, tiny_policy, turns

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.policy import ReplyLimits
from rsagent_ros.policies.family import FAMILIES, QWEN2_5_VL, QWEN3_VL, Family

FULL = torch.OutOfMemoryError("a fault that was injected")
OTHER_KINDS = [
    MemoryError("the process has no more"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:114] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
]
EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


@pytest.mark.parametrize("at", [0, 3], ids=["reading", "decoding"])
def test_a_second_try_reads_smaller_pictures(at: int) -> None:
    policy, model = faulty_policy(QWEN3_VL)
    model.faults[at] = FULL
    conversation = policy.open()
    first, second, _ = turns(QWEN3_VL)
    whole = ask(tiny_policy(QWEN3_VL).open(), first)
    reply = ask(conversation, first)
    # 4 x 7 tokens became 2 x 4.
    assert (reply.prompt_tokens, reply.cached_tokens) == (whole.prompt_tokens - 28 + 8, 0)
    assert reply.sampled_tokens > 0
    assert len(conversation.transcript.layout().ids) == reply.prompt_tokens + reply.sampled_tokens
    after = ask(conversation, second)
    assert after.cached_tokens == reply.prompt_tokens + reply.sampled_tokens - 1
    assert [(placed.rows, placed.columns) for placed in conversation.transcript.layout().pictures] == [(2, 4), (4, 2)]
    assert (whole.picture_sizes, reply.picture_sizes) == ((), ((4 * 32, 2 * 32),))
    assert after.picture_sizes == ((4 * 32, 2 * 32), (2 * 32, 4 * 32))


@EACH_FAMILY
def test_the_second_try_says_what_a_fresh_start_would(family: Family) -> None:
    # One token a side can't become smaller: the same is said again, random numbers included.
    chat = [says("user", "the mug", picture(family, 1, 1))]
    policy, model = faulty_policy(family, temperature=1.0)
    model.faults[4] = FULL
    assert ask(policy.open(5), chat).token_ids == ask(tiny_policy(family, temperature=1.0).open(5), chat).token_ids


def test_pictures_whose_pixels_are_the_coordinates_keep_their_size() -> None:
    policy, model = faulty_policy(QWEN2_5_VL)
    model.faults[0] = FULL
    overlays = [picture(QWEN2_5_VL, 8, 8, kind="overlay"), picture(QWEN2_5_VL, 6, 8, kind="overlay")]
    reply = ask(policy.open(), [says("user", picture(QWEN2_5_VL, 4, 7), *overlays)])
    assert reply.sampled_tokens > 0
    assert reply.picture_sizes == ((7 * 28, 4 * 28), (5 * 28, 5 * 28), (8 * 28, 6 * 28))


@EACH_FAMILY
def test_a_goal_ends_when_the_second_try_fails_too(family: Family) -> None:
    policy, model = faulty_policy(family)
    model.faults = {0: FULL, 1: FULL}
    conversation = policy.open()
    with pytest.raises(RunFailed, match=r"memory of cpu is full, .*; lower side \(224\)") as failed:
        ask(conversation, turns(family)[0])
    assert failed.value.code is ErrorCode.OUT_OF_MEMORY
    # The next goal finds the policy as it was.
    conversation.close()
    assert (
        ask(policy.open(0), turns(family)[0]).token_ids == ask(tiny_policy(family).open(0), turns(family)[0]).token_ids
    )


def test_others_give_up_what_they_keep_and_read_it_again() -> None:
    policy, model = faulty_policy(QWEN3_VL)
    patient = policy.open()
    first, second, _ = turns(QWEN3_VL)
    given = ask(patient, first)
    model.faults[len(model.passes)] = FULL
    ask(policy.open(), first)
    again = ask(patient, second)
    assert (given.cached_tokens, again.cached_tokens) == (0, 0)
    undisturbed = tiny_policy(QWEN3_VL).open()
    ask(undisturbed, first)
    assert again.token_ids == ask(undisturbed, second).token_ids


def test_a_batch_that_is_too_large_is_answered_one_by_one() -> None:
    policy, model = faulty_policy(QWEN2_5_VL, temperature=1.0)
    model.faults[2] = FULL
    chats = [turns(QWEN2_5_VL, 3, seed)[0] for seed in range(3)]
    limits = [ReplyLimits(6, float("inf"))] * 3
    replies = policy.reply_batch([policy.open(n) for n in range(3)], chats, limits=limits, cancel=CancelToken())
    calm = tiny_policy(QWEN2_5_VL, temperature=1.0)
    assert [reply.token_ids for reply in replies] == [
        ask(calm.open(n), chat, tokens=6).token_ids for n, chat in enumerate(chats)
    ]
    assert {rows for rows, _ in model.passes[3:]} == {1}


@pytest.mark.parametrize("full", OTHER_KINDS, ids=str)
def test_full_memory_is_known_by_its_words_too(full: Exception) -> None:
    policy, model = faulty_policy(QWEN3_VL)
    model.faults[1] = full
    assert ask(policy.open(), turns(QWEN3_VL)[0]).sampled_tokens > 0


def test_another_error_is_not_taken_for_it() -> None:
    policy, model = faulty_policy(QWEN3_VL)
    model.faults[1] = RuntimeError("CUDA error: an illegal memory access was encountered")
    conversation = policy.open()
    with pytest.raises(RuntimeError, match="illegal memory access"):
        ask(conversation, turns(QWEN3_VL)[0])
    assert ask(policy.open(), turns(QWEN3_VL)[0]).sampled_tokens > 0


def test_not_even_the_warm_up_fits() -> None:
    policy, model = faulty_policy(QWEN2_5_VL)
    model.faults[0] = FULL
    with pytest.raises(RunFailed, match="memory of cpu is full") as failed:
        policy.warm_up()
    assert failed.value.code is ErrorCode.OUT_OF_MEMORY
