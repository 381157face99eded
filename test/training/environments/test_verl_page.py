"""The agent loop that docs/other-engines.md shows for verl, in stand-ins for verl: tokens, mask and reward are ours."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("PIL", reason="the extra [training] is not installed")
pytest.importorskip("torch", reason="the extra [models] is not installed")

from fakes import FakePolicy
from local_cases import tiny_checkpoint, tiny_folder
from training_cases import RIGHT, SIDE, UNREADABLE, WRONG, finish, scene, write_scenes

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.policies.family import QWEN2_5_VL
from rsagent_training.rewards import episode_reward

PAGE = Path(__file__).resolve().parents[3] / "docs" / "other-engines.md"
REPLIES = [UNREADABLE, WRONG, RIGHT, finish(2)]


class Base:
    """As verl's AgentLoopBase, which keeps these."""

    def __init__(self, trainer_config: Any, server_manager: Any, tokenizer: Any, processor: Any, **_: Any) -> None:
        self.config, self.server_manager = trainer_config.config, server_manager
        self.loop = asyncio.get_running_loop()


class Server:
    """Gives the replies in order, and keeps what it is asked."""

    def __init__(self, replies: list[list[int]]) -> None:
        self.replies = list(replies)
        self.asked: list[dict[str, Any]] = []

    async def generate(self, **asked: Any) -> Any:
        self.asked.append(asked)
        ids = self.replies.pop(0)
        return SimpleNamespace(token_ids=ids, log_probs=[-0.5] * len(ids))


def loop_class(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The class of the page."""
    stand_in: Any = ModuleType("verl.experimental.agent_loop.agent_loop")
    stand_in.AgentLoopBase, stand_in.AgentLoopOutput = Base, SimpleNamespace
    stand_in.register = lambda _: lambda kind: kind
    for name in ("verl", "verl.experimental", "verl.experimental.agent_loop"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, stand_in.__name__, stand_in)
    text = PAGE.read_text(encoding="utf-8").split("## verl")[1]
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL) if "class " in block)
    names: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), names)
    return names["RsagentLoop"]


def run(kind: Any, folder: Path, server: Server, room: int) -> Any:
    async def running() -> Any:
        rollout = SimpleNamespace(response_length=room)
        config = SimpleNamespace(actor_rollout_ref=SimpleNamespace(rollout=rollout))
        loop = kind(
            SimpleNamespace(config=config), server, None, None, scenes=str(folder), segmenter="classical", side=SIDE,
            tokenizer_json=tiny_folder(QWEN2_5_VL) / "tokenizer.json",
        )  # fmt: skip
        return await loop.run({"temperature": 1.0}, extra_info={"scene": "scene-001"}, raw_prompt=[])

    return asyncio.run(running())


@pytest.mark.parametrize("ended_by_itself", [True, False])
def test_an_episode_in_verls_hands_is_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended_by_itself: bool
) -> None:
    vocabulary = tiny_checkpoint(QWEN2_5_VL).vocabulary
    end = [vocabulary.message_end] if ended_by_itself else []
    replies = [[*vocabulary.encode(reply), *end] for reply in REPLIES]
    server = Server(replies)
    output = run(loop_class(monkeypatch), write_scenes(tmp_path / "scenes"), server, 4000)

    driven = Episode(
        scene(1).image, scene(1).instruction, ClassicalSegmenter(), Budget(1e6, 8), pictures=QWEN2_5_VL.pictures(SIDE)
    )
    drive(driven, FakePolicy(REPLIES))
    assert output.reward_score == episode_reward(driven.trace, scene(1)).total
    sampled = [number for number, mask in zip(output.response_ids, output.response_mask, strict=True) if mask]
    assert sampled == [number for reply in replies for number in reply]
    assert [chance for chance, mask in zip(output.response_logprobs, output.response_mask, strict=True) if mask] == [
        -0.5
    ] * len(sampled)
    asked = [*server.asked[-1]["prompt_ids"], *replies[-1]]
    assert [*output.prompt_ids, *output.response_ids] == asked
    assert len(output.multi_modal_data["image"]) == 3  # the first view, and what two calls brought back
    assert len(asked) == len(output.prompt_ids) + len(output.response_logprobs)


def test_an_episode_without_room_is_cut_after_a_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vocabulary = tiny_checkpoint(QWEN2_5_VL).vocabulary
    replies = [vocabulary.encode(reply) for reply in REPLIES]
    server = Server(replies)
    room = len(replies[0]) + 10
    output = run(loop_class(monkeypatch), write_scenes(tmp_path / "scenes"), server, room)
    assert len(server.asked) == 1
    assert output.response_ids == replies[0]
    assert set(output.response_mask) == {1}
    assert len(output.multi_modal_data["image"]) == 1
