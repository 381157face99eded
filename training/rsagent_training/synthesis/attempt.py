"""One episode of a teacher on one scene."""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import msgspec

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.turn import Trace
from rsagent_ros.backends import Choice, open_models
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.prediction import is_bad_reply
from rsagent_training.expert import Expert
from rsagent_training.rewards.quality import trajectory_iou
from rsagent_training.scene_index import SceneIndex
from rsagent_training.synthesis.config import SynthesisConfig

TeacherKind = Literal["expert", "policy"]


@dataclass(frozen=True)
class AttemptSpec:
    """One attempt that is to be made.

    Attributes:
        folder: Of the scenes.
        scene_id: In it.
        number: Of the attempt on this scene, from 0.
    """

    folder: str
    scene_id: str
    number: int

    @property
    def id(self) -> str:
        """Id of the attempt, and of the trajectory that may come of it."""
        return f"{self.scene_id}-t{self.number}"


@dataclass(frozen=True)
class Attempt:
    """One episode of a teacher, and how good it is.

    Attributes:
        id, scene_id: As in the specification.
        expected: How an episode on the scene should end.
        picture: Digest of the scene's image; scenes of one image have it in common.
        learn: For each turn, whether its reply is worth learning.
        iou: As in `Trajectory`.
        trace: The episode.
    """

    id: str
    scene_id: str
    expected: Outcome
    picture: str
    learn: tuple[bool, ...]
    iou: float
    trace: Trace


@dataclass(frozen=True)
class TeacherConfig:
    """The teacher and its settings; picklable, so that every worker can make its own `AttemptRunner` of it.

    Attributes:
        kind: The scripted expert, or the policy of `choice`.
        choice: Policy and segmenter with their settings; of the expert, only the segmenter is used.
        pictures: The format of the expert's chat; a policy has its own.
        seed: Of the expert.
        config: Budget, and the expert's ways.
    """

    kind: TeacherKind
    choice: Choice
    pictures: PictureFormat
    seed: int
    config: SynthesisConfig

    def open(self) -> AttemptRunner:
        """Load what is needed; blocks meanwhile."""
        return AttemptRunner(self)


class AttemptRunner:
    """Runs attempts; keeps its models loaded between them."""

    def __init__(self, teacher: TeacherConfig) -> None:
        """Load policy and segmenter.

        Raises:
            RunFailed: A model can't be used.
        """
        cv2.setNumThreads(1)  # workers would only get into each other's way
        self._teacher = teacher
        self._models = open_models(teacher.choice)

    def __call__(self, spec: AttemptSpec) -> bytes:
        """Make one attempt; returns it as a line for the log."""
        scene = SceneIndex.cached(spec.folder)[spec.scene_id]
        trace, learn = self._run(scene, spec)
        attempt = Attempt(
            spec.id,
            scene.id,
            scene.require_expected(),
            picture_of(scene),
            tuple(
                good and not is_bad_reply(turn) and not turn.slips
                for good, turn in zip(learn, trace.turns, strict=True)
            ),
            trajectory_iou(trace, scene),
            trace,
        )
        return to_line(attempt)

    def _run(self, scene: Example, spec: AttemptSpec) -> tuple[Trace, tuple[bool, ...]]:
        config = self._teacher.config
        budget = Budget(seconds=config.budget_seconds, max_turns=config.budget_turns)
        segmenter = self._models.segmenter
        if self._teacher.kind == "policy":
            policy = self._models.policy
            episode = Episode(
                scene.image, scene.instruction, segmenter, budget,
                goal_id=spec.id, policy_name=policy.name, pictures=policy.pictures, previous=scene.previous,
            )  # fmt: skip
            drive(episode, policy)
            return episode.trace, (True,) * len(episode.trace.turns)
        # Of the scene's name and not of its place: the same scene gives the same episode in any set.
        seed = [self._teacher.seed, zlib.crc32(scene.id.encode()), spec.number]
        expert = Expert(scene, seed, self._teacher.pictures, config.expert)
        episode = Episode(
            scene.image, scene.instruction, segmenter, budget,
            goal_id=spec.id, policy_name=expert.name, pictures=expert.pictures, previous=scene.previous,
        )  # fmt: skip
        drive(episode, expert, on_turn=expert.see)
        return episode.trace, expert.learn[: len(episode.trace.turns)]


def picture_of(scene: Example) -> str:
    """Digest of a scene's image."""
    return hashlib.sha256(scene.image.tobytes()).hexdigest()[:16]


@dataclass(frozen=True)
class _AttemptLine:
    id: str
    scene_id: str
    expected: Outcome
    picture: str
    learn: tuple[bool, ...]
    iou: float
    trace: msgspec.Raw


def to_line(attempt: Attempt) -> bytes:
    """An attempt as one line of JSON."""
    fields: dict[str, Any] = vars(attempt) | {"trace": msgspec.Raw(attempt.trace.to_json().encode())}
    return msgspec.json.encode(_AttemptLine(**fields)) + b"\n"


def from_line(line: bytes) -> Attempt:
    """The attempt of a line.

    Raises:
        ValueError: Not an attempt, or its trace is of another version.
    """
    try:
        row = msgspec.json.decode(line, type=_AttemptLine)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ValueError(f"not an attempt: {error}") from error
    return Attempt(**vars(row) | {"trace": Trace.from_json(bytes(row.trace))})
