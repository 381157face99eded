"""Votes: what more episodes of one goal do for its answer, and how many of them it takes.

    python benchmarks/votes.py [--seeds A:B] [--workers N]

Simulated table tops, goals in the reference policy's own vocabulary, classical segmenter. Seeds 7000:7300 are held out:
nothing was tuned on them. The policy is `slips` of benchmarks/second_look.py: the reference policy, but in 25 % of its
episodes it points at anything that stands out, and does not notice. Its episodes slip independently of each other,
which is the best case for votes: those of a model that always misunderstands the same words agree on what is wrong.

Each scene is answered by five episodes, one after the other; the answer of N votes is what the first N of them elect.
With N votes no more episodes begin once the lead can't change: those that count as run are these. Seconds are those of
the processor. Right and wrong objects are those of docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from baseline_scenes import WORKERS, in_processes, span
from entry import Entry, not_here, reported
from second_look import HELD_OUT, Slips, share_in_words

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.votes import Ended, counted, elected, share
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import score

VOTES = (1, 2, 3, 5)
SHARES = ((0.0, 0.5), (0.5, 0.75), (0.75, 1.0), (1.0, 1.01))
"""Ranges of the winner's share of five votes, the upper end excluded."""

_UNHURRIED = Budget(seconds=600.0)


@dataclass(frozen=True)
class Answer:
    """The answer of so many votes to one scene.

    Attributes:
        votes: How many might be given.
        right, wrong_object: As docs/evaluation.md has it.
        passed_on: It was a question or a give-up, to a person.
        found: It was FOUND.
        share: Of the votes that the answer has; 0 where nothing was voted on, or the votes were tied.
        run: Episodes until the lead could not change.
        seconds: Of the processor, for these.
    """

    votes: int
    right: bool
    wrong_object: bool
    passed_on: bool
    found: bool
    share: float
    run: int
    seconds: float


def run() -> list[Entry]:
    """The figures; about ten minutes on two cores."""
    if find_spec("mujoco") is None or find_spec("rsagent_training") is None:
        return [not_here("votes", "the extra [sim] is not installed")]
    return figures(answers(HELD_OUT, WORKERS))


def answers(seeds: range, workers: int) -> list[Answer]:
    """Answers to each scene with each number of votes."""
    return [answer for each in in_processes(answered, seeds, workers) for answer in each]


def answered(scene: Example, number: int) -> list[Answer]:
    """The answers to one scene; `number` and that of the episode decide where it slips."""
    ended: list[Ended] = []
    seconds: list[float] = []
    for attempt in range(max(VOTES)):
        started = time.process_time()
        policy = Slips(number if attempt == 0 else 1_000_000 * attempt + number)
        episode = Episode(scene.image, scene.instruction, ClassicalSegmenter(), _UNHURRIED, pictures=policy.pictures)
        drive(episode, policy)
        ended.append((episode.result, episode.trace))
        seconds.append(time.process_time() - started)
    return [_answer(scene, ended, seconds, votes) for votes in VOTES]


def _answer(scene: Example, ended: Sequence[Ended], seconds: Sequence[float], votes: int) -> Answer:
    results = [result for result, _ in ended]
    needed = next((n for n in range(1, votes) if counted(results[:n]).decided(votes - n)), votes)
    result, trace = elected(ended[:needed], 0.0)
    judged = score(prediction_of(trace), scene)
    won = share(trace, result.instances[0].mask_id) if result.outcome is Outcome.FOUND else None
    return Answer(
        votes,
        judged.right,
        judged.wrong_object,
        result.outcome in (Outcome.AMBIGUOUS, Outcome.GAVE_UP),
        result.outcome is Outcome.FOUND,
        won or 0.0,
        needed,
        sum(seconds[:needed]),
    )


def figures(given: Sequence[Answer]) -> list[Entry]:
    """The figures of each number of votes, and what the share of the most says."""
    entries = []
    for votes in VOTES:
        mine = [answer for answer in given if answer.votes == votes]
        for what, count in (
            ("right answers", sum(answer.right for answer in mine)),
            ("wrong objects", sum(answer.wrong_object for answer in mine)),
            ("questions and give-ups", sum(answer.passed_on for answer in mine)),
        ):
            entries.append(reported(f"{votes} votes: {what}", count, "", share_in_words(count, len(mine))))
        episodes, seconds = (float(np.mean([value(one) for one in mine])) for value in (_run, _seconds))
        entries.append(reported(f"{votes} votes: episodes a goal", episodes, "", f"{seconds:.2f} s of one core"))
    for low, high in SHARES:
        mine = [one for one in given if one.votes == max(VOTES) and one.found and low <= one.share < high]
        right = sum(answer.right for answer in mine)
        name = f"{max(VOTES)} votes: FOUND with a share of {low:g}" + (f" to {high:g}" if low < 1 else "")
        entries.append(reported(f"{name}, right", right, "", share_in_words(right, len(mine)) if mine else "none"))
    return entries


def _run(answer: Answer) -> int:
    return answer.run


def _seconds(answer: Answer) -> float:
    return answer.seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=span, default=HELD_OUT, metavar="A:B", help="worlds (default: 7000:7300)")
    parser.add_argument("--workers", type=int, default=WORKERS, help="processes (default: 2)")
    options = parser.parse_args(argv)
    for entry in figures(answers(options.seeds, options.workers)):
        print(f"{entry.name}: {entry.value:g} {entry.unit} ({entry.note})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
