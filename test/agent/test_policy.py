"""A Reply can only be made of what a record can hold."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rsagent_ros.agent.policy import Reply


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds": math.nan},
        {"seconds": math.inf},
        {"logprobs": (-0.5, -math.inf)},
        {"logprobs": (math.nan,)},
        {"sampled_tokens": -1},
        {"prompt_tokens": -1},
        {"cached_tokens": -1},
    ],
)
def test_reply_that_no_record_could_hold_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong)).split("_")[-1]):
        Reply("text", **wrong)
