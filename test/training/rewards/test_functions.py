"""The rewards as TRL calls them, and their constants as a file has them."""

from __future__ import annotations

from pathlib import Path

import pytest
from played import box, play, scene_of, square

from rsagent_ros.agent.actions import Finish, ReportAbsent, Segment
from rsagent_ros.yaml_file import read_yaml
from rsagent_training.rewards import (
    RewardConfig,
    episode_reward,
    final_reward,
    format_reward,
    process_reward,
    reward_functions,
)

SCENE = scene_of(square(20, 20, 60, 60))
TRACES = [
    play(SCENE, [Segment(box=box(20, 20, 60, 40)), Finish((1,))]),
    play(SCENE, [ReportAbsent("it is not there")]),
]
COLUMNS = {"trace": TRACES, "scene": [SCENE, SCENE], "prompts": ["", ""], "completion_ids": [[], []]}
CONFIG = Path(__file__).resolve().parents[3] / "config" / "training" / "rewards.yaml"


def test_a_batch_gives_a_list_of_floats() -> None:
    assert final_reward(["", ""], **COLUMNS) == [0.5, 0.0]
    assert process_reward(["", ""], **COLUMNS) == pytest.approx([0.5 - 0.02 + 0.01, 0.0])
    assert format_reward(["", ""], **COLUMNS) == [1.0, 1.0]


def test_the_names_are_those_that_metrics_are_logged_under() -> None:
    assert [one.__name__ for one in reward_functions()] == ["final_reward", "process_reward", "format_reward"]


def test_weighted_they_are_the_total() -> None:
    config = RewardConfig(turn_cost=0.05, final_weight=2.0)
    parts = zip(*(one(["", ""], **COLUMNS) for one in reward_functions(config)), strict=True)
    for trace, (final, process, shape) in zip(TRACES, parts, strict=True):
        total = episode_reward(trace, SCENE, config).total
        assert 2.0 * final + 0.5 * process + 0.2 * shape == pytest.approx(total)


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="final_reward: 1 completions, 2 traces and 2 scenes"):
        final_reward([""], **COLUMNS)


def test_the_file_holds_every_constant_at_its_default() -> None:
    assert read_yaml(CONFIG, RewardConfig) == RewardConfig()
    assert all(f"\n{name}: " in CONFIG.read_text() for name in vars(RewardConfig()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("turn_costs: 0.1", "there is no turn_costs; there are final_weight, "),
        ("turn_cost: much", r"Expected `float`, got `str` - at `\$.turn_cost`"),
        ("turn_cost: -1", "turn_cost is -1.0; it must be 0 or more"),
        ("- 1", "it must be a mapping"),
        ("a: [", "while parsing"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rewards.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"rewards\.yaml: .*{message}"):
        read_yaml(path, RewardConfig)


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    (tmp_path / "rewards.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "rewards.yaml", RewardConfig) == RewardConfig()
