"""Caches of several lengths in one, and apart again."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch

from rsagent_ros.policies.local.cache import JoinedCache, KVCache, cached_tokens

CPU = torch.device("cpu")


def kept(tokens: int, seed: int) -> KVCache:
    numbers = torch.Generator().manual_seed(seed)
    return [tuple(torch.randn((1, 2, tokens, 4), generator=numbers) for _ in "kv") for _ in range(3)]  # type: ignore[misc]


def same(left: KVCache, right: KVCache) -> bool:
    pairs = zip(left, right, strict=True)
    return all(torch.equal(a, b) for layers in pairs for a, b in zip(*layers, strict=True))


@pytest.mark.parametrize("lengths", [(5,), (5, 3), (0, 4, 2), (3, 3)])
def test_rows_come_out_as_they_went_in(lengths: tuple[int, ...]) -> None:
    rows = [kept(length, seed) if length else [] for seed, length in enumerate(lengths)]
    joined = JoinedCache([list(row) for row in rows], CPU)
    assert joined.cache.get_seq_length() == max(lengths)
    for number, row in enumerate(rows):
        if row:
            assert same(joined.take(number), row)
        else:
            assert cached_tokens(joined.take(number)) == 0


def test_what_is_given_is_emptied() -> None:
    row = kept(2, 0)
    JoinedCache([row], CPU)
    assert row == []


def test_places_between_real_ones_are_left_out() -> None:
    rows = [kept(2, 0), kept(4, 1)]
    joined = JoinedCache([list(row) for row in rows], CPU)
    new = [tuple(torch.randn((2, 2, 3, 4)) for _ in "kv") for _ in range(3)]
    mask = joined.extend(torch.tensor([[False, True, True], [True, True, True]]))
    assert mask is not None
    assert mask.int().tolist() == [[0, 0, 1, 1, 0, 1, 1], [1] * 7]
    for layer, (keys, values) in enumerate(new):
        joined.cache.update(keys, values, layer)
    first = joined.take(0)
    assert cached_tokens(first) == 4
    assert torch.equal(first[1][0], torch.cat([rows[0][1][0], new[1][0][:1, :, 1:]], dim=2))
    joined.keep([1])
    assert cached_tokens(joined.take(0)) == 7
    assert torch.equal(joined.take(0)[2][1], torch.cat([rows[1][2][1], new[2][1][1:]], dim=2))


def test_a_row_that_is_left_over_still_has_its_padding_masked() -> None:
    joined = JoinedCache([kept(2, 0), kept(4, 1)], CPU)
    joined.keep([0])
    mask = joined.extend(torch.ones((1, 1), dtype=torch.bool))
    assert mask is not None
    assert mask.int().tolist() == [[0, 0, 1, 1, 1]]


def test_one_row_needs_no_mask() -> None:
    assert JoinedCache([[]], CPU).extend(torch.ones((1, 3), dtype=torch.bool)) is None
