"""Episodes sampled by a vLLM server on this machine, which gets the adapter anew after every step.

    VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve runs/sft-merged --enable-lora --max-lora-rank 64 ...

The adapter is written to a folder and the server is told to read it, under a new name for every step: under the same
name its prefix cache would go on with keys and values of older weights. Of the wire only this is ours; the chat goes
through the robot's own client (`policies.chat_server`).
"""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example
from rsagent_ros.policies.chat_server.config import ChatServerConfig
from rsagent_ros.policies.chat_server.policy import ChatServerPolicy
from rsagent_ros.policies.local.checkpoint import Checkpoint
from rsagent_ros.segmenters.one_at_a_time import one_at_a_time
from rsagent_training.recipes import GrpoRecipe
from rsagent_training.rollouts.episodes import make_episodes, traces_of
from rsagent_training.trainer.run_folder import TrainingStopped

log = logging.getLogger(__name__)

MAX_ANSWER = 2_000
"""Characters of an error that the server gives."""


class ServerRollouts:
    """Rollouts by a server with the newest adapter."""

    def __init__(self, checkpoint: Checkpoint, recipe: GrpoRecipe, segmenter: Segmenter[Any], out: Path) -> None:
        """Prepare; nothing is sent yet.

        Raises:
            ValueError: The recipe has no server, or it is not on this machine.
        """
        if recipe.server is None:
            raise ValueError("the recipe has no server")
        self._server = recipe.server
        self._recipe = recipe
        self._segmenter = one_at_a_time(segmenter)
        self._family = checkpoint.family.model_type
        self._trained = checkpoint.trained
        self._folder = out.resolve() / "served"
        self._loaded = ""
        self._run = secrets.token_hex(4)
        """Part of the names of adapters: a server keeps those of a run that was killed, and takes no name twice."""
        shutil.rmtree(self._folder, ignore_errors=True)  # of such a run
        if not self._config(recipe.server.model).on_loopback:
            raise ValueError(
                f"server.base_url is {recipe.server.base_url}; an adapter is read from this machine's disk, so the "
                "server must be on this machine: use http://127.0.0.1:8000/v1"
            )

    def run(self, model: PreTrainedModel, scenes: Sequence[Example], step: int, seeds: Sequence[int]) -> list[Trace]:
        """Play one episode for each scene, as `Rollouts` has it; blocks.

        The seeds are the server's own affair: its batches decide what is drawn.
        """
        config = self._config(self._load(model, step))
        with closing(ChatServerPolicy(config)) as policy:
            policy.check(self._server.timeout)
            episodes = make_episodes(scenes, self._recipe, self._segmenter, policy.name, policy.pictures, step)
            with ThreadPoolExecutor(self._server.in_flight) as pool:
                for _ in pool.map(lambda episode: drive(episode, policy), episodes):
                    pass
        return traces_of(episodes)

    def close(self) -> None:
        """Have the server forget the last adapter; that it can't be told is said in the log."""
        loaded, self._loaded = self._loaded, ""
        if not loaded:
            return
        try:
            self._tell("unload_lora_adapter", {"lora_name": loaded})
        except TrainingStopped as error:
            log.warning("the server keeps the adapter %s: %s", loaded, error)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _config(self, model: str) -> ChatServerConfig:
        return ChatServerConfig(
            model=model,
            base_url=self._server.base_url,
            family=self._family,
            overlay=self._trained.overlay,
            tools=",".join(self._trained.tools),
            side=self._recipe.side,
            max_images=self._recipe.max_turns + 1,
            temperature=1.0,
            constrained=False,
            logprobs=True,
        )

    def _load(self, model: PreTrainedModel, step: int) -> str:
        """Have the server read the adapter as it is now; returns its name there."""
        name = f"{Path(self._server.model).name}-{self._run}-step-{step}"
        if name == self._loaded:
            return name
        folder = self._folder / name
        model.save_pretrained(folder)
        self._tell("load_lora_adapter", {"lora_name": name, "lora_path": str(folder)})
        if self._loaded:
            self._tell("unload_lora_adapter", {"lora_name": self._loaded})
            shutil.rmtree(self._folder / self._loaded)
        self._loaded = name
        return name

    def _tell(self, what: str, body: dict[str, str]) -> None:
        url = f"{self._server.base_url.rstrip('/')}/{what}"
        headers = {"Content-Type": "application/json"}
        if key := self._config(self._server.model).api_key():
            headers["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)
        # A proxy that the environment names can't reach this machine's own loopback.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=self._server.timeout):
                return
        except urllib.error.HTTPError as error:
            answer = error.read(MAX_ANSWER).decode("utf-8", "replace")
            remedy = "see the server's log"
            if error.code == 404 and "NotFoundError" in answer:  # the endpoint's own, not that there is none
                remedy = "the server must read the same disk: run it on this machine, outside of a container"
            elif error.code == 404:
                remedy = "start vLLM with VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 and --enable-lora"
            raise TrainingStopped(f"{url} answered {error.code} ({' '.join(answer.split())}); {remedy}") from None
        except (urllib.error.URLError, TimeoutError) as error:
            raise TrainingStopped(f"{url} can't be reached ({error}); is the server up?") from None
