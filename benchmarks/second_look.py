"""Second looks: how many wrong objects they save, how many right answers they cost, and the seconds that takes.

    python benchmarks/second_look.py [--seeds A:B] [--workers N]

Simulated table tops, goals in the reference policy's own vocabulary, classical segmenter. Seeds 7000:7300 are held out:
nothing was tuned on them. Two policies:

- `reference`, as it is: seldom wrong, and its second look has the same eyes as its first.
- `slips`: the reference policy, but in 25 % of its tries it points at anything that stands out, at random (so now and
  then at the right thing), and does not notice. Sent back, it tries anew, and may slip again. Its second look is the
  reference policy's, which does not slip.

What an answer would have been without second looks is the first answer of the same episode: both policies are
deterministic, and an episode is the same until then. The cost is all that comes after it: the second looks, and the
turns of an answer that was sent back. Answers are not held against what the other way of looking finds: these are the
figures of the crop alone. Seconds are those of the processor, so that what else the machine does is not in them:
everything here computes in one thread. Right is an answer that is expected and has an IoU of 0.5 or more with the
truth; a wrong object and a right answer are those of docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from baseline_scenes import WORKERS, in_processes, span
from entry import Entry, not_here, reported

from rsagent_ros.agent.actions import Action, Finish, ResetView, Segment, render
from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.pictures import DEFAULT_PICTURES
from rsagent_ros.agent.policy import Conversation, Policy, Reply, ReplyLimits
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.baseline.policy import ReferencePolicy
from rsagent_ros.baseline.policy.objects import detect
from rsagent_ros.baseline.policy.observed_view import ObservedView
from rsagent_ros.baseline.policy.verification import is_verification
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.prediction import Prediction, prediction_of
from rsagent_ros.scoring.score import score

HELD_OUT = range(7000, 7300)
SLIPS = 0.25
POLICIES = ("reference", "slips")
RESAMPLES = 10_000
_UNHURRIED = Budget(seconds=600.0, second_look=True)


@dataclass(frozen=True)
class Pair:
    """One scene, answered by one policy: without second looks, and with them.

    Attributes:
        policy: One of POLICIES.
        goal: Id, category and instruction of the scene.
        wrong: A wrong object was given for found, (without, with).
        right: The answer was right, (without, with).
        answered: There was an answer to look at.
        no: What the first second look that said no to the first answer gave as its reason; empty where none did.
        seconds: Until the first answer, and all that came after it.
        asking: Seconds of these in second looks.
    """

    policy: str
    goal: str
    wrong: tuple[bool, bool]
    right: tuple[bool, bool]
    answered: bool
    no: str
    seconds: tuple[float, float]
    asking: float


class Clocked:
    """A policy whose second looks are timed, in seconds of the processor.

    Attributes:
        first: `time.process_time()` when the first was asked for; None before.
        asking: Spent in them.
    """

    def __init__(self, policy: Policy) -> None:
        self.name, self.pictures = policy.name, policy.pictures
        self.first: float | None = None
        self.asking = 0.0
        self._policy = policy

    def open(self) -> Conversation:
        """Begin a conversation."""
        return _ClockedConversation(self, self._policy.open())


class _ClockedConversation:
    def __init__(self, clock: Clocked, inner: Conversation) -> None:
        self._clock = clock
        self._inner = inner
        self.close = inner.close

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """Reply of the policy."""
        started = time.process_time()
        reply = self._inner.reply(new_messages, limits=limits, cancel=cancel)
        if is_verification(new_messages[-1]):
            self._clock.first = self._clock.first or started
            self._clock.asking += time.process_time() - started
        return reply


class Slips:
    """The reference policy, but now and then it points at anything; for one episode."""

    name = "slips"
    pictures = DEFAULT_PICTURES

    def __init__(self, seed: int) -> None:
        self.dice = np.random.default_rng(seed)

    def open(self) -> Conversation:
        """Begin the episode's conversation, or a second look."""
        return _SlippingConversation(self.dice)


