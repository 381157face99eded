"""LoRA adapters behind vLLM: by name, and as GRPO hands them over after every step.

On a CPU, vLLM 0.32 looks up the adapter of a request that names none at the place -1: so the last slot is left empty.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from chat_talk import ask, noise, user
from peft import LoraConfig, get_peft_model
from real_vllm.episodes import scenes
from real_vllm.serving import KEY, LAUNCH_PROGRAM, Serving, serving
from transformers import AutoModelForImageTextToText

from rsagent_ros.agent.policy import Policy
from rsagent_ros.data.folder import save_examples
from rsagent_ros.policies.chat_server import ChatServerConfig
from rsagent_ros.policies.chat_server.policy import ChatServerPolicy
from rsagent_ros.policies.family import QWEN3_VL
from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_ros.weights.tiny import save_tiny
from rsagent_ros.yaml_file import from_plain
from rsagent_training import grpo
from rsagent_training.recipes import GrpoRecipe
from rsagent_training.trainer.run_folder import TrainingStopped

pytestmark = pytest.mark.timeout(900)
CONTEXT = 4096
SIDE = 96


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint `tiny`, and with `nudged`, an adapter that changes all that it says."""
    folder = tmp_path_factory.mktemp("adapters")
    save_tiny(QWEN3_VL, folder / "tiny")
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_pretrained(folder / "tiny", dtype=torch.float32)
    config = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    get_peft_model(model, config).save_pretrained(str(folder / "nudged"))
    return folder


@pytest.fixture(scope="module")
def served(folder: Path) -> Iterator[Serving]:
    recipe: dict[str, Any] = {"model": str(folder / "tiny"), "served_name": "tiny", "side": SIDE, "context": CONTEXT}
    adapters = {"nudged": str(folder / "nudged")}
    with serving(folder, LAUNCH_PROGRAM, ["--max-loras", "2"], adapters=adapters, **recipe) as server:
        yield server


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSAGENT_API_KEY", KEY)


def behind(served: Serving, model: str) -> ChatServerPolicy:
    config = ChatServerConfig(model, served.url, family="qwen3_vl", constrained=False, side=SIDE)
    return ChatServerPolicy(config)


def in_process(folder: Path, lora: str = "") -> Policy:
    return load_local_policy(LocalConfig(str(folder / "tiny"), device="cpu", dtype="float32", side=SIDE, lora=lora))


def said(policy: Any) -> list[tuple[int, ...] | None]:
    """Token ids of eight replies."""
    questions = [user(f"Where is thing {number}?", noise(64, 96, seed=number)) for number in range(8)]
    return [ask(policy.open(), question, max_tokens=24).token_ids for question in questions]


def test_an_adapter_is_asked_for_by_name(served: Serving, folder: Path) -> None:
    plain, adapted = said(in_process(folder)), said(in_process(folder, str(folder / "nudged")))
    assert not any(one == other for one, other in zip(plain, adapted, strict=True))
    assert said(behind(served, "nudged")) == adapted
    assert said(behind(served, "tiny")) == plain
    assert behind(served, "nudged").check().context == CONTEXT


def recipe_for(out: Path, folder: Path, served: Serving) -> GrpoRecipe:
    save_examples(scenes(4), out / "scenes")
    # One turn: bytes that are no text, which random weights say, come back in the next prompt as other tokens.
    return from_plain(
        {
            "checkpoint": str(folder / "tiny"), "mix": [{"scenes": str(out / "scenes")}], "batch": 2, "samples": 4,
            "steps": 2, "max_turns": 1, "max_reply_tokens": 32, "side": SIDE, "segmenter": "classical",
            "lora": {"rank": 4, "alpha": 8, "targets": ["q_proj", "v_proj"]}, "beta": 0.0,
            "server": {"model": "tiny", "base_url": served.url, "in_flight": 4, "timeout": 60.0},
            "optimisation": {
                "learning_rate": 1e-3, "precision": "float32", "checkpointing": False, "device_batch": 2, "cpu": True,
                "save_every": 100, "schedule": "constant", "warmup_share": 0.0,
            },
        },
        GrpoRecipe,
    )  # fmt: skip


def test_grpo_samples_from_the_newest_adapter_and_takes_it_away_at_the_end(
    served: Serving, folder: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    before = behind(served, "tiny").check().models
    grpo.train(recipe_for(tmp_path, folder, served), tmp_path / "out")
    steps = json.loads((tmp_path / "out" / "curve.json").read_bytes())
    ratios = [step["stale/ratio"] for step in steps if "stale/ratio" in step]
    record_property("stale_ratio", ratios)
    assert len(ratios) == 2
    assert all(step["stale/other_prompt"] == 0 for step in steps if "stale/ratio" in step)
    assert all(abs(ratio - 1) < 0.01 for ratio in ratios)
    assert behind(served, "tiny").check().models == before


def test_an_adapter_that_is_not_there_is_no_missing_endpoint(
    served: Serving, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("peft.PeftModel.save_pretrained", lambda *_, **__: None)
    with pytest.raises(TrainingStopped, match="the server must read the same disk"):
        grpo.train(recipe_for(tmp_path, folder, served), tmp_path / "out")
