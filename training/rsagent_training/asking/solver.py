"""Another model tries each question, in OUR episode: kept are those that it solves sometimes but not always."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.backends import Choice, open_models
from rsagent_ros.data.example import Example
from rsagent_training.asking.config import QuestionsConfig
from rsagent_training.rewards.quality import trajectory_iou
from rsagent_training.scene_index import SceneIndex

CATEGORY = "implicit"


@dataclass(frozen=True)
class Question:
    """One question that is to be tried.

    Attributes:
        id: Of the question, and of the scene that it may become.
        folder, scene_id: The scene it is about.
        text: The question.
    """

    id: str
    folder: str
    scene_id: str
    text: str

    def ask(self, scene: Example, writer: str) -> Example:
        """The scene with this question."""
        return replace(
            scene, id=self.id, instruction=self.text, source=f"{scene.source} question={writer}", tags=(CATEGORY,)
        )


@dataclass(frozen=True)
class Tried:
    """Count of how often a question was solved.

    Attributes:
        id: Of the question.
        solved, tries: Counts.
        failed: Tries that ended as FAILED, which say nothing about the question.
        error: Of the last of these.
    """

    id: str
    solved: int
    tries: int
    failed: int = 0
    error: str = ""


@dataclass(frozen=True)
class SolverConfig:
    """The solver's model and settings; picklable, so that every worker can open its own."""

    choice: Choice
    config: QuestionsConfig

    def open(self) -> Solver:
        """Load what is needed; blocks meanwhile.

        Raises:
            RunFailed: A model can't be used.
        """
        return Solver(self)


class Solver:
    """Tries questions."""

    def __init__(self, config: SolverConfig) -> None:
        self._config = config.config
        self._models = open_models(config.choice)

    def __call__(self, question: Question) -> bytes:
        """Try one question several times; returns a line for the log."""
        scene = question.ask(SceneIndex.cached(question.folder)[question.scene_id], "")
        solved = failed = 0
        error = ""
        policy = self._models.policy
        for _ in range(self._config.tries):
            budget = Budget(seconds=self._config.budget_seconds, max_turns=self._config.budget_turns)
            episode = Episode(
                scene.image, scene.instruction, self._models.segmenter, budget,
                goal_id=question.id, policy_name=policy.name, pictures=policy.pictures, previous=scene.previous,
            )  # fmt: skip
            result = drive(episode, policy)
            if result.outcome is Outcome.FAILED:
                failed, error = failed + 1, result.error_msg
            solved += trajectory_iou(episode.trace, scene) >= self._config.solved_iou
        return msgspec.json.encode(Tried(question.id, solved, self._config.tries, failed, error)) + b"\n"
