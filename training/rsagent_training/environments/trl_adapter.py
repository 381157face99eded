"""Our episode as an environment of TRL's GRPOTrainer, which then owns the loop, the sampling and the tokens.

    processor = with_tools(AutoProcessor.from_pretrained(checkpoint))
    GRPOTrainer(
        model, processing_class=processor, train_dataset=prompts(scenes, pictures, segmenter),
        environment_factory=lambda: TrlEnvironment(EpisodeEnvironment(segmenter, pictures), scenes, longest),
        args=GRPOConfig(max_completion_length=longest, ...),
    )

TRL has one tool here, `reply`, and `with_tools` makes a call of it of every reply, whatever it says: so our parser
reads the replies word for word, bad ones are repaired and charged as everywhere, and the same replies have the same
reward. docs/other-engines.md lists what is different all the same. Experimental in TRL; tested with the pinned release.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset

from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.prompt import system
from rsagent_ros.agent.segmenter import Segmenter, tools_with
from rsagent_ros.data.example import Example
from rsagent_training.environments.episode_environment import EpisodeEnvironment, content_of

TEMPLATE = Path(__file__).with_name("trl_chat_template.jinja")
"""Our chat template, with the two roles that TRL adds: a call of `reply`, and what came back."""

RESPONSE_TEMPLATE: dict[str, Any] = {
    "defaults": {"role": "assistant"},
    "start_anchor": "<|im_start|>assistant\n",
    "fields": {
        "tool_calls": {
            "close_pattern": r"<\|im_end\|>",
            "content": "text",
            "content_args": {"strip": False},
            "repeats": True,
            "transform": {"type": "function", "function": {"name": "reply", "arguments": {"text": "{content}"}}},
        }
    },
}
"""The way TRL reads what was sampled: all of it, up to the end of the message, is the text of one call."""


class TrlEnvironment:
    """Environment for `environment_factory`: what it has in public is what TRL looks for."""

    def __init__(self, environment: EpisodeEnvironment, scenes: Mapping[str, Example], longest: int) -> None:
        """Prepare.

        Args:
            environment: Its own; TRL makes one for each episode of a step, and uses it again.
            scenes: By the ids that the rows of the dataset have.
            longest: TRL's `max_completion_length`.
        """
        self._environment = environment
        self._scenes = scenes
        self._end = "0" * (longest + 1)
        """TRL has no word for the end: the rollout ends where what came back does not fit. Digits are a token each."""

    def reset(self, scene: str, **_: Any) -> list[dict[str, Any]]:
        """Begin the episode of a row; returns the parts of the user's first message."""
        return content_of(self._environment.reset(self._scenes[scene])[-1])

    def reply(self, text: str) -> list[dict[str, Any]] | str:
        """Answer in the episode.

        Args:
            text: The reply, word for word.

        Returns:
            The observation.
        """
        messages = [] if self._environment.done else self._environment.step(text)
        return content_of(messages[0]) if messages else self._end

    def get_reward(self) -> float:
        """Worth of the episode; one that TRL broke off gave up."""
        self._environment.stop()
        return self._environment.reward.total


def prompts(scenes: Mapping[str, Example], pictures: PictureFormat, segmenter: Segmenter[Any]) -> Dataset:
    """The rows that TRL draws from: the system prompt, and the id of a scene that `TrlEnvironment.reset` is given."""
    first = system(replace(pictures, tools=tools_with(segmenter, pictures.tools)))
    prompt = [{"role": "system", "content": first}, {"role": "user", "content": ""}]
    return Dataset.from_list([{"prompt": prompt, "scene": name} for name in scenes])


def with_tools(processor: Any) -> Any:
    """The processor itself, with the template and the reading of replies that `TrlEnvironment` needs."""
    processor.chat_template = TEMPLATE.read_text(encoding="utf-8")
    processor.tokenizer.response_template = RESPONSE_TEMPLATE
    return processor
