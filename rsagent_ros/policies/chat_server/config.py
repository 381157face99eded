"""Settings of a chat server, checked when they are made, and its API key."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from rsagent_ros.agent.actions import ALL_TOOLS, ToolSet, tool_set
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.policies.family import FAMILIES, family_of
from rsagent_ros.policies.trained_format import SHAPES
from rsagent_ros.settings import check, setting

MAX_KEY_CHARS = 1_000
MODEL_TYPES = tuple(family.model_type for family in FAMILIES)


@dataclass(frozen=True)
class ChatServerConfig:
    """A model at a server and its sampling; each field says what it means.

    The defaults are for a robot: greedy, held to the tool grammar. For rollouts of reinforcement learning use
    temperature=1.0, constrained=False (a grammar would make the reward for the format void) and logprobs=True.

    Raises:
        ValueError: A value that can't be; the message says what can.
    """

    model: str = setting("", "name under which the server knows the model, or a LoRA adapter on top of it")
    base_url: str = setting("http://127.0.0.1:8000/v1", "root of the OpenAI-compatible API; it usually ends in /v1")
    # It decides sizes of pictures and the unit of coordinates.
    family: str = setting("qwen2_5_vl", "`model_type` in the model's config.json", choices=MODEL_TYPES)
    overlay: Literal["view", "square"] = setting(
        "view", "shape of the overlays that the model knows; `square`: release 0.1.0 trained it", choices=SHAPES
    )
    tools: str = setting("", "names of the tools that the model knows, with commas between; empty: all there are")
    # vLLM: --limit-mm-per-prompt.
    max_images: int = setting(
        12, "most pictures in one chat that the server allows; n turns have up to 1 + n", low=1, high=1000
    )
    # All of sampling is sent, because a server takes what is left out from the model's generation_config.json.
    temperature: float = setting(0.0, "0 always takes the likeliest token", low=0.0, high=2.0)
    top_p: float = setting(
        1.0, "sample from the likeliest tokens that together have this probability", low=1e-6, high=1
    )
    top_k: int = setting(0, "sample from that many tokens; 0: no limit", low=0, high=1_000_000)
    repetition_penalty: float = setting(1.0, "over 1: what was said becomes less likely", low=1e-6, high=10.0)
    seed: int = setting(
        -1, "the n-th conversation samples with seed + n; -1: as the server likes", low=-1, high=2**31 - 1
    )
    constrained: bool = setting(True, "hold replies to the tool grammar where the server can")
    # vLLM gives those before temperature and penalties.
    logprobs: bool = setting(False, "record log-probabilities of the sampled tokens")
    api_key_env: str = setting("RSAGENT_API_KEY", "environment variable that holds the API key")
    api_key_file: str = setting("", "file that holds the API key, and counts before the variable; empty: none")
    connect_timeout: float = setting(2.0, "to reach the server", unit="s", low=1e-3, high=600.0)
    # A goal's deadline is kept in any case.
    stall_timeout: float = setting(
        30.0,
        "without a byte, the server counts as lost; below time_budget, a fallback can take over in time",
        unit="s",
        low=1e-3,
        high=3600.0,
    )
    retries: int = setting(
        2, "a request that has not reached the model (not connected, 429, 503) is sent again so often", low=0, high=10
    )
    side: int = 768
    """Longest side of the clean pictures, pixels; the node's parameter `view_side`."""

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ValueError("model is empty; name the model as the server does (GET /v1/models lists them)")
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"base_url is {self.base_url!r}; write it like http://127.0.0.1:8000/v1")
        if url.username or url.password or url.query or url.fragment:
            # Not echoed: what stands there may be a key.
            raise ValueError("base_url holds a user, a password or a query; put the key into api_key_file instead")
        family_of(self.family).pictures(self.side, tools=self._tools)
        check(self)

    @property
    def pictures(self) -> PictureFormat:
        """The pictures, coordinates and tools that the model wants."""
        return family_of(self.family).pictures(self.side, self.overlay, self._tools)

    @property
    def _tools(self) -> ToolSet:
        return tool_set(name.strip() for name in self.tools.split(",")) if self.tools else ALL_TOOLS

    @property
    def on_loopback(self) -> bool:
        """Whether the server is on this machine."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return host == "localhost" or ip_address(host).is_loopback
        except ValueError:  # a name
            return False

    def api_key(self) -> str:
        """The key, read now; empty where there is none.

        Raises:
            ValueError: api_key_file can't be read or does not hold one line. The message never holds the key.
        """
        if not self.api_key_file:
            return os.environ.get(self.api_key_env, "").strip()
        path = Path(self.api_key_file).expanduser()
        try:
            with path.open(encoding="utf-8-sig") as file:
                key = file.read(MAX_KEY_CHARS + 1).strip()
        except (OSError, UnicodeError) as error:
            raise ValueError(f"api_key_file {path}: {type(error).__name__}; it must be a readable text file") from None
        if not key or len(key) > MAX_KEY_CHARS or len(key.split()) != 1:
            raise ValueError(f"api_key_file {path} must hold the key and nothing else, on one line")
        return key
