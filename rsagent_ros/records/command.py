"""`rsagent replay`: the agent on every goal of a bag, or the check that records repeat to the bit. Needs no ROS."""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.agent.turn import Trace
from rsagent_ros.backends import Models, add_arguments, chosen, open_models
from rsagent_ros.records.bag import Bag
from rsagent_ros.records.cameras import camera_topics
from rsagent_ros.records.frames import Patience
from rsagent_ros.records.limits import KEEP_ALL
from rsagent_ros.records.looks import Look, Skipped, looks
from rsagent_ros.records.messages import stamp_of
from rsagent_ros.records.reader import read_records
from rsagent_ros.records.record import Record, answer_mask
from rsagent_ros.records.replay import replay
from rsagent_ros.records.requests import Asked
from rsagent_ros.records.survey import Survey, survey
from rsagent_ros.records.writer import RecordWriter
from rsagent_ros.viewer.folder import summary, write_folder
from rsagent_ros.viewer.page import Shown

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

log = logging.getLogger(__name__)

RESULTS = "results.jsonl"
DONE, FAILED, SKIPPED = 0, 1, 3
"""Exit codes; 2 is bad usage."""


def add_command(commands: Commands) -> None:
    """Add `replay` to the subcommands of `rsagent`."""
    parser = commands.add_parser(
        "replay",
        help="run the agent on the goals of a bag, without ROS",
        description="Run the agent on each goal of a rosbag2 bag, on the image it would have looked at, and write a "
        "folder of results for each. Damaged bags are read as far as they go. Exit codes: 0 all was done, 3 something "
        "was skipped (listed on stderr and in results.jsonl), 1 a goal or the bag failed, 2 bad usage.",
    )
    defaults, patience = Budget(), Patience()
    parser.add_argument("bag", type=Path, metavar="BAG", help="its folder, or one .mcap or .db3 file; records too")
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"folder for the results; {RESULTS} lists them")
    parser.add_argument("--topic", default="", help="of the images; not needed where only one can be meant")
    parser.add_argument("--depth", default="", metavar="TOPIC", help="of the depth images; likewise")
    parser.add_argument(
        "--goal", action="append", default=[], metavar="WORDS", help="ask this, too, of the first image; repeatable"
    )
    parser.add_argument(
        "--every", type=float, default=0.0, metavar="SECONDS", help="ask each --goal again after so many seconds"
    )
    parser.add_argument("--record", type=Path, metavar="DIR", help="also write records, as the node's record_dir has")
    parser.add_argument(
        "--recorded",
        action="store_true",
        help="BAG is a record or a folder of records: play the recorded replies back, and compare all masks to the bit",
    )
    parser.add_argument("--budget", type=float, default=defaults.seconds, metavar="SECONDS", help="default %(default)g")
    parser.add_argument("--max-turns", type=int, default=defaults.max_turns, metavar="N", help="default %(default)d")
    parser.add_argument("--second-look", action="store_true", help="ask again in a fresh conversation before FOUND")
    for name, value in vars(patience).items():
        meaning = "as the node's parameter of that name (%(default)g)"
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=value, metavar="SECONDS", help=meaning)
    add_arguments(parser)
    parser.set_defaults(command=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if not arguments.bag.exists():
        parser.error(f"{arguments.bag}: there is no such bag")
    try:
        choice = chosen(arguments)
        budget = Budget(arguments.budget, arguments.max_turns, second_look=arguments.second_look)
        patience = Patience(arguments.stamp_tolerance, arguments.max_frame_age, arguments.frame_timeout)
    except ValueError as error:
        parser.error(str(error))
    if not arguments.every >= 0 or not all(words.strip() for words in arguments.goal):
        parser.error("--every is a number of seconds, and a --goal has words")
    if not arguments.recorded and (arguments.out is None or (arguments.out / RESULTS).exists()):
        parser.error("--out is needed: a folder without results.jsonl; those of an earlier run are not overwritten")
    with open_models(choice) as models:
        if arguments.recorded:
            return _check_records(arguments.bag, models)
        return _Replay(arguments, models, budget, patience).run(parser)


class _Replay:
    """One run of the agent over one bag."""

    def __init__(self, arguments: argparse.Namespace, models: Models, budget: Budget, patience: Patience) -> None:
        self._arguments = arguments
        self._models = models
        self._budget = budget
        self._patience = patience
        self._writer = None if arguments.record is None else RecordWriter(arguments.record, KEEP_ALL)
        self._lost = 0
        self._outcomes: Counter[str] = Counter()
        self._asked: dict[str, tuple[Exchange, ...]] = {}

    def run(self, parser: argparse.ArgumentParser) -> int:
        arguments = self._arguments
        try:
            bag = Bag(arguments.bag, self._complain)
        except FileNotFoundError as error:
            parser.error(str(error))
        with bag:
            found = survey(bag)
            if not found.count:
                log.error("%s: no images and no goals could be read", arguments.bag)
                return FAILED
            if found.redactions and arguments.record is not None:
                parser.error(
                    f"{arguments.bag}: its images are redacted ({', '.join(sorted(found.redactions))}), and records of "
                    "them would not be what a camera saw: leave out --record"
                )
            try:
                topics = camera_topics(found, arguments.topic, arguments.depth)
            except ValueError as error:
                parser.error(f"{arguments.bag}: {error} (--topic, --depth)")
            found.goals += list(_own_goals(found, topics.image, arguments.goal, arguments.every))
            if not found.goals:
                parser.error(f"{arguments.bag}: nothing was asked in it; say what to look for with --goal WORDS")
            _say(f"{len(found.seen.get(topics.image, []))} images on {topics.image}, {len(found.goals)} goals")
            arguments.out.mkdir(parents=True, exist_ok=True)
            with (arguments.out / RESULTS).open("x", encoding="utf-8") as results:
                for number, look in enumerate(looks(bag, found, topics, self._patience), 1):
                    row = self._goal(f"{number}/{len(found.goals)}", number, look)
                    results.write(json.dumps(row) + "\n")
                    results.flush()
        _say(f"{arguments.out / RESULTS}: " + ", ".join(f"{count} {name}" for name, count in self._outcomes.items()))
        if self._outcomes[Outcome.FAILED]:
            return FAILED
        return SKIPPED if self._lost or self._outcomes["skipped"] else DONE

    def _goal(self, place: str, number: int, look: Look | Skipped) -> dict[str, Any]:
        """Run one goal; returns its line of results.jsonl."""
        goal = look.goal
        row: dict[str, Any] = {"goal_id": goal.goal_id, "instruction": goal.instruction, "time_ns": goal.time}
        if isinstance(look, Look):
            try:
                return row | self._look(place, number, look)
            except RunFailed as failure:  # the instruction or the image is not one to begin with
                look = Skipped(goal, failure.message)
        self._outcomes["skipped"] += 1
        _say(f"{place} {goal.instruction!r}: skipped")
        log.warning("goal %r (%r) is skipped: %s", goal.goal_id, goal.instruction, look.reason)
        return row | {"skipped": look.reason}

    def _look(self, place: str, number: int, look: Look) -> dict[str, Any]:
        goal, models = look.goal, self._models
        then = _recorded_trace(goal)
        episode = Episode(
            look.rgb,
            goal.instruction,
            models.segmenter,
            replace(
                self._budget,
                seconds=goal.time_budget if goal.time_budget > 0 else self._budget.seconds,
                max_turns=goal.max_turns or self._budget.max_turns,
            ),
            goal_id=goal.goal_id,
            policy_name=models.policy.name,
            pictures=models.policy.pictures,
            previous=self._previous(goal) if then is None else then.previous,
        )
        result = drive(episode, models.policy)
        trace = episode.trace
        if result.outcome is Outcome.AMBIGUOUS:
            self._asked[goal.goal_id] = (*trace.previous, Exchange(trace.instruction, result.question))
        self._outcomes[result.outcome] += 1
        told = f" ({result.error_msg})" if result.error_msg else ""
        _say(
            f"{place} {goal.instruction!r}: {result.outcome}{told}, {result.turns} turns, {result.total_seconds:.2f} s"
        )
        folder = f"{number:04d}-{re.sub(r'[^A-Za-z0-9_-]', '_', goal.goal_id)[:64]}"
        write_folder(self._arguments.out / folder, Shown(trace, look.rgb))
        if self._writer is not None:
            self._writer.write(
                Record(
                    goal_id=goal.goal_id,
                    stamp_ns=look.stamp_ns,
                    camera=goal.camera,
                    image=look.rgb,
                    trace=trace,
                    depth=look.depth,
                    camera_info=look.camera_info,
                    frame_id=look.frame_id,
                )
            )
        facts = {
            "stamp_ns": look.stamp_ns,
            "folder": folder,
            "recorded": None if then is None else _compared(look, then, trace),
        }
        return summary(trace, answer_mask(trace)) | facts

    def _previous(self, goal: Asked) -> tuple[Exchange, ...]:
        """What was said before a goal that follows up another one.

        Raises:
            RunFailed: FOLLOW_UP_UNKNOWN: the other one asked nothing here.
        """
        if goal.previous_id and goal.previous_id not in self._asked:
            raise RunFailed(
                ErrorCode.FOLLOW_UP_UNKNOWN, f"it follows up {goal.previous_id!r}, which was not ambiguous in this run"
            )
        return self._asked.get(goal.previous_id, ())

    def _complain(self, sentence: str) -> None:
        self._lost += 1
        log.warning("%s", sentence)


def _own_goals(found: Survey, topic: str, words: list[str], every: float) -> Iterator[Asked]:
    """The goals of the command line: each on the first image, and again after so many seconds."""
    moments: list[int] = []
    for seen in found.seen.get(topic, []):
        if not moments or (every and seen.stamp - moments[-1] >= every * 1e9):
            moments.append(seen.stamp)
    for number, moment in enumerate(moments, 1):
        for index, asked in enumerate(words, 1):
            yield Asked(f"asked-{number}-{index}", asked.strip(), found.count, moment, moment)


def _recorded_trace(goal: Asked) -> Trace | None:
    """What the robot did about it then; None where that is unknown."""
    if goal.result is None or not goal.result.trace:
        return None
    try:
        return Trace.from_json(goal.result.trace)
    except ValueError as error:
        log.warning("goal %r: its recorded trace can't be compared: %s", goal.goal_id, error)
        return None


def _compared(look: Look, then: Trace, now: Trace) -> dict[str, Any]:
    """How it ended then, and how much of the mask of then this run agrees with."""
    old, new = answer_mask(then), answer_mask(now)
    return {
        "outcome": then.outcome,
        "same_image": stamp_of(look.goal.result.header.stamp) == look.stamp_ns,
        "iou": iou(old, new) if old is not None and new is not None and old.shape == new.shape else None,
    }


def _check_records(path: Path, models: Models) -> int:
    """Play records back; a difference is a failure."""
    counts = Counter({"same": 0, "different": 0, "problems": 0})

    def complain(sentence: str) -> None:
        counts["problems"] += 1
        log.warning("%s", sentence)

    for record in read_records(path, complain):
        if record.redaction != "none":
            counts["redacted"] += 1
            _say(f"{record.goal_id}: not repeated, its image is redacted ({record.redaction})")
            continue
        try:
            played = replay(record, models.segmenter)
        except RunFailed as failure:
            complain(f"goal {record.goal_id!r}: {failure.message}")
            continue
        counts["same" if played.same else "different"] += 1
        verdict = "the same, to the bit" if played.same else "different"
        _say(f"{record.goal_id}: {verdict}, {len(played.trace.turns)} turns")
        for difference in played.found:
            _say(f"  {difference}")
    _say(", ".join(f"{count} {name}" for name, count in counts.items()))
    if counts["different"]:
        return FAILED
    return SKIPPED if counts["problems"] or counts["redacted"] else DONE


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
