"""A vision-language model in this process: Qwen2.5-VL and Qwen3-VL through transformers, KV cache kept between turns.

    policy = load_local_policy(LocalConfig("/models/Qwen2.5-VL-7B-Instruct"))

To read it: `policy` (what the agent sees), `transcript` (a conversation as token ids), `generation` (the loop over
tokens), `decoder` and `cache` (forward passes), `checkpoint` (files to model).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.policies.local.config import LocalConfig

if TYPE_CHECKING:
    from rsagent_ros.policies.local.policy import LocalPolicy


def load_local_policy(config: LocalConfig) -> LocalPolicy:
    """Load a checkpoint and say a few words with it, so that the first goal finds everything warm.

    Blocks: seconds to a minute for a large checkpoint, some minutes more with `compile`.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: packages, files or the device are not as needed; OUT_OF_MEMORY. One sentence
            that says what to do; the next call may succeed.
    """
    try:
        from rsagent_ros.policies.local.checkpoint import load_checkpoint
        from rsagent_ros.policies.local.policy import LocalPolicy
    except ImportError as error:
        raise RunFailed(
            ErrorCode.MODEL_UNAVAILABLE,
            f"the policy local needs torch and transformers ({error}); in the checkout: pip install -e '.[models]'",
        ) from error
    policy = LocalPolicy(load_checkpoint(config), config)
    policy.warm_up()
    return policy


__all__ = ["LocalConfig", "load_local_policy"]
