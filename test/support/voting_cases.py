"""Goals that are voted on, for the tests of what comes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from fakes import FakePolicy, FakeSegmenter, Step

from rsagent_ros.agent.actions import Finish, Segment, render
from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.daemon_threads import DaemonThreads
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.outcome import Result
from rsagent_ros.agent.policy import Policy
from rsagent_ros.agent.turn import Trace
from rsagent_ros.agent.voting import vote

FRAME = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
VOTES = Budget(seconds=600.0, votes=5, votes_seconds=600.0)


def boxed(x0: float, y0: float = 100, side: float = 300) -> list[Step]:
    """The script of an attempt that finds a square, 0..1000 of the view."""
    return [render(Segment(box=Box(x0, y0, x0 + side, y0 + side))), render(Finish((1,)))]


class Attempts:
    """Policies of the attempts at one goal by their numbers; those without a script of their own say `others`.

    Attributes:
        policies: Of the attempts that began, in order.
    """

    def __init__(self, scripts: Mapping[int, Sequence[Step]], others: Sequence[Step], budget: Budget = VOTES) -> None:
        self.policies: list[FakePolicy] = []
        self.scripts = scripts
        self.others = others
        self.budget = budget

    def begin(self, number: int, seconds: float) -> tuple[Episode, Policy]:
        policy = FakePolicy(self.scripts.get(number, self.others))
        self.policies.append(policy)
        budget = Budget(seconds, self.budget.max_turns)
        return Episode(FRAME, "the mug", FakeSegmenter(), budget, goal_id="g", policy_name=policy.name), policy

    def answered(self, *, one_by_one: bool = False, cancel: CancelToken | None = None) -> tuple[Result, Trace]:
        """The goal's answer, after its first episode and the vote."""
        until = self.budget.deadline()
        episode, policy = self.begin(1, self.budget.seconds)
        drive(episode, policy)
        first = episode.result, episode.trace
        threads = DaemonThreads("vote")
        try:
            result, trace = vote(
                first, self.begin, self.budget, until, threads=threads, one_by_one=one_by_one, cancel=cancel
            )
        finally:
            threads.close()
        assert Trace.from_json(trace.to_json()) == trace
        return result, trace


def release(attempts: Attempts) -> None:
    """Let every hang of a policy end."""
    for policy in attempts.policies:
        policy.release.set()
