"""Whole episodes over HTTP: the loop, the policy and a server, as on a robot."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openai", reason="the chat server's policy needs the package openai")

from chat_talk import FOREVER, policy_for
from fakes import (
    ABSENT,
    FINISH,
    FINISH_SECOND,
    MALFORMED,
    NO,
    SEGMENT,
    SEGMENT_LEFT,
    YES,
    ZOOM,
    FakePolicy,
    FakeSegmenter,
)
from openai_server import Fail, OpenAIServer, Say

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat
from rsagent_ros.agent.turn import Trace
from rsagent_ros.policies.fallback import FallbackPolicy
from rsagent_ros.policies.family import QWEN3_VL


def begin(pictures: PictureFormat = DEFAULT_PICTURES, **budget: Any) -> Episode:
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    budget = {"seconds": FOREVER} | budget
    return Episode(frame, "the red mug", FakeSegmenter(), Budget(**budget), pictures=pictures)


def test_an_episode_from_the_first_look_to_the_mask(server: OpenAIServer) -> None:
    server.script = [SEGMENT, ZOOM, SEGMENT_LEFT, FINISH]
    episode = begin()
    result = drive(episode, policy_for(server))
    assert (result.outcome, result.turns, result.degraded) == (Outcome.FOUND, 4, False)
    assert [turn.tool for turn in episode.trace.turns] == ["segment", "zoom", "segment", "finish"]
    assert all(turn.token_ids for turn in episode.trace.turns)
    assert 0 < result.cached_tokens < result.prompt_tokens
    assert result.sampled_tokens == sum(len(turn.token_ids or ()) for turn in episode.trace.turns)
    assert Trace.from_json(episode.trace.to_json()) == episode.trace


def test_a_second_look_is_a_chat_of_its_own(server: OpenAIServer) -> None:
    server.script = [SEGMENT, FINISH, NO, SEGMENT_LEFT, FINISH_SECOND, YES]
    policy = policy_for(server)
    episode = begin(policy.pictures, second_look=True)
    result = drive(episode, policy)
    assert (result.outcome, result.turns) == (Outcome.FOUND, 4)
    assert [(look.mask_id, look.verdict) for look in episode.trace.second_looks] == [(1, "no"), (2, "yes")]
    assert all(look.token_ids and look.prompt_tokens for look in episode.trace.second_looks)
    assert result.sampled_tokens == sum(
        len(reply.token_ids or ()) for turn in episode.trace.turns for reply in turn.replies
    )


def test_a_server_that_dies_while_it_looks_again_does_not_cost_the_answer(server: OpenAIServer) -> None:
    server.script = [SEGMENT, FINISH, Say(after=5, then="die")]
    policy = policy_for(server, retries=0)
    episode = begin(policy.pictures, second_look=True)
    assert drive(episode, policy).outcome is Outcome.FOUND
    (look,) = episode.trace.second_looks
    assert look.verdict == "failed"
    assert "the model server at" in look.reason


def test_a_cancel_within_a_reply_leaves_its_beginning_in_the_trace_and_the_best_mask(server: OpenAIServer) -> None:
    server.script = [SEGMENT, Say(FINISH, seconds=0.01, after=6)]
    episode, cancel = begin(), CancelToken()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(drive, episode, policy_for(server), cancel)
        while len(server.seen) < 2:
            cancel.wait(0.01)
        assert server.seen[1].hanging.wait(FOREVER)
        cancel.set()
        result = running.result(FOREVER)
    assert (result.outcome, result.partial) == (Outcome.CANCELED, True)
    last = episode.trace.turns[-1]
    assert last.stop == "cancel"
    assert FINISH.startswith(last.reply)
    assert server.seen[1].gone.wait(FOREVER)


def test_a_server_that_hangs_costs_the_time_budget_and_not_the_mask(server: OpenAIServer) -> None:
    server.script = [SEGMENT, Say(after=-1)]
    result = drive(begin(seconds=3.0), policy_for(server))
    assert (result.outcome, result.error_code, result.partial) == (Outcome.GAVE_UP, ErrorCode.TIME_SPENT, True)


@pytest.mark.parametrize("after", [-1, 5])
def test_a_server_that_dies_ends_the_goal_with_the_best_mask(server: OpenAIServer, after: int) -> None:
    server.script = [SEGMENT, Say(after=after, then="die")]
    result = drive(begin(), policy_for(server, retries=1))
    assert (result.outcome, result.error_code) == (Outcome.FAILED, ErrorCode.MODEL_UNAVAILABLE)
    assert result.partial
    assert "the model server at" in result.error_msg


def test_a_chat_that_outgrows_the_context_ends_the_goal_with_the_best_mask(server: OpenAIServer) -> None:
    server.script = [SEGMENT]
    server.context = 1_200
    result = drive(begin(), policy_for(server))
    assert (result.outcome, result.error_code) == (Outcome.FAILED, ErrorCode.CONTEXT_TOO_LONG)
    assert result.partial
    assert len(server.seen) > 1


def test_a_model_that_talks_nonsense_still_ends(server: OpenAIServer) -> None:
    server.script = [MALFORMED]
    result = drive(begin(), policy_for(server, constrained=False))
    assert (result.outcome, result.error_code, result.turns) == (Outcome.GAVE_UP, ErrorCode.TURNS_SPENT, 8)


def test_replies_that_are_cut_cost_turns_until_the_tokens_are_spent(server: OpenAIServer) -> None:
    result = drive(begin(max_reply_tokens=4, max_tokens=8), policy_for(server))
    assert (result.outcome, result.error_code) == (Outcome.GAVE_UP, ErrorCode.TOKENS_SPENT)
    assert result.sampled_tokens == 8


def test_eight_goals_at_the_same_time(server: OpenAIServer) -> None:
    # By the state of each chat, not by the order of requests: the threads' order is nobody's business.
    replies = [SEGMENT, ZOOM, SEGMENT_LEFT, FINISH]
    server.reply_to = lambda body: Say(replies[(len(body["messages"]) - 2) // 2], seconds=0.001)
    policy, together = policy_for(server), threading.Barrier(8)

    def goal(_: int) -> Outcome:
        episode = begin()
        together.wait(FOREVER)
        return drive(episode, policy).outcome

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(goal, range(8))) == [Outcome.FOUND] * 8
    assert len(server.seen) == 32


def test_a_busy_server_only_delays(server: OpenAIServer) -> None:
    server.script = [Fail(503, "loading", {"Retry-After": "0"}), ABSENT]
    assert drive(begin(), policy_for(server)).outcome is Outcome.NOT_IN_VIEW


def test_a_server_that_dies_is_replaced_by_the_fallback_and_used_again_once_it_is_back(server: OpenAIServer) -> None:
    class Second(FakePolicy):
        name = "second"
        pictures = QWEN3_VL.pictures()

    server.script = [SEGMENT, Say(after=5, then="die"), SEGMENT, FINISH]
    primary = policy_for(server, retries=0)
    policy = FallbackPolicy(primary, Second([SEGMENT_LEFT, FINISH]), primary.check, recheck_seconds=0.05)
    episode = begin()
    result = drive(episode, policy)
    assert (result.outcome, result.degraded) == (Outcome.FOUND, True)
    assert [turn.degraded for turn in episode.trace.turns] == [False, True, True]
    assert policy.status.lost
    assert drive(begin(), policy).degraded
    server.start()
    while policy.status.lost:
        threading.Event().wait(0.01)
    result = drive(begin(), policy)
    assert (result.outcome, result.degraded) == (Outcome.FOUND, False)
    policy.close()
