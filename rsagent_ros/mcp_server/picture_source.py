"""`PictureSource`: the agent on one picture file, without ROS."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.follow_up import exchanges_after
from rsagent_ros.agent.outcome import Instance
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.backends import Models
from rsagent_ros.mcp_server.source import GoalReport, SourceError
from rsagent_ros.records.record import answer_mask
from rsagent_ros.viewer.folder import summary

KEPT = 200
"""Questions that can still be answered."""


class PictureSource:
    """Every goal looks at the same picture."""

    def __init__(self, path: Path, image: NDArray[np.uint8], models: Models, budget: Budget) -> None:
        """Take the models into use; `close` closes them.

        Args:
            path: Of the picture, for people.
            image: (H, W, 3) uint8 RGB.
            models: Policy and segmenter.
            budget: Of each goal.
        """
        self._path = path
        self._image = image
        self._models = models
        self._budget = budget
        self._ids = itertools.count(1)
        self._questions: dict[str, tuple[Exchange, ...]] = {}

    def ask(self, instruction: str, camera: str, follows: str, cancel: CancelToken) -> GoalReport:
        """Look for something in the picture; see `Source.ask`."""
        if camera:
            raise SourceError(f"there is no camera {camera!r}: this server looks at one picture; leave camera empty")
        if follows and follows not in self._questions:
            raise SourceError(f"goal {follows!r} asked nothing, or is unknown; use ask with the whole instruction")
        models, goal_id = self._models, f"picture-{next(self._ids)}"
        episode = Episode(
            self._image,
            instruction,
            models.segmenter,
            self._budget,
            goal_id=goal_id,
            policy_name=models.policy.name,
            pictures=models.policy.pictures,
            previous=self._questions.get(follows, ()),
        )
        result = drive(episode, models.policy, cancel)
        trace = episode.trace
        if (exchanges := exchanges_after(trace)) is not None:
            self._questions[goal_id] = exchanges
            while len(self._questions) > KEPT:
                del self._questions[next(iter(self._questions))]
        mask = answer_mask(trace)
        shown = result.candidates or result.instances
        facts = {"goal_id": goal_id} | summary(trace, mask) | {"objects": [_object(one) for one in shown]}
        return GoalReport(facts, self._image, mask)

    def status(self) -> dict[str, Any]:
        """The models and the picture."""
        height, width = self._image.shape[:2]
        return {
            "state": "active",
            "picture": str(self._path),
            "width": width,
            "height": height,
            "policy": self._models.policy.name,
            "segmenter": self._models.segmenter.name,
        }

    def judge(self, goal_id: str, accepted: bool, absent: bool, note: str) -> None:
        """Refuse: nothing is recorded here."""
        raise SourceError("verdicts are about goals of a robot, whose records they go to; this server has a picture")

    def close(self) -> None:
        """Close the models."""
        self._models.close()


def _object(one: Instance) -> dict[str, Any]:
    box = [round(edge) for edge in (one.box.x0, one.box.y0, one.box.x1, one.box.y1)]
    return {"box": box, "confidence": round(one.confidence, 3)}
