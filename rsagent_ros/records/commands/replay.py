"""`rsagent replay`: the agent on every goal of a bag, or the check that records repeat to the bit. Needs no ROS."""

from __future__ import annotations

import argparse
import logging
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rsagent_ros.agent.accounting import counted
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.backends import Models, add_arguments, chosen, open_models
from rsagent_ros.budget_arguments import add_budget_arguments, budget_of
from rsagent_ros.records.bag_replay import DONE, FAILED, RESULTS, SKIPPED, BagReplay, ReplayConfig, ReplayError
from rsagent_ros.records.image_choice import ImageChoiceConfig
from rsagent_ros.records.reader import read_records
from rsagent_ros.records.replay import replay

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

log = logging.getLogger(__name__)


def add_command(commands: Commands) -> None:
    """Add `replay` to the subcommands of `rsagent`."""
    parser = commands.add_parser(
        "replay",
        help="run the agent on the goals of a bag, without ROS",
        description="Run the agent on each goal of a rosbag2 bag, on the image it would have looked at, and write a "
        "folder of results for each. Damaged bags are read as far as they go. Exit codes: 0 all was done, 3 something "
        "was skipped (listed on stderr and in results.jsonl), 1 a goal or the bag failed, 2 bad usage.",
    )
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
    add_budget_arguments(parser)
    for name, value in vars(ImageChoiceConfig()).items():
        meaning = "as the node's parameter of that name (%(default)g)"
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=value, metavar="SECONDS", help=meaning)
    add_arguments(parser)
    parser.set_defaults(command=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if not arguments.bag.exists():
        parser.error(f"{arguments.bag}: there is no such bag")
    try:
        choice = chosen(arguments)
        budget = budget_of(arguments)
        images = ImageChoiceConfig(arguments.stamp_tolerance, arguments.max_frame_age, arguments.frame_timeout)
    except ValueError as error:
        parser.error(str(error))
    if not arguments.every >= 0 or not all(words.strip() for words in arguments.goal):
        parser.error("--every is a number of seconds, and a --goal has words")
    if not arguments.recorded and (arguments.out is None or (arguments.out / RESULTS).exists()):
        parser.error("--out is needed: a folder without results.jsonl; those of an earlier run are not overwritten")
    with open_models(choice) as models:
        if arguments.recorded:
            return _check_records(arguments.bag, models)
        config = ReplayConfig(
            arguments.bag,
            arguments.out,
            arguments.topic,
            arguments.depth,
            tuple(arguments.goal),
            arguments.every,
            arguments.record,
            budget,
            images,
        )
        try:
            return BagReplay(config, models).run()
        except (FileNotFoundError, ReplayError) as error:
            parser.error(str(error))


def _check_records(path: Path, models: Models) -> int:
    """Play records back; a difference is a failure."""
    counts = Counter({"same": 0, "different": 0, "problems": 0})

    def complain(sentence: str) -> None:
        counts["problems"] += 1
        log.warning("%s", sentence)

    for record in read_records(path, complain):
        if record.redaction != "none":
            counts["redacted"] += 1
            _print(f"{record.goal_id}: not repeated, its image is redacted ({record.redaction})")
            continue
        try:
            played = replay(record, models.segmenter)
        except RunFailed as failure:
            complain(f"goal {record.goal_id!r}: {failure.message}")
            continue
        counts["same" if played.same else "different"] += 1
        verdict = "the same, to the bit" if played.same else "different"
        turns = counted(len(played.trace.turns))
        _print(f"{record.goal_id}: {verdict}, {turns}")
        for difference in played.found:
            _print(f"  {difference}")
    _print(", ".join(f"{count} {name}" for name, count in counts.items()))
    if counts["different"]:
        return FAILED
    return SKIPPED if counts["problems"] or counts["redacted"] else DONE


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
