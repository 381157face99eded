"""An episode that is stepped from outside is the one that `drive` plays: the same messages, the same reward."""

from __future__ import annotations

import pytest

pytest.importorskip("PIL", reason="the extra [training] is not installed")

import numpy as np
from fakes import FakePolicy, FakeSegmenter
from training_cases import RIGHT, SIDE, UNREADABLE, WRONG, ZOOM, finish, scene

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.policies.family import QWEN2_5_VL
from rsagent_training.environments.episode_environment import EpisodeEnvironment, as_chat
from rsagent_training.rewards import episode_reward

PICTURES = QWEN2_5_VL.pictures(SIDE)
PLAYS = ([RIGHT, finish(1)], [UNREADABLE, WRONG, ZOOM, RIGHT, finish(2)], [WRONG, finish(1)], [WRONG] * 5, [""] * 5)


def environment() -> EpisodeEnvironment:
    return EpisodeEnvironment(FakeSegmenter(), PICTURES, max_turns=5)


@pytest.mark.parametrize("replies", PLAYS, ids=len)
def test_the_same_replies_have_the_same_chat_and_the_same_reward(replies: list[str]) -> None:
    stepped = environment()
    chat = stepped.reset(scene(1))
    for reply in replies:
        assert not stepped.done
        chat += stepped.step(reply)
    assert stepped.done

    driven = Episode(scene(1).image, scene(1).instruction, FakeSegmenter(), Budget(1e6, 5), pictures=PICTURES)
    drive(driven, FakePolicy(replies))
    heard = [message for message in driven.messages if message.role != "assistant"]
    assert [message.text for message in chat] == [message.text for message in heard]
    for one, other in zip(chat, heard, strict=True):
        for picture, drawn in zip(one.pictures, other.pictures, strict=True):
            np.testing.assert_array_equal(picture.pixels, drawn.pixels)
    assert stepped.reward == episode_reward(driven.trace, scene(1))


def test_it_is_used_again_and_again() -> None:
    stepped = environment()
    rewards = []
    for replies in (*PLAYS, PLAYS[0]):
        stepped.reset(scene(1))
        for reply in replies:
            stepped.step(reply)
        rewards.append(stepped.reward.total)
    assert rewards[0] == rewards[-1] > max(rewards[1:-1])


def test_an_engine_without_room_for_more_ends_the_episode_and_one_that_has_ended_stays() -> None:
    stepped = environment()
    stepped.reset(scene(1))
    stepped.step(RIGHT)
    with pytest.raises(ValueError, match="has not ended"):
        _ = stepped.reward
    stepped.stop()
    assert stepped.trace.outcome is Outcome.GAVE_UP
    assert stepped.reward.format == 0
    assert stepped.step(finish(1)) == []
    stepped.reset(scene(1))
    stepped.step(RIGHT)
    stepped.step(finish(1))
    stepped.stop()
    assert stepped.trace.outcome is Outcome.FOUND


def test_a_step_before_the_first_reset_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="call reset first"):
        environment().step(RIGHT)


def test_messages_are_given_as_transformers_takes_them() -> None:
    first, second = as_chat(environment().reset(scene(1)))
    assert (first["role"], second["role"]) == ("system", "user")
    assert [part["type"] for part in second["content"]] == ["text", "image"]
    assert second["content"][1]["image"].size == (112, 84)