class _SlippingConversation:
    def __init__(self, dice: np.random.Generator) -> None:
        self._dice = dice
        self._messages: list[Message] = []
        self._slip: Iterator[Action] = iter(())
        self._inner: Conversation | None = None

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """The next move of a slip, else what the reference policy says."""
        if is_verification(new_messages[-1]):
            return ReferencePolicy().open().reply(new_messages, limits=limits, cancel=cancel)
        begins = not self._messages
        self._messages += new_messages
        if begins or _observation(new_messages[-1]).get("error", "").startswith("A second look"):
            self._inner = None
            self._slip = self._anything() if self._dice.random() < SLIPS else iter(())
        move = next(self._slip, None)
        if move is not None:
            return Reply(render(move))
        if self._inner is not None:
            return self._inner.reply(new_messages, limits=limits, cancel=cancel)
        self._inner = ReferencePolicy().open()
        # It begins with all that was said, as a fallback does.
        return self._inner.reply(self._messages, limits=limits, cancel=cancel)

    def _anything(self) -> Iterator[Action]:
        """Draw anything that stands out in the first picture, and end with it. The slip is over where that fails."""
        first = self._messages[1]
        view = Box(0, 0, *_observation(first)["image"])
        things = detect(first.pictures[0].pixels)
        if not things:
            return
        thing = things[int(self._dice.integers(len(things)))]
        views = [facts["view"] for message in self._messages if (facts := _observation(message)).get("view")]
        if views and Box(*views[-1]) != view:
            yield ResetView()
        yield Segment(ObservedView(first.pictures[0].pixels, view, tuple(things)).box(thing.box, 2.0))
        if mask := _observation(self._messages[-1]).get("mask"):
            yield Finish((mask,))

    def close(self) -> None:
        """Nothing is held."""


def _observation(message: Message) -> dict[str, Any]:
    return dict(json.loads(message.text)) if message.role == "user" else {}


def run() -> list[Entry]:
    """The figures; about five minutes on two cores."""
    if find_spec("mujoco") is None or find_spec("rsagent_training") is None:
        return [not_here("second look", "the extra [sim] is not installed")]
    return all_figures(pairs(HELD_OUT, WORKERS))


def pairs(seeds: range, workers: int) -> list[Pair]:
    """Answers of each policy to each scene."""
    return [pair for each in in_processes(_answered_by_each, seeds, workers) for pair in each]


def _answered_by_each(scene: Example, number: int) -> list[Pair]:
    return [answered(scene, name, number) for name in POLICIES]


def all_figures(given: Sequence[Pair]) -> list[Entry]:
    """The figures of each policy."""
    return [entry for name in POLICIES for entry in figures(name, [pair for pair in given if pair.policy == name])]


def answered(scene: Example, name: str, number: int) -> Pair:
    """Runs one episode with second looks on a scene; `number` decides where the policy slips."""
    policy = Clocked(Slips(number) if name == "slips" else ReferencePolicy())
    started = time.process_time()
    episode = Episode(scene.image, scene.instruction, ClassicalSegmenter(), _UNHURRIED, pictures=policy.pictures)
    drive(episode, policy)
    ended = time.process_time()
    answer = next((turn for turn in episode.trace.turns if turn.second_looks), None)
    after = score(prediction_of(episode.trace), scene)
    before = after if answer is None else score(_first_answer(episode.trace, answer), scene)
    first_answer = ended if policy.first is None else policy.first
    return Pair(
        name,
        f"{scene.id} {scene.category}: {scene.instruction}",
        (before.wrong_object, after.wrong_object),
        (before.right, after.right),
        answer is not None,
        "" if answer is None else next((one.reason for one in answer.second_looks if one.verdict == "no"), ""),
        (first_answer - started, ended - first_answer),
        policy.asking,
    )


