"""What is kept, and what goes."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")

import torch

from rsagent_ros.segmenters.encodings import EncodingStore, Features


def features(count: int) -> Features:
    return (torch.zeros(count - 1, dtype=torch.uint8), torch.zeros(1, dtype=torch.uint8))


def test_what_was_used_longest_ago_goes_first() -> None:
    store = EncodingStore(30)
    for key in (b"a", b"b", b"c"):
        store.put(key, features(10))
    assert store.get(b"a") is not None
    store.put(b"d", features(10))
    assert [store.get(key) is not None for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert store.nbytes == 30


def test_a_large_one_drops_as_many_as_it_needs() -> None:
    store = EncodingStore(30)
    for key in (b"a", b"b", b"c"):
        store.put(key, features(10))
    store.put(b"d", features(15))
    assert [store.get(key) is not None for key in (b"a", b"b", b"c", b"d")] == [False, False, True, True]


def test_the_newest_is_kept_even_alone_over_the_limit() -> None:
    store = EncodingStore(30)
    store.put(b"a", features(10))
    store.put(b"b", features(100))
    assert (store.get(b"a"), store.nbytes) == (None, 100)


def test_the_same_key_counts_once() -> None:
    store = EncodingStore(30)
    store.put(b"a", features(10))
    store.put(b"a", features(20))
    assert store.nbytes == 20


def test_clear_drops_all() -> None:
    store = EncodingStore(30)
    store.put(b"a", features(10))
    store.clear()
    assert (store.get(b"a"), store.nbytes) == (None, 0)
