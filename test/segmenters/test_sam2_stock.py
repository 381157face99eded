"""Our pixels, masks and scores beside those of the makers' own processors and predictor, on the same networks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

pytest.importorskip("transformers", reason="the extra [models] is not installed")

from meta_network import tiny_config
from with_torchvision import SKIPPED

ROOT = Path(__file__).resolve().parents[2]
PROMPTS = ("point", "box", "both", "refined")


def lacking(reason: str) -> NoReturn:
    """Skip the comparison, unless somebody has named a folder that should have made it possible."""
    if "RSAGENT_TORCHVISION" in os.environ:
        pytest.fail(reason)
    pytest.skip(reason)


def answers(folder: Path, script: str, *arguments: str) -> dict[str, np.ndarray]:
    """Run a comparison apart: with torchvision, which spoils transformers where it does not fit."""
    out = folder / "answers.npz"
    words = [str(out) if word == "OUT" else word for word in arguments]
    paths = [str(ROOT), str(ROOT / "test/support"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script)), *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    if done.returncode == SKIPPED:
        lacking(done.stdout.strip())
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(out) as found:
        return dict(found)


@pytest.fixture(scope="module")
def processors(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return answers(tmp_path_factory.mktemp("stock"), "stock_sam2.py", "processors", "OUT")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    return answers(tmp_path_factory.mktemp("words"), "stock_words.py", "OUT")


@pytest.mark.parametrize("architecture", ["sam2", "sam3_tracker", "edgetam"])
def test_transformers_own_processor_gives_the_same(processors: dict[str, np.ndarray], architecture: str) -> None:
    prefix = f"{architecture}_"
    found = {name.removeprefix(prefix): answer for name, answer in processors.items() if name.startswith(prefix)}
    if not found:
        lacking("there is no timm, which EdgeTAM's encoder needs; make test-stock brings it")
    assert np.array_equal(found["ours_pixels"], found["stock_pixels"])
    for name in PROMPTS:
        assert np.array_equal(found[f"ours_{name}_masks"], found[f"stock_{name}_masks"])
        assert np.allclose(found[f"ours_{name}_scores"], found[f"stock_{name}_scores"], atol=1e-6)
    assert 0.01 < found["ours_box_masks"].mean() < 0.99


def test_metas_own_predictor_gives_the_same_but_for_rounded_pixels(tmp_path: Path) -> None:
    """It does not round resized pixels to whole grey levels, as transformers does: a few pixels of edges differ."""
    found = answers(tmp_path, "stock_sam2.py", "predictor", "OUT", str(tiny_config(tmp_path)))
    for name in PROMPTS:
        assert np.mean(found[f"ours_{name}_masks"] != found[f"stock_{name}_masks"]) < 0.005
        assert np.allclose(found[f"ours_{name}_scores"], found[f"stock_{name}_scores"], atol=1e-4)
    assert 0.01 < found["ours_box_masks"].mean() < 0.99


def test_sam3s_own_processor_finds_the_same(words: dict[str, np.ndarray]) -> None:
    assert np.array_equal(words["sam3_ours_pixels"], words["sam3_stock_pixels"])
    assert len(words["sam3_stock_scores"]) > 0
    assert np.allclose(words["sam3_ours_scores"], words["sam3_stock_scores"], atol=1e-6)
    assert np.array_equal(words["sam3_ours_masks"], words["sam3_stock_masks"])


@pytest.mark.parametrize("shape", ["wide", "tall", "long", "small"])
@pytest.mark.parametrize(("network", "pixels_differ"), [("dino", 0.0), ("owl", 1e-5)])
def test_the_detectors_own_processors_find_the_same(
    words: dict[str, np.ndarray], network: str, shape: str, pixels_differ: float
) -> None:
    prefix = f"{network}_{shape}_"
    assert np.allclose(words[f"{prefix}ours_pixels"], words[f"{prefix}stock_pixels"], rtol=0.0, atol=pixels_differ)
    assert len(words[f"{prefix}stock_scores"]) > 0
    assert np.allclose(words[f"{prefix}ours_scores"], words[f"{prefix}stock_scores"], atol=1e-5)
    assert np.allclose(words[f"{prefix}ours_boxes"], words[f"{prefix}stock_boxes"], atol=1e-2)
