"""Episodes sampled by a server: the adapter goes there after every step, and stale samples weigh what they should."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="the extra [training] is not installed")
pytest.importorskip("openai", reason="the extra [chat] is not installed")

import openai_server.handler
from fakes import FakeSegmenter
from local_cases import tiny_checkpoint
from openai_server.handler import Handler
from openai_server.server import OpenAIServer, _Http
from openai_server.steps import Fail
from peft import get_peft_model
from training_cases import RIGHT, WRONG, finish, grpo_recipe, scene, write_scenes

from rsagent_ros.policies.family import QWEN2_5_VL
from rsagent_training import grpo
from rsagent_training.recipes import GrpoRecipe
from rsagent_training.rollouts.server import ServerRollouts
from rsagent_training.trainer.policy_model import load_policy_model, lora_config
from rsagent_training.trainer.run_folder import TrainingStopped


class AdapterServer(OpenAIServer):
    """The tests' chat server with vLLM's two endpoints for adapters.

    Attributes:
        told: Every request to them: path, name, and whether the adapter's files were there.
        allowed: Whether it was started with VLLM_ALLOW_RUNTIME_LORA_UPDATING.
        sees_the_disk: Whether it finds the folders of adapters.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.told: list[tuple[str, str, bool]] = []
        self.allowed = True
        self.sees_the_disk = True

    def __enter__(self) -> AdapterServer:
        super().__enter__()
        return self

    def start(self) -> None:
        super().start()
        assert isinstance(self._http, _Http)
        self._http.RequestHandlerClass = AdapterHandler


class AdapterHandler(Handler):
    def do_POST(self) -> None:  # noqa: N802  the library's name
        owner: Any = self.owner
        path = self.path.removeprefix("/v1/")
        if path not in ("load_lora_adapter", "unload_lora_adapter") or not owner.allowed:
            return super().do_POST()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        folder = Path(body.get("lora_path", "/nowhere"))
        owner.told.append((path, body["lora_name"], (folder / "adapter_model.safetensors").is_file()))
        if path == "load_lora_adapter" and not owner.sees_the_disk:
            return self._error(404, f"Loading lora failed: No adapter found for {folder}", "NotFoundError")
        if path == "load_lora_adapter" and body["lora_name"] in owner.models:
            return self._send(400, b"The lora adapter has already been loaded.", "text/plain")
        if path == "load_lora_adapter":
            owner.models.append(body["lora_name"])
        else:
            owner.models.remove(body["lora_name"])
        return self._send(200, b"Success", "text/plain")


@pytest.fixture(autouse=True)
def our_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server speaks the tiny checkpoint's tokens."""
    vocabulary = tiny_checkpoint(QWEN2_5_VL).vocabulary
    known: dict[str, int] = {}

    def pieces(text: str) -> list[str]:
        ids = vocabulary.encode(text)
        known.update({vocabulary.decode([number]): number for number in ids})
        return [vocabulary.decode([number]) for number in ids]

    monkeypatch.setattr(openai_server.handler, "pieces_of", pieces)
    monkeypatch.setattr(openai_server.handler, "token", lambda piece: known[piece])


def plays(body: dict[str, Any]) -> str:
    """First right or wrong, by the number of the request; then the end."""
    answers = sum(message["role"] == "assistant" for message in body["messages"])
    if answers:
        return finish(1)
    plays.count = getattr(plays, "count", 0) + 1  # type: ignore[attr-defined]
    return RIGHT if plays.count % 2 else WRONG  # type: ignore[attr-defined]


def recipe_for(folder: Path, url: str, **changes: Any) -> GrpoRecipe:
    server = {"model": "base", "base_url": url, "in_flight": 2, "max_ratio": 1.2}
    options = {"max_reply_tokens": 200, "max_turns": 3, "server": server, "optimisation": {"device_batch": 4}}
    return grpo_recipe(write_scenes(folder / "scenes"), **{**options, **changes})


