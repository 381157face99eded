"""Answered goals of a bag as records, with the verdicts about them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.ref import Skipped
from rsagent_ros.records.bag import Bag
from rsagent_ros.records.bag_examples import bag_examples
from rsagent_ros.records.bag_goals import BagGoal
from rsagent_ros.records.bag_index import index_bag
from rsagent_ros.records.camera_topics import camera_topics
from rsagent_ros.records.image_choice import ImageChoiceConfig
from rsagent_ros.records.message_fields import stamp_of
from rsagent_ros.records.record import REDACTIONS, Record, Redaction

log = logging.getLogger(__name__)

_SAME = ImageChoiceConfig(stamp_tolerance=0.001)
"""The image of a result is the one with its very stamp; a millisecond for recorders that round."""


def bag_records(path: Path, complain: Callable[[str], object] = log.warning) -> Iterator[Record]:
    """The goals of a bag whose result was recorded, on the image of that result, with their verdicts.

    Args:
        path: The bag: its folder or one of its files.
        complain: Called with a sentence for all that could not be read; the rest is.

    Raises:
        FileNotFoundError: There is no bag.
        ValueError: It has no camera, or several; or a redaction that this release does not know.
    """
    with Bag(path, complain) as bag:
        index = index_bag(bag)
        index.goals = [_on_its_image(goal) for goal in index.goals if goal.result is not None and goal.result.trace]
        if not index.goals:
            return
        redaction = _redaction(index.redactions)
        for goal, example in bag_examples(bag, index, camera_topics(index), _SAME):
            if isinstance(example, Skipped):
                complain(f"{path}: goal {goal.goal_id!r}: {example.reason}")
                continue
            try:
                yield Record(
                    goal.goal_id,
                    goal.image_stamp,
                    goal.result.camera,
                    example.image,
                    Trace.from_json(goal.result.trace),
                    example.depth,
                    example.camera,
                    tuple(verdict for verdict in index.verdicts if verdict.goal_id == goal.goal_id),
                    goal.frame_id,
                    redaction,
                )
            except ValueError as error:
                complain(f"{path}: goal {goal.goal_id!r}: {error}")


def _redaction(names: set[str]) -> Redaction:
    """The one that takes most, for all of the bag: it does not name the image."""
    unknown = sorted(names.difference(REDACTIONS))
    if unknown:
        raise ValueError(f"its images have the redaction {unknown[0]!r}; this release knows {', '.join(REDACTIONS)}")
    return max((one for one in REDACTIONS if one in names), key=REDACTIONS.index, default="none")


def _on_its_image(goal: BagGoal) -> BagGoal:
    return replace(goal, camera="", stamp=stamp_of(goal.result.header.stamp))
