from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from rsagent_ros.model_server.recipe import Recipe, load

RECIPES = sorted((Path(__file__).parents[2] / "config" / "serve").glob("*.yaml"))
GOOD: dict[str, Any] = {
    "model": "/models/qwen",
    "memory": {"device_gib": 24, "billion_parameters": 8, "layers": 28, "kv_heads": 4, "head_size": 128},
}


def written(folder: Path, **changes: Any) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(GOOD | changes), encoding="utf-8")
    return path


def test_there_is_a_recipe_for_a_desktop_an_orin_and_a_remote_server() -> None:
    assert [path.stem for path in RECIPES] == ["desktop_24gb", "orin_64gb", "remote"]


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_states_the_budget_that_is_computed_from_it(path: Path) -> None:
    recipe = load(path)
    second, third = path.read_text(encoding="utf-8").splitlines()[1:3]
    assert second.startswith("# NOT RUN on such a machine.")
    assert third == f"# {recipe.share()}"
    memory = recipe.memory
    assert recipe.share().gib + memory.segmenter_gib + memory.other_gib <= memory.device_gib
    assert recipe.on_loopback


def test_defaults_are_filled_in_and_changes_count(tmp_path: Path) -> None:
    assert load(written(tmp_path)) == Recipe(**(GOOD | {"memory": load(written(tmp_path)).memory}))
    changed = load(written(tmp_path, adapters={"mugs": "/a"}), port=8123)
    assert (changed.port, changed.adapters, changed.context) == (8123, {"mugs": "/a"}, 16_384)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"modle": "x"}, "there is no modle; there are model, memory, served_name"),
        ({"memory": {"gpu": 3}}, "there is no memory.gpu; there are device_gib"),
        ({"memory": {"device_gib": 24}}, "memory.billion_parameters is missing"),
        ({"memory": 24}, "memory must be a mapping"),
        ({"model": ""}, "model is empty"),
        ({"model": 3}, r"Expected `str`, got `int` - at `\$.model`"),
        ({"family": "llava"}, "this agent knows qwen2_5_vl"),
        ({"host": "localhost"}, "'localhost' does not appear to be an IPv4 or IPv6 address"),
        ({"port": 0}, "port is 0; allowed: 1 to 65535"),
        ({"context": 1_000_000}, "2 chats of 1000000 tokens need"),
        ({"chats": 0}, "chats is 0"),
        ({"adapters": {"/models/qwen": "/a"}}, "the adapter '/models/qwen' has the name of the model"),
    ],
)
def test_what_cannot_be_is_refused_with_the_name_of_the_file(
    tmp_path: Path, changes: dict[str, Any], sentence: str
) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(ValueError, match=sentence) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "must be a mapping"),
        ("- a\n", "must be a mapping"),
        ("model: x\n", "memory is missing"),
        ("model: [\n", "while parsing"),
        ("model: !!python/object/apply:os.system [true]\n", "could not determine a constructor"),
        ("#" * 200_000, "larger than 100000 bytes"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=sentence):
        load(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none.yaml: No such file"):
        load(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("host", "root", "loopback"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000", True),
        ("::1", "http://[::1]:8000", True),
        ("0.0.0.0", "http://127.0.0.1:8000", False),
        ("::", "http://[::1]:8000", False),
        ("192.168.1.5", "http://192.168.1.5:8000", False),
    ],
)
def test_where_it_is_reached(tmp_path: Path, host: str, root: str, loopback: bool) -> None:
    recipe = load(written(tmp_path, host=host))
    assert (recipe.root, recipe.on_loopback) == (root, loopback)