def _first_answer(trace: Trace, turn: Turn) -> Prediction:
    """The answer that the episode would have ended with, without verification."""
    masks = tuple(mask for one in turn.second_looks if (mask := trace.mask(one.mask_id)) is not None)
    return Prediction(Outcome.FOUND, mask=np.logical_or.reduce(masks), instances=masks)


def figures(name: str, given: Sequence[Pair]) -> list[Entry]:
    """The figures of one policy."""
    wrong = np.array([pair.wrong for pair in given], dtype=np.float64)
    right = np.array([pair.right for pair in given], dtype=np.float64)
    cost = np.array([pair.seconds[1] for pair in given])
    entries = []
    for what, values in (("wrong objects", wrong), ("right answers", right)):
        for column, how in enumerate(("without", "with")):
            count = int(values[:, column].sum())
            entries.append(
                reported(f"{name}: {what}, {how} second looks", count, "", share_in_words(count, len(given)))
            )
    lost = int(((right[:, 0] == 1) & (right[:, 1] == 0)).sum())
    answered = [pair for pair in given if pair.answered]
    before = float(np.mean([pair.seconds[0] for pair in given]))
    asking = float(np.mean([pair.asking for pair in given]))
    saved = wrong[:, 0] - wrong[:, 1]
    chosen = np.random.default_rng(0).integers(0, len(given), (RESAMPLES, len(given)))
    rates = saved[chosen].sum(axis=1) / np.maximum(cost[chosen].sum(axis=1), 1e-9)
    low, high = np.percentile(rates, (2.5, 97.5))
    return [
        *entries,
        reported(f"{name}: right answers that second looks lost", lost, "", f"of {int(right[:, 0].sum())}"),
        _rejected(name, "wrong objects", [pair for pair in answered if pair.wrong[0]]),
        _rejected(name, "right answers", [pair for pair in answered if pair.right[0]]),
        reported(f"{name}: seconds a goal, without second looks", before, "s", "640x480, one core"),
        reported(
            f"{name}: seconds a goal that they cost", float(cost.mean()), "s", f"{asking:.3f} of these for asking"
        ),
        reported(
            f"{name}: wrong objects saved per second they cost",
            saved.sum() / max(cost.sum(), 1e-9),
            "1/s",
            f"{saved.sum():.0f} in {cost.sum():.0f} s; 95 % of bootstrap resamples {low:.3f} to {high:.3f}",
        ),
    ]


def _rejected(name: str, what: str, given: Sequence[Pair]) -> Entry:
    """Count of first answers that a second look rejected."""
    rejected = sum(bool(pair.no) for pair in given)
    return reported(f"{name}: {what} that a second look said no to", rejected, "", f"of {len(given)} first answers")


def share_in_words(count: int, number: int) -> str:
    """A share in words, with Wilson's 95 % interval (JASA 1927), which does not shrink to nothing at 0."""
    z, share = 1.96, count / number
    middle = share + z * z / (2 * number)
    half = z * math.sqrt(share * (1 - share) / number + z * z / (4 * number * number))
    low, high = ((middle + sign * half) / (1 + z * z / number) for sign in (-1, 1))
    return f"{share:.1%} of {number} goals, 95 % interval {max(0.0, low):.1%} to {high:.1%}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print what second looks did not save, what they doubted wrongly, and the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=span, default=HELD_OUT, metavar="A:B", help="worlds (default: 7000:7300)")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes (default: 2)")
    options = parser.parse_args(argv)
    given = pairs(options.seeds, options.workers)
    for pair in given:
        if pair.wrong[1]:
            print(f"{pair.policy}: WRONG OBJECT in spite of it  {pair.goal}  {pair.no}")
        elif pair.no and not pair.wrong[0]:
            print(f"{pair.policy}: doubted without reason  {pair.goal}  {pair.no}")
    for entry in all_figures(given):
        print(f"{entry.name}: {entry.value:g} {entry.unit} ({entry.note})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
