"""Rollouts that play scripts: what trainers of reinforcement learning are given in place of a policy that samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from fakes import FakePolicy
from local_cases import tiny_checkpoint
from training_cases import RIGHT, SIDE, UNREADABLE, WRONG, episode, finish

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.policies.family import QWEN2_5_VL, Family

PLAYS = ([WRONG, RIGHT, finish(2)], [RIGHT, finish(1)], [UNREADABLE, WRONG, finish(1)], [WRONG, WRONG])


class Scripted:
    """Rollouts that play scripts, with token ids as if the model had sampled them.

    Attributes:
        steps: Scenes and traces of each time that episodes were asked for.
    """

    def __init__(
        self,
        family: Family = QWEN2_5_VL,
        plays: Sequence[Sequence[str]] = PLAYS,
        logprobs: Callable[[int], float] = lambda _: -0.5,
    ) -> None:
        self.family = family
        self.plays = plays
        self.logprobs = logprobs
        self.steps: list[tuple[Sequence[Example], list[Trace]]] = []

    def close(self) -> None:
        """Nothing to let go of."""

    def run(self, model: Any, scenes: Sequence[Example], step: int, seeds: Sequence[int]) -> list[Trace]:
        traces = [self._play(about, self.plays[number % len(self.plays)]) for number, about in enumerate(scenes)]
        self.steps.append((scenes, traces))
        return traces

    def _play(self, about: Example, replies: Sequence[str]) -> Trace:
        checkpoint = tiny_checkpoint(self.family)
        running = episode(about, checkpoint.family.pictures(SIDE), max_turns=3)
        drive(running, FakePolicy(replies))
        turns = []
        for turn in running.trace.turns:
            ids = tuple(checkpoint.vocabulary.encode(turn.reply))
            turns.append(replace(turn, token_ids=ids, logprobs=tuple(map(self.logprobs, range(len(ids))))))
        return replace(running.trace, turns=tuple(turns))
