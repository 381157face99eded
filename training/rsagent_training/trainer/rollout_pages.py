"""Episodes of a run to look at: some at every save, as a page of the viewer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rsagent_ros.agent.turn import Trace
from rsagent_ros.atomic_write import atomic_write
from rsagent_ros.data.example import Example
from rsagent_ros.scoring.prediction import prediction_of
from rsagent_ros.scoring.score import score
from rsagent_ros.viewer.page import Shown, render

FOLDER = "rollouts"
EPISODES = 8
"""Episodes of a page."""


class RolloutPages(TrainerCallback):
    """Pages of the episodes that were sampled last before each save: `rollouts/step-N.html`.

    Attributes:
        newest: Scenes and traces of the newest step.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.newest: list[tuple[Example, Trace]] = []

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Write the page."""
        if state.is_world_process_zero and self.newest:
            name = f"step-{state.global_step}"
            write_page(self._out / FOLDER / f"{name}.html", self.newest, f"{self._out.name}, {name}")


def write_page(path: Path, episodes: Sequence[tuple[Example, Trace]], title: str) -> None:
    """Write the first EPISODES of them as one page, each with what its answer is worth; takes their place at once."""
    shown = [_shown(scene, trace) for scene, trace in episodes[:EPISODES]]
    path.parent.mkdir(exist_ok=True)
    atomic_write(path, render(shown, title).encode())


def _shown(scene: Example, trace: Trace) -> Shown:
    made = score(prediction_of(trace), scene)
    facts = {"scene": scene.id, "truth": str(made.expected), "IoU": f"{made.iou:.2f}", "value": f"{made.value:.2f}"}
    return Shown(trace, scene.image, facts, right=made.right)
