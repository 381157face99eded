"""The agent on every goal of a bag, with a folder of results for each. Needs no ROS."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rsagent_ros.agent.accounting import counted
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.follow_up import exchanges_after
from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.agent.turn import Trace
from rsagent_ros.backends import Models
from rsagent_ros.data.example import Example
from rsagent_ros.data.ref import Skipped
from rsagent_ros.records.bag import Bag
from rsagent_ros.records.bag_examples import bag_examples
from rsagent_ros.records.bag_goals import BagGoal
from rsagent_ros.records.bag_index import BagIndex, index_bag
from rsagent_ros.records.camera_topics import camera_topics
from rsagent_ros.records.image_choice import ImageChoiceConfig
from rsagent_ros.records.limits import KEEP_ALL
from rsagent_ros.records.message_fields import stamp_of
from rsagent_ros.records.record import Record, answer_mask
from rsagent_ros.records.writer import RecordWriter
from rsagent_ros.viewer.folder import summary, write_folder
from rsagent_ros.viewer.page import Shown

log = logging.getLogger(__name__)

RESULTS = "results.jsonl"
DONE, FAILED, SKIPPED = 0, 1, 3
"""Exit codes; 2 is bad usage."""


class ReplayError(ValueError):
    """The bag can't be replayed as the command line says; the message says what to change."""


@dataclass(frozen=True)
class ReplayConfig:
    """Settings of a replay.

    Attributes:
        bag: Its folder or one of its files.
        out: Folder of the results.
        topic, depth: Of the images and the depth images; empty where only one can be meant.
        goals: Instructions to ask of the first image, besides the goals of the bag.
        every: Seconds after which `goals` are asked again; 0 for never.
        record: Folder of the records to write; None for none.
        budget: Of a goal that names none.
        images: Bounds on the image that a goal accepts.
    """

    bag: Path
    out: Path
    topic: str
    depth: str
    goals: tuple[str, ...]
    every: float
    record: Path | None
    budget: Budget
    images: ImageChoiceConfig


