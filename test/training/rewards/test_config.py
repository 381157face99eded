"""Constants of the reward: the file that is shipped has all of them, and what can't be is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from played import box, play, scene_of, square

from rsagent_ros.agent.actions import Finish, ReportAbsent, Segment
from rsagent_ros.yaml_file import read_yaml
from rsagent_training.rewards import RewardConfig, episode_reward

CONFIG = Path(__file__).resolve().parents[3] / "config" / "training" / "rewards.yaml"
SCENE = scene_of(square(20, 20, 60, 60))


def test_the_file_holds_every_constant_at_its_default() -> None:
    assert read_yaml(CONFIG, RewardConfig) == RewardConfig()
    assert all(f"\n{name}: " in CONFIG.read_text() for name in vars(RewardConfig()))


@pytest.mark.parametrize(
    "actions", [[Segment(box=box(20, 20, 60, 40)), Finish((1,))], [ReportAbsent("it is not there")]]
)
def test_the_total_is_the_weighted_sum(actions: list[Segment | Finish | ReportAbsent]) -> None:
    reward = episode_reward(play(SCENE, actions), SCENE, RewardConfig(turn_cost=0.05, final_weight=2.0))
    assert reward.total == pytest.approx(2.0 * reward.final + 0.5 * sum(reward.process) + 0.2 * reward.format)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("turn_costs: 0.1", "there is no turn_costs; there are final_weight, "),
        ("turn_cost: -1", "turn_cost is -1.0; it must be 0 or more"),
        ("novelty_iou: 2", "novelty_iou is 2.0; it must be 0 to 1"),
    ],
)
def test_a_value_that_can_not_be_is_refused_with_its_name(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rewards.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"rewards\.yaml: .*{message}"):
        read_yaml(path, RewardConfig)
