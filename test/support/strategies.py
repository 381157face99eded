"""What Hypothesis draws in several tests."""

from __future__ import annotations

from hypothesis import strategies as st

from rsagent_ros.agent.actions import (
    CAUSES,
    Action,
    Combine,
    Find,
    Finish,
    GiveUp,
    ReportAbsent,
    ReportAmbiguous,
    ResetView,
    Segment,
    Zoom,
)
from rsagent_ros.agent.geometry import Box, Point

whole_numbers = st.integers(0, 1000)
thousandths = st.integers(0, 1_000_000).map(lambda number: number / 1000)
sentences = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300).filter(str.strip)

phrases = st.lists(st.sampled_from(["red", "mug", "the", "ball", "Tasse", "杯子"]), min_size=1, max_size=8).map(
    " ".join
)


def actions(
    number: st.SearchStrategy[float], sentence: st.SearchStrategy[str] = sentences
) -> st.SearchStrategy[Action]:
    """Every valid action, with coordinates drawn from `number`."""
    pairs = st.lists(number, min_size=2, max_size=2, unique=True).map(sorted)
    boxes = st.tuples(pairs, pairs).map(lambda xy: Box(xy[0][0], xy[1][0], xy[0][1], xy[1][1]))
    points = st.lists(st.builds(Point, number, number), max_size=5).map(tuple)
    mask_ids = st.integers(1, 99)

    def ids(least: int) -> st.SearchStrategy[tuple[int, ...]]:
        return st.lists(mask_ids, min_size=least, max_size=6, unique=True).map(tuple)

    segments = st.builds(Segment, st.none() | boxes, points, points, st.none() | mask_ids)
    return st.one_of(
        st.builds(Find, phrases),
        segments.filter(lambda s: s.box is not None or bool(s.positive) or s.refine is not None),
        st.builds(Zoom, boxes),
        st.just(ResetView()),
        st.builds(Combine, ids(1), ids(0)),
        st.builds(Finish, ids(1)),
        st.builds(ReportAbsent, sentence),
        st.builds(ReportAmbiguous, ids(2), sentence),
        st.builds(GiveUp, sentence, st.sampled_from(CAUSES), ids(0)),
    )