class BagReplay:
    """One replay of a bag."""

    def __init__(self, config: ReplayConfig, models: Models) -> None:
        self._config = config
        self._models = models
        self._writer = None if config.record is None else RecordWriter(config.record, KEEP_ALL)
        self._complaints = 0
        self._outcomes: Counter[str] = Counter()
        self._questions: dict[str, tuple[Exchange, ...]] = {}

    def run(self) -> int:
        """Play all goals, with a line on stdout for each; returns the exit code. Blocks until all have ended.

        Raises:
            FileNotFoundError: There is no bag.
            ReplayError: It can't be replayed so.
        """
        config = self._config
        with Bag(config.bag, self._complain) as bag:
            index = index_bag(bag)
            if not index.count:
                log.error("%s: no images and no goals could be read", config.bag)
                return FAILED
            if index.redactions and config.record is not None:
                raise ReplayError(
                    f"{config.bag}: its images are redacted ({', '.join(sorted(index.redactions))}), and records of "
                    "them would not be what a camera saw: leave out --record"
                )
            try:
                topics = camera_topics(index, config.topic, config.depth)
            except ValueError as error:
                raise ReplayError(f"{config.bag}: {error} (--topic, --depth)") from error
            index.goals += list(_own_goals(index, topics.image, config))
            if not index.goals:
                raise ReplayError(f"{config.bag}: it holds no goals; say what to look for with --goal WORDS")
            _print(f"{len(index.refs.get(topics.image, []))} images on {topics.image}, {len(index.goals)} goals")
            config.out.mkdir(parents=True, exist_ok=True)
            with (config.out / RESULTS).open("x", encoding="utf-8") as results:
                for number, (goal, example) in enumerate(bag_examples(bag, index, topics, config.images), 1):
                    row = self._goal(f"{number}/{len(index.goals)}", number, goal, example)
                    results.write(json.dumps(row) + "\n")
                    results.flush()
        _print(f"{config.out / RESULTS}: " + ", ".join(f"{count} {name}" for name, count in self._outcomes.items()))
        if self._outcomes[Outcome.FAILED]:
            return FAILED
        return SKIPPED if self._complaints or self._outcomes["skipped"] else DONE

    def _goal(self, count: str, number: int, goal: BagGoal, example: Example | Skipped) -> dict[str, Any]:
        """Play one goal; returns its line of results.jsonl."""
        row: dict[str, Any] = {"goal_id": goal.goal_id, "instruction": goal.instruction, "time_ns": goal.time}
        if isinstance(example, Skipped):
            reason = example.reason
        else:
            try:
                return row | self._play(count, number, goal, example)
            except RunFailed as failure:  # the instruction or the image is not one to begin with
                reason = failure.message
        self._outcomes["skipped"] += 1
        _print(f"{count} {goal.instruction!r}: skipped")
        log.warning("goal %r (%r) is skipped: %s", goal.goal_id, goal.instruction, reason)
        return row | {"skipped": reason}

    def _play(self, count: str, number: int, goal: BagGoal, example: Example) -> dict[str, Any]:
        models, budget = self._models, self._config.budget
        recorded = _recorded_trace(goal)
        episode = Episode(
            example.image,
            example.instruction,
            models.segmenter,
            replace(
                budget,
                seconds=goal.time_budget if 0 < goal.time_budget < math.inf else budget.seconds,
                max_turns=goal.max_turns or budget.max_turns,
            ),
            goal_id=goal.goal_id,
            policy_name=models.policy.name,
            pictures=models.policy.pictures,
            previous=self._previous(goal) if recorded is None else recorded.previous,
        )
        result = drive(episode, models.policy)
        trace = episode.trace
        if (exchanges := exchanges_after(trace)) is not None:
            self._questions[goal.goal_id] = exchanges
        self._outcomes[result.outcome] += 1
        error = f" ({result.error_msg})" if result.error_msg else ""
        turns = counted(result.turns)
        _print(f"{count} {goal.instruction!r}: {result.outcome}{error}, {turns}, {result.total_seconds:.2f} s")
        folder = f"{number:04d}-{re.sub(r'[^A-Za-z0-9_-]', '_', goal.goal_id)[:64]}"
        write_folder(self._config.out / folder, Shown(trace, example.image))
        if self._writer is not None:
            self._writer.write(
                Record(
                    goal_id=goal.goal_id,
                    stamp_ns=goal.image_stamp,
                    camera=goal.camera,
                    image=example.image,
                    trace=trace,
                    depth=example.depth,
                    camera_info=example.camera,
                    frame_id=goal.frame_id,
                )
            )
        facts = {
            "stamp_ns": goal.image_stamp,
            "folder": folder,
            "recorded": None if recorded is None else _compared(goal, recorded, trace),
        }
        return summary(trace, answer_mask(trace)) | facts

    def _previous(self, goal: BagGoal) -> tuple[Exchange, ...]:
        """The questions before a goal that follows up another one.

        Raises:
            RunFailed: FOLLOW_UP_UNKNOWN: the other one asked nothing here.
        """
        if goal.previous_id and goal.previous_id not in self._questions:
            raise RunFailed(
                ErrorCode.FOLLOW_UP_UNKNOWN, f"it follows up {goal.previous_id!r}, which asked nothing in this run"
            )
        return self._questions.get(goal.previous_id, ())

    def _complain(self, sentence: str) -> None:
        self._complaints += 1
        log.warning("%s", sentence)


def _own_goals(index: BagIndex, topic: str, config: ReplayConfig) -> Iterator[BagGoal]:
    """The goals of the command line: each on the first image, and again after so many seconds."""
    moments: list[int] = []
    for image in index.refs.get(topic, []):
        if not moments or (config.every and image.stamp - moments[-1] >= config.every * 1e9):
            moments.append(image.stamp)
    for number, moment in enumerate(moments, 1):
        for place, instruction in enumerate(config.goals, 1):
            yield BagGoal(f"asked-{number}-{place}", instruction.strip(), index.count, moment, moment)


def _recorded_trace(goal: BagGoal) -> Trace | None:
    """The robot's own episode about the goal; None where that is unknown."""
    if goal.result is None or not goal.result.trace:
        return None
    try:
        return Trace.from_json(goal.result.trace)
    except ValueError as error:
        log.warning("goal %r: its recorded trace can't be compared: %s", goal.goal_id, error)
        return None


def _compared(goal: BagGoal, recorded: Trace, now: Trace) -> dict[str, Any]:
    """The recorded end, and the IoU of the recorded mask and the one of this replay."""
    old, new = answer_mask(recorded), answer_mask(now)
    return {
        "outcome": recorded.outcome,
        "same_image": stamp_of(goal.result.header.stamp) == goal.image_stamp,
        "iou": iou(old, new) if old is not None and new is not None and old.shape == new.shape else None,
    }


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