def test_every_step_is_sampled_with_the_adapter_of_that_step(tmp_path: Path) -> None:
    with AdapterServer(models=["base"], reply_to=plays) as server:
        recipe = recipe_for(tmp_path, server.url, steps=3)
        rollouts = ServerRollouts(load_policy_model(recipe), recipe, FakeSegmenter(), tmp_path / "out")
        final = grpo.train(recipe, tmp_path / "out", rollouts=rollouts)
        assert (final / "adapter_model.safetensors").is_file()
        first, second, third = server.told[0][1], server.told[1][1], server.told[3][1]
        assert [re.sub("base-[0-9a-f]{8}-", "", name) for name in (first, second, third)] == [
            "step-0",
            "step-1",
            "step-2",
        ]
        assert server.told == [
            ("load_lora_adapter", first, True),
            ("load_lora_adapter", second, True),
            ("unload_lora_adapter", first, False),
            ("load_lora_adapter", third, True),
            ("unload_lora_adapter", second, False),
            ("unload_lora_adapter", third, False),
        ]
        assert server.models == ["base"]
        assert server.complaints == []
        asked = [seen.body for seen in server.seen]
        assert [body["model"] for body in asked] == sorted(body["model"] for body in asked)
        assert all(body["temperature"] == 1.0 and body["logprobs"] for body in asked)
        assert not any("structured_outputs" in body for body in asked)  # a grammar would make the format's reward void
    curve = json.loads((tmp_path / "out" / "curve.json").read_bytes())
    assert {"stale/ratio", "stale/truncated", "stale/other_prompt"} <= set(curve[0])
    assert not (tmp_path / "out" / "served").exists()


def test_a_run_that_was_killed_goes_on_at_a_server_that_has_its_last_adapter(tmp_path: Path) -> None:
    with AdapterServer(models=["base"], reply_to=plays) as server:
        recipe = recipe_for(tmp_path, server.url, steps=1)
        learner = load_policy_model(recipe)
        adapter = lora_config(recipe.lora)
        assert adapter is not None
        model: Any = get_peft_model(learner.model, adapter)
        for _ in range(2):  # the second begins as after a kill: nothing was unloaded
            rollouts = ServerRollouts(learner, recipe, FakeSegmenter(), tmp_path / "out")
            rollouts.run(model, [scene(0)], 7, [0])
        first, second = (name for path, name, _ in server.told if path == "load_lora_adapter")
        assert first != second
        assert [path.name for path in (tmp_path / "out" / "served").iterdir()] == [second]


def test_a_server_that_takes_no_adapters_says_what_to_do(tmp_path: Path) -> None:
    with AdapterServer(models=["base"]) as server:
        server.allowed = False
        recipe = recipe_for(tmp_path, server.url)
        rollouts = ServerRollouts(load_policy_model(recipe), recipe, FakeSegmenter(), tmp_path / "out")
        with pytest.raises(
            TrainingStopped, match=r"answered 404 .*; start vLLM with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1"
        ):
            grpo.train(recipe, tmp_path / "out", rollouts=rollouts)


def test_an_adapter_that_the_server_can_t_read_is_not_taken_for_a_missing_endpoint(tmp_path: Path) -> None:
    with AdapterServer(models=["base"]) as server:
        server.sees_the_disk = False
        recipe = recipe_for(tmp_path, server.url)
        rollouts = ServerRollouts(load_policy_model(recipe), recipe, FakeSegmenter(), tmp_path / "out")
        with pytest.raises(TrainingStopped, match=r"answered 404 .*No adapter.*; the server must read the same disk"):
            grpo.train(recipe, tmp_path / "out", rollouts=rollouts)


def test_a_run_that_fails_unloads_its_adapter_too(tmp_path: Path) -> None:
    with AdapterServer(models=["base"], reply_to=lambda _: Fail(500, "CUDA error")) as server:
        recipe = recipe_for(tmp_path, server.url)
        rollouts = ServerRollouts(load_policy_model(recipe), recipe, FakeSegmenter(), tmp_path / "out")
        with pytest.raises(TrainingStopped, match="CUDA error"):
            grpo.train(recipe, tmp_path / "out", rollouts=rollouts)
        assert server.models == ["base"]


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with AdapterServer(models=["base"]) as server:
        url = server.url
    recipe = recipe_for(tmp_path, url)
    rollouts = ServerRollouts(load_policy_model(recipe), recipe, FakeSegmenter(), tmp_path / "out")
    with pytest.raises(TrainingStopped, match=r"load_lora_adapter can't be reached .*; is the server up\?"):
        grpo.train(recipe, tmp_path / "out", rollouts=rollouts)


def test_a_server_elsewhere_is_refused(tmp_path: Path) -> None:
    recipe = recipe_for(tmp_path, "http://192.0.2.1:8000/v1")
    with pytest.raises(ValueError, match="the server must be on this machine"):
        ServerRollouts(tiny_checkpoint(QWEN2_5_VL), recipe, FakeSegmenter(), tmp_path / "out")
