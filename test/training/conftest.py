"""Set-up of the tests of the training package, and what several of them only read."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rsagent_ros.policies.family import Family

# MuJoCo reads this when it is imported, and a test that asks whether it is there imports it before the simulator does.
os.environ.setdefault("MUJOCO_GL", "osmesa")


@pytest.fixture(scope="session")
def sft_run(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Family], Path]:
    """The folder of a finished SFT run of a LoRA on four trajectories, by family; its last step is the 12th."""
    pytest.importorskip("trl", reason="the extra [training] is not installed")
    from training_cases import sft_recipe, write_some

    from rsagent_training import sft

    @cache
    def trained(family: Family) -> Path:
        folder = tmp_path_factory.mktemp("sft")
        write_some(folder / "trajectories", 4, family)
        fast = {"learning_rate": 5e-3, "save_every": 12}
        sft.train(sft_recipe(folder / "trajectories", family, epochs=6, optimisation=fast), folder / "run")
        return folder / "run"

    return trained
