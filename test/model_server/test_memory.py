from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rsagent_ros.model_server.memory import GIB, Memory, share

DESKTOP = Memory(device_gib=24.0, billion_parameters=8.0, layers=28, kv_heads=4, head_size=128)


def test_weights_and_cache_are_counted_from_the_model_s_numbers() -> None:
    assert DESKTOP.weights_gib == pytest.approx(16e9 / GIB)
    assert DESKTOP.bytes_per_token == 57_344  # 28 layers of keys and values, 4 heads of 128, 2 bytes
    assert replace(DESKTOP, bytes_per_parameter=0.5).weights_gib == pytest.approx(4e9 / GIB)


def test_the_server_gets_what_the_segmenter_and_others_leave() -> None:
    part = share(DESKTOP, context=16_384, chats=2)
    assert part.utilization == 0.83  # (24 - 3 - 1) / 24, rounded down
    assert part.gib + DESKTOP.segmenter_gib + DESKTOP.other_gib <= DESKTOP.device_gib
    assert part.weights_gib + part.work_gib + part.cache_gib == pytest.approx(part.gib)
    assert 2 * 16_384 <= part.cache_tokens == int(part.cache_gib * GIB / 57_344)


def test_a_whole_hundredth_stays_what_it_is() -> None:
    alone = replace(DESKTOP, device_gib=100.0, billion_parameters=1e-3, work_gib=0.0, other_gib=0.0)
    for hundredths in range(1, 100):
        memory = replace(alone, segmenter_gib=100.0 - hundredths)
        assert share(memory, context=256, chats=1).utilization == hundredths / 100


@pytest.mark.parametrize(
    ("change", "context", "chats"),
    [
        ({"device_gib": 12.0}, 16_384, 2),
        ({"segmenter_gib": 8.0}, 16_384, 2),
        ({"segmenter_gib": 99.0}, 16_384, 2),
        ({}, 65_536, 2),
        ({}, 16_384, 8),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_what_is_missing(
    change: dict[str, Any], context: int, chats: int
) -> None:
    with pytest.raises(ValueError, match=rf"{chats} chats of {context} tokens need .* of KV cache, .* use a smaller"):
        share(replace(DESKTOP, **change), context, chats)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"device_gib": 0.0}, "memory: device_gib is 0.0; it must be more than 0"),
        ({"layers": 0}, "memory: layers is 0; it must be more than 0"),
        ({"other_gib": -1.0}, "memory: other_gib is -1.0; it must be at least 0"),
        ({"billion_parameters": float("nan")}, "memory: billion_parameters is nan"),
        ({"work_gib": float("inf")}, "memory: work_gib is inf"),
    ],
)
def test_a_number_that_cannot_be_is_refused(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        replace(DESKTOP, **change)
