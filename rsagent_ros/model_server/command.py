"""The command line of `vllm serve`: every flag is in vLLM 0.31 to 0.33."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from rsagent_ros.model_server.recipe import Recipe
from rsagent_ros.policies.family import CHAT_TEMPLATE, family_of

MAX_LORA_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Values that --max-lora-rank takes."""


def command(recipe: Recipe) -> list[str]:
    """The command and its arguments.

    Raises:
        ValueError: An adapter that can't be used; the message names the file.
    """
    side = family_of(recipe.family).pictures(recipe.side).size(recipe.side, recipe.side)[0]
    arguments = {
        "--served-model-name": recipe.served_name or recipe.model,
        "--host": recipe.host,
        "--port": str(recipe.port),
        "--max-model-len": str(recipe.context),
        "--max-num-seqs": str(recipe.chats),
        "--gpu-memory-utilization": f"{recipe.share().utilization:.2f}",
        # vLLM reserves memory for this size; without it, for the largest picture that the model could take.
        "--limit-mm-per-prompt": json.dumps(
            {"image": {"count": recipe.max_images, "width": side, "height": side}, "video": 0}
        ),
        # Ours keeps earlier thoughts, so that a longer chat begins with the tokens of the shorter one.
        "--chat-template": str(CHAT_TEMPLATE),
        "--chat-template-content-format": "openai",
        # Otherwise the model's generation_config.json would change the sampling that clients ask for.
        "--generation-config": "vllm",
    }
    flags = ["--enable-prefix-caching", "--enable-prompt-tokens-details"]
    if recipe.adapters:
        ranks = [_rank(Path(folder).expanduser()) for folder in recipe.adapters.values()]
        flags.append("--enable-lora")
        arguments["--max-loras"] = str(len(ranks))
        arguments["--max-lora-rank"] = str(next(most for most in MAX_LORA_RANKS if most >= max(ranks)))
    words = [recipe.executable, "serve", recipe.model]
    words += [word for pair in arguments.items() for word in pair] + flags + recipe.arguments
    if recipe.adapters:
        folders = {name: str(Path(folder).expanduser()) for name, folder in recipe.adapters.items()}
        words.append("--lora-modules")
        words += [json.dumps({"name": name, "path": folder}) for name, folder in folders.items()]
    return words


def environment(recipe: Recipe, outer: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of the command: no downloads, no usage statistics.

    Raises:
        ValueError: It would listen to other machines without an API key.
    """
    if not recipe.on_loopback and not outer.get("VLLM_API_KEY"):
        raise ValueError(
            f"host is {recipe.host}: other machines could use the server; set the environment variable VLLM_API_KEY "
            "to a key that clients must know, or listen on 127.0.0.1 and reach it through an SSH tunnel"
        )
    # vLLM has an environment of its own: what ours, or that of ROS, adds to Python's path must not come before it.
    kept = {name: value for name, value in outer.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    return {**kept, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}


def _rank(folder: Path) -> int:
    """The rank of a LoRA adapter."""
    path = folder / "adapter_config.json"
    try:
        rank = json.loads(path.read_text(encoding="utf-8"))["r"]
    except OSError as error:
        what = f"{path}: {error.strerror}; an adapter is a folder as the training package writes it"
        raise ValueError(what) from error
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not the configuration of a LoRA adapter; its rank `r` must be in it") from error
    if not isinstance(rank, int) or not 1 <= rank <= MAX_LORA_RANKS[-1]:
        raise ValueError(f"{path}: the rank `r` is {rank!r}; vLLM takes 1 to {MAX_LORA_RANKS[-1]}")
    return rank
