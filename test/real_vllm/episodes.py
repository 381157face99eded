"""Scenes of the miniature, and the miniature over them: in this process, and behind a server."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import rsagent_ros
from rsagent_ros.agent.actions import FIRST_TOOLS
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.turn import Turn
from rsagent_ros.backends import Choice, Models, open_models
from rsagent_ros.data.example import Example
from rsagent_training.miniature import flat_world

MINIATURE = Path(rsagent_ros.__file__).parent / "policies" / "miniature"
SIDE = flat_world.SIDE


def scenes(count: int) -> list[Example]:
    """Scenes that it was not trained on."""
    return list(flat_world.scenes(20_261_121, count))


def in_process(checkpoint: Path, **settings: Any) -> Models:
    """The policy in this process, in float32."""
    local = {"checkpoint": str(checkpoint), "device": "cpu", "dtype": "float32"} | settings
    return _opened("local", local)


def behind(url: str, model: str = "miniature", **settings: Any) -> Models:
    """The policy behind a server; free of the grammar, which the miniature's vocabulary and xgrammar do not bear."""
    # What `local` reads from the checkpoint's rsagent.json.
    trained = {"overlay": "square", "tools": ",".join(FIRST_TOOLS)}
    server = {"model": model, "base_url": url, "family": "qwen3_vl", "constrained": False, **trained}
    return _opened("chat_server", server | settings)


def _opened(policy: str, settings: dict[str, Any]) -> Models:
    named = {f"{policy}.{key}": value for key, value in settings.items()}
    return open_models(Choice(policy=policy, view_side=SIDE, settings=named))


def play(models: Models, examples: Sequence[Example], in_flight: int = 1, turns: int = 4) -> list[tuple[Turn, ...]]:
    """The turns of one episode about each."""
    budget = Budget(600, max_turns=turns, max_reply_tokens=128)
    episodes = [
        Episode(one.image, one.instruction, models.segmenter, budget, pictures=models.policy.pictures)
        for one in examples
    ]
    with ThreadPoolExecutor(in_flight) as pool:
        list(pool.map(lambda episode: drive(episode, models.policy), episodes))
    return [tuple(episode.trace.turns) for episode in episodes]
