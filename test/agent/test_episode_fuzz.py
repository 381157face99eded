"""1,000 whole episodes of random replies over a segmenter with random faults: each ends once, within its budget."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

import numpy as np
import pytest
from fakes import SEGMENTER_FAULTS, FakeSegmenter, content
from numpy.typing import NDArray

from rsagent_ros.agent.actions import (
    CALL_CLOSE,
    Action,
    Combine,
    Finish,
    ReportAbsent,
    ReportAmbiguous,
    ResetView,
    Segment,
    Zoom,
    render,
)
from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed, ToolFailed
from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat
from rsagent_ros.agent.policy import Reply, ReplyLimits, Stop
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt
from rsagent_ros.agent.turn import Trace, Turn

FAULTS = [fault for fault in SEGMENTER_FAULTS if fault not in ("hang", "slow")]
ERRORS: list[Callable[[], Exception]] = [
    lambda: RunFailed(ErrorCode.MODEL_UNAVAILABLE, "not loaded"),
    lambda: ToolFailed("odd", "\ud800"),
    lambda: ValueError("\udcff"),
    MemoryError,
    RecursionError,
    lambda: KeyError(("a", b"\xff")),
]

FORMATS = [PictureFormat(96), PictureFormat(112, 28, "pixels"), PictureFormat(96, 32)]


class Moody(FakeSegmenter):
    """Another mood for every call: mostly well, sometimes one of the known faults, sometimes any error."""

    def __init__(self, dice: random.Random, bad: float) -> None:
        super().__init__(score=dice.uniform(-1, 2))
        self.dice = dice
        self.bad = bad

    def encode(self, image: NDArray[np.uint8]) -> tuple[int, int]:
        if self.dice.random() < self.bad / 4:
            raise self.dice.choice(ERRORS)()
        return super().encode(image)

    def masks(self, encoding: tuple[int, int], prompt: MaskPrompt) -> list[Candidate]:
        if self.dice.random() < self.bad / 4:
            raise self.dice.choice(ERRORS)()
        self.fault = self.dice.choice(FAULTS) if self.dice.random() < self.bad else "none"
        return super().masks(encoding, prompt)


class Babbler:
    """A policy that says anything: good calls, wild numbers, masks that do not exist, noise; and sometimes fails."""

    name = "babbler"
    pictures = DEFAULT_PICTURES

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.closed = 0
        self.masks = 0

    def open(self) -> Babbler:
        return self

    def close(self) -> None:
        self.closed += 1

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        dice = self.dice
        self.masks += sum('"mask": ' in message.text for message in new_messages)
        assert new_messages
        assert limits.max_tokens >= 1
        if dice.random() < 0.02:
            raise dice.choice(ERRORS)()
        text = f"<think>{noise(dice, 20)}</think>" * dice.randrange(2) + render(self.action())
        for _ in range(dice.choice([0, 0, 0, 0, 0, 1, 3])):
            spot = dice.randrange(len(text) + 1)
            text = text[:spot] + noise(dice, 3) + text[spot + dice.randrange(3) :]
        if dice.random() < 0.05:
            text = dice.choice(
                [noise(dice, 300), "", text * 2, text.removesuffix(CALL_CLOSE), "[" * 5000, "x" * 40_000]
            )
        stop: Stop = dice.choice(["length", "cancel", "deadline"]) if dice.random() < 0.03 else "call"
        return Reply(text, stop, sampled_tokens=dice.randrange(600), degraded=dice.random() < 0.1)

    def action(self) -> Action:
        dice = self.dice
        masks = range(1, self.masks + (2 if self.masks == 0 or dice.random() < 0.1 else 1))
        ids = tuple(dice.sample(masks, min(len(masks), dice.randrange(1, 3))))
        points = tuple(self.point() for _ in range(dice.randrange(3)))
        a, b = self.point(), self.point()
        box = Box(min(a.x, b.x), min(a.y, b.y), max(a.x, b.x), max(a.y, b.y))
        if dice.random() < 0.1:
            box = Box(a.x, a.y, b.x, b.y)
        steps: list[Action] = [
            *[Segment(box)] * 6,
            Segment(box, points, points, dice.choice([None, ids[0]])),
            Segment(positive=points),
            Segment(refine=ids[0], negative=points),
            Zoom(box),
            ResetView(),
            Combine(ids, tuple(dice.sample(masks, dice.randrange(2)))),
        ]
        ends: list[Action] = [Finish(ids), ReportAbsent(noise(dice, 20)), ReportAmbiguous((1, 2), noise(dice, 20))]
        return dice.choice(ends if self.masks and dice.random() < 0.3 else steps)

    def point(self) -> Point:
        wild = self.dice.random() < 0.02
        x, y = (self.dice.uniform(-10, 1e6) if wild else self.dice.randrange(1000) for _ in "xy")
        return Point(x, y)


def noise(dice: random.Random, length: int) -> str:
    alphabet = 'ab {}[]",:0123456789\\/<>\n\0é中🤖\u2028\ud800'
    return "".join(dice.choice(alphabet) for _ in range(dice.randrange(length + 1)))


def test_1000_episodes_end_once_and_within_their_budget(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    outcomes: dict[Outcome, int] = {}
    turns = repairs = made = 0
    for seed in range(1000):
        dice = random.Random(seed)
        shape = dice.choice([(30, 40), (48, 64), (1, 70), (90, 1), (37, 111)])
        frame = np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)
        budget = Budget(seconds=1e6, max_turns=dice.randrange(1, 10), max_tokens=dice.randrange(1, 8000))
        segmenter = Moody(dice, dice.choice([0.0, 0.1, 0.5]))
        policy = Babbler(dice)
        episode = Episode(frame, noise(dice, 50).strip() or "the mug", segmenter, budget, pictures=dice.choice(FORMATS))
        seen: list[Turn] = []
        result = drive(episode, policy, on_turn=seen.append)

        assert episode.done
        assert episode.result is result
        assert episode.stop(Outcome.CANCELED) is result
        assert episode.step(Reply("")) is None
        assert policy.closed == 1
        trace = episode.trace
        assert trace.turns == tuple(seen)
        assert len(seen) == result.turns <= budget.max_turns
        assert Trace.from_json(trace.to_json()) == trace
        assert content(trace.messages(frame)) == content(episode.messages)
        assert sum(len(message.pictures) for message in episode.messages) <= 1 + budget.max_turns
        assert (result.error_code == ErrorCode.NONE) == (
            result.outcome in {Outcome.FOUND, Outcome.NOT_IN_VIEW, Outcome.AMBIGUOUS, Outcome.CANCELED}
        )
        assert bool(result.error_msg) == (result.error_code != ErrorCode.NONE)
        assert bool(result.instances) == (result.outcome is Outcome.FOUND or result.partial)
        for found in result.instances + result.candidates:
            assert found.mask.shape == shape
            assert found.mask.any()
            assert 0 <= found.confidence <= 1
        assert len(segmenter.encoded) <= 1 + sum(turn.tool in ("zoom", "reset_view") for turn in seen)
        outcomes[result.outcome] = outcomes.get(result.outcome, 0) + 1
        turns += result.turns
        repairs += sum(bool(turn.error_code) for turn in seen)
        made += sum(turn.mask_id > 0 for turn in seen)
    wanted = {Outcome.FOUND, Outcome.NOT_IN_VIEW, Outcome.AMBIGUOUS, Outcome.GAVE_UP, Outcome.CANCELED, Outcome.FAILED}
    assert set(outcomes) == wanted
    assert min(turns - repairs, repairs, made) > 400
