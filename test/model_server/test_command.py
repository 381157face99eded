from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rsagent_ros.model_server.command import command, environment
from rsagent_ros.model_server.memory import Memory
from rsagent_ros.model_server.recipe import Recipe
from rsagent_ros.policies.family import CHAT_TEMPLATE

RECIPE = Recipe(
    "/models/qwen", Memory(device_gib=24.0, billion_parameters=8.0, layers=28, kv_heads=4, head_size=128), "rsagent"
)
FLAGS = {
    "--chat-template", "--chat-template-content-format", "--enable-lora", "--enable-prefix-caching",
    "--enable-prompt-tokens-details", "--generation-config", "--gpu-memory-utilization", "--host",
    "--limit-mm-per-prompt", "--lora-modules", "--max-lora-rank", "--max-loras", "--max-model-len", "--max-num-seqs",
    "--port", "--served-model-name",
}  # fmt: skip
"""Those of the flags of vLLM 0.31.0 and of 0.33.0 that are of use here."""


def adapter(folder: Path, config: str) -> str:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(config, encoding="utf-8")
    return str(folder)


def value(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def test_it_serves_the_model_on_loopback_within_its_share() -> None:
    words = command(RECIPE)
    assert words[:3] == ["vllm", "serve", "/models/qwen"]
    assert {word for word in words if word.startswith("--")} <= FLAGS
    assert value(words, "--host") == "127.0.0.1"
    assert value(words, "--served-model-name") == "rsagent"
    assert value(words, "--gpu-memory-utilization") == "0.83"
    assert value(words, "--max-model-len") == "16384"
    assert value(words, "--chat-template") == str(CHAT_TEMPLATE)
    assert "--enable-lora" not in words


def test_pictures_are_limited_to_those_that_the_agent_draws() -> None:
    limit = json.loads(value(command(RECIPE), "--limit-mm-per-prompt"))
    assert limit == {"image": {"count": 12, "width": 756, "height": 756}, "video": 0}
    limit = json.loads(value(command(replace(RECIPE, family="qwen3_vl", max_images=3)), "--limit-mm-per-prompt"))
    assert limit["image"] == {"count": 3, "width": 768, "height": 768}


def test_a_model_without_another_name_is_served_under_its_own() -> None:
    assert value(command(replace(RECIPE, served_name="")), "--served-model-name") == "/models/qwen"


def test_further_arguments_of_a_recipe_come_behind_ours(tmp_path: Path) -> None:
    more = ["--gpu-memory-utilization", "0.5", "--enforce-eager"]
    adapters = {"mugs": adapter(tmp_path / "a", '{"r": 8}')}
    words = command(replace(RECIPE, arguments=more, adapters=adapters))
    assert words[words.index("--enforce-eager") - 2 :][: len(more)] == more
    assert words.index("--gpu-memory-utilization") < words.index("0.5") < words.index("--lora-modules")


def test_adapters_are_loaded_by_name_with_room_for_the_largest(tmp_path: Path) -> None:
    adapters = {"mugs": adapter(tmp_path / "a", '{"r": 8}'), "tools": adapter(tmp_path / "b,c", '{"r": 20}')}
    words = command(replace(RECIPE, adapters=adapters))
    assert {word for word in words if word.startswith("--")} == FLAGS
    assert (value(words, "--max-loras"), value(words, "--max-lora-rank")) == ("2", "32")
    modules = [json.loads(word) for word in words[words.index("--lora-modules") + 1 :]]
    assert modules == [{"name": name, "path": folder} for name, folder in adapters.items()]


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ("", "not the configuration of a LoRA adapter; its rank `r` must be in it"),
        ("[]", "not the configuration of a LoRA adapter"),
        ("{}", "not the configuration of a LoRA adapter"),
        ('{"r": "8"}', "the rank `r` is '8'; vLLM takes 1 to 512"),
        ('{"r": 1024}', "the rank `r` is 1024"),
    ],
)
def test_an_adapter_that_is_none_is_refused_with_the_name_of_its_file(
    tmp_path: Path, config: str, sentence: str
) -> None:
    folder = adapter(tmp_path / "a", config)
    with pytest.raises(ValueError, match=sentence) as caught:
        command(replace(RECIPE, adapters={"a": folder}))
    assert str(caught.value).startswith(f"{folder}/adapter_config.json: ")


def test_an_adapter_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file or directory; an adapter is a folder"):
        command(replace(RECIPE, adapters={"a": str(tmp_path / "none")}))


def test_nothing_is_downloaded_and_nothing_reported() -> None:
    outer = {"PATH": "/bin", "HF_HUB_OFFLINE": "0", "PYTHONPATH": "/opt/ros/jazzy/lib/python3.12/site-packages"}
    variables = environment(RECIPE, outer)
    assert variables == {"PATH": "/bin", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}


def test_it_listens_to_other_machines_only_with_a_key_which_is_no_argument() -> None:
    exposed = replace(RECIPE, host="0.0.0.0")
    with pytest.raises(ValueError, match="set the environment variable VLLM_API_KEY"):
        environment(exposed, {})
    assert environment(exposed, {"VLLM_API_KEY": "secret"})["VLLM_API_KEY"] == "secret"
    assert "secret" not in " ".join(command(exposed))
