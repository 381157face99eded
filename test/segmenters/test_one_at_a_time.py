"""A lent segmenter takes words exactly where its own does."""

from __future__ import annotations

import numpy as np
from fakes import FakeFinder, FakeSegmenter

from rsagent_ros.agent.actions import ALL_TOOLS
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.segmenter import MaskPrompt, tools_with
from rsagent_ros.segmenters.one_at_a_time import one_at_a_time

FRAME = np.zeros((40, 60, 3), dtype=np.uint8)


def test_words_are_lent_with_the_segmenter_that_takes_them() -> None:
    finder = FakeFinder({"mug": [Box(0.0, 0.0, 0.5, 0.5)]})
    lent = one_at_a_time(finder)
    assert lent.name == finder.name
    assert tools_with(lent, ALL_TOOLS) == ALL_TOOLS
    encoding = lent.encode(FRAME)
    assert [one.box for one in lent.find(encoding, "mug")] == [Box(0, 0, 30, 20)]  # type: ignore[attr-defined]
    assert len(lent.masks(encoding, MaskPrompt.of(Box(0, 0, 9, 9)))) == 1


def test_one_that_takes_none_lends_none() -> None:
    assert "find" not in tools_with(one_at_a_time(FakeSegmenter()), ALL_TOOLS)
