"""The funnel: what comes in is what is left and what was dropped, and whoever dropped the last is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsagent_training.jobs.filter_report import FilterReport, NothingLeft


def test_each_filter_counts_what_it_drops_and_why() -> None:
    funnel = FilterReport("numbers")
    funnel.entered = 6
    kept = funnel.sieve("even", range(6), lambda number: "odd" if number % 2 else "")
    kept = funnel.sieve("small", kept, lambda number: "too large" if number > 3 else "")
    assert kept == [0, 2]
    assert funnel.left == 2
    assert funnel.to_json() == {"entered": 6, "dropped": {"even": {"odd": 3}, "small": {"too large": 1}}, "left": 2}
    assert "| even | odd | -3 |" in funnel.to_markdown()
    funnel.check()


def test_the_filter_that_dropped_the_last_is_named() -> None:
    funnel = FilterReport("numbers")
    funnel.entered = 3
    kept = funnel.sieve("even", [1, 2, 3], lambda number: "odd" if number % 2 else "")
    funnel.sieve("small", kept, lambda number: "too large")
    funnel.sieve("last", [], lambda number: "never")
    with pytest.raises(NothingLeft, match=r"no numbers are left of 3: the filter 'small' dropped .* \(1 too large\)"):
        funnel.check()


def test_nothing_that_comes_in_is_said_to_be_so() -> None:
    with pytest.raises(NothingLeft, match="there are no numbers: nothing came in"):
        FilterReport("numbers").check()


@given(st.lists(st.integers(0, 9)), st.integers(0, 9), st.integers(0, 9))
def test_nothing_is_lost_and_nothing_counted_twice(numbers: list[int], first: int, second: int) -> None:
    funnel = FilterReport("numbers")
    funnel.entered = len(numbers)
    kept = funnel.sieve("first", numbers, lambda number: "below" if number < first else "")
    kept = funnel.sieve("second", kept, lambda number: "above" if number > second else "")
    assert funnel.left == len(kept)
