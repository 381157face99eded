"""Whole episodes with models that talk nonsense: each ends once, within its budget, and nothing is left behind."""

from __future__ import annotations

import gc
import weakref

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import numpy as np
from fakes import FINISH, NO, YES, FakeSegmenter
from local_cases import faulty_policy, tiny_policy

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.drive import drive, drive_batch
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.policies.family import FAMILIES, QWEN2_5_VL, Family
from rsagent_ros.policies.local.policy import LocalConversation, LocalPolicy

EACH_FAMILY = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
FRAME = np.random.default_rng(0).integers(0, 256, (150, 200, 3), dtype=np.uint8)
BUDGET = Budget(seconds=100, max_turns=5, max_reply_tokens=40)
LONG = Budget(seconds=100, max_turns=5, max_reply_tokens=100)
# Inside the view in either unit.
SEGMENT = '<think>There.</think><tool_call>{"name": "segment", "arguments": {"box": [20, 30, 120, 100]}}</tool_call>'


def episode_for(policy: LocalPolicy, budget: Budget = BUDGET) -> Episode:
    return Episode(FRAME, "the red mug", FakeSegmenter(), budget, policy_name=policy.name, pictures=policy.pictures)


@EACH_FAMILY
def test_nonsense_ends_every_episode_once(family: Family) -> None:
    policy = tiny_policy(family, temperature=1.0)
    for _ in range(10):
        episode = episode_for(policy)
        result = drive(episode, policy)
        assert result.outcome in (Outcome.GAVE_UP, Outcome.NOT_IN_VIEW)
        assert result.error_code in (ErrorCode.TURNS_SPENT, ErrorCode.NONE)
        assert 1 <= result.turns <= 5
        assert all(turn.sampled_tokens <= 40 for turn in episode.trace.turns)
        assert all(len(turn.token_ids or ()) == turn.sampled_tokens for turn in episode.trace.turns)


@EACH_FAMILY
def test_sense_before_nonsense_keeps_the_best_mask(family: Family) -> None:
    policy, _ = faulty_policy(family, SEGMENT)
    result = drive(episode_for(policy, LONG), policy)
    assert (result.outcome, result.error_code, result.partial) == (Outcome.GAVE_UP, ErrorCode.TURNS_SPENT, True)
    assert result.cached_tokens > 0


@EACH_FAMILY
def test_a_second_look_is_a_conversation_of_its_own(family: Family) -> None:
    looking = Budget(seconds=100, max_turns=5, max_reply_tokens=100, second_look=True)
    policy, _ = faulty_policy(family, SEGMENT + FINISH + NO + FINISH)
    episode = episode_for(policy, looking)
    result = drive(episode, policy)
    assert (result.outcome, result.turns) == (Outcome.FOUND, 3)
    (look,) = episode.trace.second_looks
    assert (look.verdict, look.reason, look.cached_tokens) == ("no", "it is a plate", 0)
    assert look.sampled_tokens == len(look.token_ids or ()) > 0
    assert look.prompt_tokens > 100
    # The chat of the episode goes on where it was: its last reply reads none of the second look.
    assert episode.trace.turns[2].cached_tokens >= episode.trace.turns[1].prompt_tokens
    nonsense, _ = faulty_policy(family, SEGMENT + FINISH)
    standing = episode_for(nonsense, looking)
    assert drive(standing, nonsense).outcome is Outcome.FOUND
    assert [look.verdict for look in standing.trace.second_looks] == ["unreadable"]


def test_second_looks_of_a_batch_are_answered_together() -> None:
    looking = Budget(seconds=100, max_turns=5, max_reply_tokens=100, second_look=True)
    policy, _ = faulty_policy(QWEN2_5_VL, SEGMENT + FINISH + YES)
    episodes = [episode_for(policy, looking) for _ in range(2)]
    results = drive_batch(episodes, policy)
    assert [result.outcome for result in results] == [Outcome.FOUND] * 2
    assert [[look.verdict for look in episode.trace.second_looks] for episode in episodes] == [["yes"]] * 2


def test_sense_alone_finds_it() -> None:
    policy, _ = faulty_policy(QWEN2_5_VL, SEGMENT + FINISH)
    episode = episode_for(policy, LONG)
    assert drive(episode, policy).outcome is Outcome.FOUND
    assert episode.trace.turns[0].reply == SEGMENT


@EACH_FAMILY
def test_a_batch_of_episodes_ends_like_each_alone(family: Family) -> None:
    alone = tiny_policy(family, temperature=1.0)
    wanted = []
    for _ in range(4):
        episode = episode_for(alone)
        drive(episode, alone)
        wanted.append([turn.token_ids for turn in episode.trace.turns])
    together = tiny_policy(family, temperature=1.0)
    episodes = [episode_for(together) for _ in range(4)]
    drive_batch(episodes, together)
    assert [[turn.token_ids for turn in episode.trace.turns] for episode in episodes] == wanted


def test_a_cancelled_goal_ends_as_cancelled() -> None:
    policy, model = faulty_policy(QWEN2_5_VL)
    cancel = CancelToken()
    model.faults[7] = cancel.set
    assert drive(episode_for(policy), policy, cancel).outcome is Outcome.CANCELED


def test_a_full_context_ends_with_the_best_mask() -> None:
    policy, _ = faulty_policy(QWEN2_5_VL, SEGMENT, context=1500)
    result = drive(episode_for(policy, LONG), policy)
    assert (result.outcome, result.error_code, result.partial) == (Outcome.FAILED, ErrorCode.CONTEXT_TOO_LONG, True)
    assert len(result.instances) == 1


def test_what_a_conversation_held_is_freed_at_its_end() -> None:
    policy, model = faulty_policy(QWEN2_5_VL)
    talks: list[weakref.ref[LocalConversation]] = []
    model.faults[3] = lambda: talks.extend(weakref.ref(talk) for talk in vars(policy)["_conversations"])
    drive(episode_for(policy), policy)
    gc.collect()
    assert [talk() for talk in talks] == [None]
