"""The filters: what comes in is what is left and what was dropped, and whoever dropped the last is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsagent_training.jobs.filter_report import FilterReport, NothingLeft


def test_each_filter_counts_what_it_drops_and_why() -> None:
    filters = FilterReport("numbers")
    filters.entered = 6
    kept = filters.apply("even", range(6), lambda number: "odd" if number % 2 else "")
    kept = filters.apply("small", kept, lambda number: "too large" if number > 3 else "")
    assert kept == [0, 2]
    assert filters.left == 2
    assert filters.to_json() == {"entered": 6, "dropped": {"even": {"odd": 3}, "small": {"too large": 1}}, "left": 2}
    assert "| even | odd | -3 |" in filters.to_markdown()
    filters.check()


def test_the_filter_that_dropped_the_last_is_named() -> None:
    filters = FilterReport("numbers")
    filters.entered = 3
    kept = filters.apply("even", [1, 2, 3], lambda number: "odd" if number % 2 else "")
    filters.apply("small", kept, lambda number: "too large")
    filters.apply("last", [], lambda number: "never")
    with pytest.raises(NothingLeft, match=r"no numbers are left of 3: the filter 'small' dropped .* \(1 too large\)"):
        filters.check()


def test_nothing_that_comes_in_is_said_to_be_so() -> None:
    with pytest.raises(NothingLeft, match="there are no numbers: nothing came in"):
        FilterReport("numbers").check()


@given(st.lists(st.integers(0, 9)), st.integers(0, 9), st.integers(0, 9))
def test_nothing_is_lost_and_nothing_counted_twice(numbers: list[int], first: int, second: int) -> None:
    filters = FilterReport("numbers")
    filters.entered = len(numbers)
    kept = filters.apply("first", numbers, lambda number: "below" if number < first else "")
    kept = filters.apply("second", kept, lambda number: "above" if number > second else "")
    assert filters.left == len(kept)
