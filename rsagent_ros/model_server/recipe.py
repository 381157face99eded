"""Recipe of a model server: a YAML file such as those in config/serve."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rsagent_ros.model_server.memory import Memory, Share, share
from rsagent_ros.policies.family import family_of
from rsagent_ros.yaml_file import read_yaml


@dataclass(frozen=True)
class Recipe:
    """One model on one GPU.

    Attributes:
        model: Folder of the checkpoint, or its name on the hub if it is in the local cache: nothing is downloaded.
        memory: Needs of everything on the GPU.
        served_name: Name that clients ask for; empty: `model` as written.
        family: `model_type` of its config.json.
        side: Longest side of the pictures that clients send, pixels.
        max_images: Most pictures in one chat.
        context: Tokens of the longest chat, pictures and replies included.
        chats: Number of chats that are answered at the same time; more wait.
        adapters: LoRA adapters by the name that clients ask for: folders as the training package writes them.
        host: Address to listen at; anything but loopback needs an API key in the environment variable VLLM_API_KEY.
        port: Port to listen at.
        executable: The `vllm` of its own environment.
        arguments: Further arguments of `vllm serve`, each a word of its own: [--dtype, float32]. They come last, and
            count where vLLM takes an argument once.

    Raises:
        ValueError: A value out of range, or a model that does not fit.
    """

    model: str
    memory: Memory
    served_name: str = ""
    family: str = "qwen2_5_vl"
    side: int = 768
    max_images: int = 12
    context: int = 16_384
    chats: int = 2
    adapters: dict[str, str] = field(default_factory=dict)
    host: str = "127.0.0.1"
    port: int = 8000
    executable: str = "vllm"
    arguments: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ValueError("model is empty; name a folder, or a model in the local cache")
        family_of(self.family).pictures(self.side)
        for name, low, high in (
            ("max_images", 1, 1_000),
            ("context", 256, 10_000_000),
            ("chats", 1, 10_000),
            ("port", 1, 65_535),
        ):
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed: {low} to {high}")
        ipaddress.ip_address(self.host)
        for name in self.adapters:
            if name in (self.model, self.served_name):
                raise ValueError(f"the adapter {name!r} has the name of the model; give it another one")
        self.share()

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def root(self) -> str:
        """URL for clients on this machine, without the /v1."""
        address = ipaddress.ip_address(self.host)
        host = ("::1" if address.version == 6 else "127.0.0.1") if address.is_unspecified else self.host
        return f"http://[{host}]:{self.port}" if address.version == 6 else f"http://{host}:{self.port}"

    def share(self) -> Share:
        """Share of the GPU."""
        return share(self.memory, self.context, self.chats)


def load(path: Path, **changes: Any) -> Recipe:
    """Read a recipe; `changes` replace its values.

    Raises:
        ValueError: It can't be read, or a value is out of range; the message names the file.
    """
    recipe = read_yaml(path, Recipe)
    try:
        return replace(recipe, **changes)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
