"""What a bag holds of goals that a node answered and that somebody judged, as records."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from rsagent_ros.agent.turn import Trace
from rsagent_ros.records.bag import Bag
from rsagent_ros.records.cameras import camera_topics
from rsagent_ros.records.frames import Patience
from rsagent_ros.records.looks import Look, looks
from rsagent_ros.records.messages import stamp_of
from rsagent_ros.records.record import REDACTIONS, Record, Redaction
from rsagent_ros.records.requests import Asked
from rsagent_ros.records.survey import survey

log = logging.getLogger(__name__)

_SAME = Patience(stamp_tolerance=0.001)
"""The image of a result is the one with its very stamp; a millisecond for recorders that round."""


def answered_goals(path: Path, complain: Callable[[str], object] = log.warning) -> Iterator[Record]:
    """The goals of a bag whose result was recorded, on the image of that result, with their verdicts.

    Args:
        path: The bag: its folder or one of its files.
        complain: Called with a sentence for all that could not be read; the rest is.

    Raises:
        FileNotFoundError: There is no bag.
        ValueError: It has no camera, or several; or a redaction that this release does not know.
    """
    with Bag(path, complain) as bag:
        found = survey(bag)
        found.goals = [_on_its_image(goal) for goal in found.goals if goal.result is not None and goal.result.trace]
        if not found.goals:
            return
        redaction = _redaction(found.redactions)
        for look in looks(bag, found, camera_topics(found), _SAME):
            name = look.goal.goal_id
            if not isinstance(look, Look):
                complain(f"{path}: goal {name!r}: {look.reason}")
                continue
            try:
                yield Record(
                    name,
                    look.stamp_ns,
                    look.goal.result.camera,
                    look.rgb,
                    Trace.from_json(look.goal.result.trace),
                    look.depth,
                    look.camera_info,
                    tuple(verdict for verdict in found.verdicts if verdict.goal_id == name),
                    look.frame_id,
                    redaction,
                )
            except ValueError as error:
                complain(f"{path}: goal {name!r}: {error}")


def _redaction(told: set[str]) -> Redaction:
    """The one that takes most, for all of the bag: it does not say of which image."""
    unknown = sorted(told.difference(REDACTIONS))
    if unknown:
        raise ValueError(f"its images have the redaction {unknown[0]!r}; this release knows {', '.join(REDACTIONS)}")
    return max((one for one in REDACTIONS if one in told), key=REDACTIONS.index, default="none")


def _on_its_image(goal: Asked) -> Asked:
    return replace(goal, camera="", stamp=stamp_of(goal.result.header.stamp))
