"""Every constant of the reward."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from rsagent_ros.scoring.score import WRONG_CHARGE


@dataclass(frozen=True)
class RewardConfig:
    """R = final_weight * R_final + process_weight * sum of R_process + format_weight * R_format.

    The three weights are the paper's; the rest it does not print, and is this project's.

    Attributes:
        final_weight: Of the quality of the answer.
        process_weight: Of what the turns earned.
        format_weight: Of replies that could be read.
        wrong_charge: Price, in R_final, of an answer that misleads: `Score.charged` says which do.
        turn_cost: Of every turn that did not end the episode: a tool call, or a reply that could not be used.
        free_points: Points in one call that cost nothing.
        point_cost: Of each point beyond.
        novelty_bonus: For looking somewhere else, while nothing good was found.
        novelty_limit: How often in an episode at most.
        novelty_below: Only while the best IoU is below this.
        novelty_iou: A prompt is elsewhere if what it covers has an IoU below this with every earlier prompt.
        bad_reply_cost: Part of R_format that a reply costs that could not be used, or only in spite of a slip.
        no_thought_cost: Part of R_format that a reply costs without the `<think>` that the prompt asks for.
        credit: `episode`: one advantage for a whole episode, from R. `turn`: turns share what came after them.
        deviation_floor: A group's rewards are divided by their standard deviation, but by no less than this: trifles
            that tell right episodes apart stay trifles. None: nothing is divided.

    Raises:
        ValueError: A value that can't be; the message says what can.
    """

    final_weight: float = 1.0
    process_weight: float = 0.5
    format_weight: float = 0.2
    wrong_charge: float = WRONG_CHARGE
    turn_cost: float = 0.02
    free_points: int = 4
    point_cost: float = 0.01
    novelty_bonus: float = 0.01
    novelty_limit: int = 2
    novelty_below: float = 0.5
    novelty_iou: float = 0.3
    bad_reply_cost: float = 0.5
    no_thought_cost: float = 0.1
    credit: Literal["episode", "turn"] = "episode"
    deviation_floor: float | None = 0.1

    def __post_init__(self) -> None:
        if self.credit not in ("episode", "turn"):
            raise ValueError(f"rewards: credit is {self.credit!r}; it must be episode or turn")
        for name, value in vars(self).items():
            if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
                raise ValueError(f"rewards: {name} is {value}; it must be 0 or more")
        for name in ("novelty_below", "novelty_iou", "bad_reply_cost", "no_thought_cost"):
            if getattr(self, name) > 1:
                raise ValueError(f"rewards: {name} is {getattr(self, name)}; it must be 0 to 1")
        if self.wrong_charge < WRONG_CHARGE:
            raise ValueError(
                f"rewards: wrong_charge is {self.wrong_charge}; with less than {WRONG_CHARGE} an answer that misleads "
                "could be worth more than none"
            )
        if self.deviation_floor == 0:
            raise ValueError(
                "rewards: deviation_floor is 0; equal rewards would be divided by it, use 0.1, or null for no division"
            )
        if self.novelty_bonus > self.turn_cost:
            raise ValueError(
                f"rewards: novelty_bonus {self.novelty_bonus} is more than turn_cost {self.turn_cost}: "
                "prompts anywhere would pay for themselves; use at most turn_cost"
            )
