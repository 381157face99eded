"""Which policies and segmenters there are, by the name that parameters and flags use. Imported only when chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rsagent_ros.agent.policy import Policy
from rsagent_ros.agent.segmenter import Segmenter


def _reference() -> Policy:
    from rsagent_ros.policies.reference import ReferencePolicy

    return ReferencePolicy()


def _classical() -> Segmenter[Any]:
    from rsagent_ros.segmenters.classical import ClassicalSegmenter

    return ClassicalSegmenter()


POLICIES: dict[str, Callable[[], Policy]] = {"reference": _reference}
SEGMENTERS: dict[str, Callable[[], Segmenter[Any]]] = {"classical": _classical}


def make_policy(name: str) -> Policy:
    """The policy of that name; blocks while it loads.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in POLICIES:
        raise ValueError(f"there is no policy {name!r}; choose one of {sorted(POLICIES)}")
    return POLICIES[name]()


def make_segmenter(name: str) -> Segmenter[Any]:
    """The segmenter of that name; blocks while it loads.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in SEGMENTERS:
        raise ValueError(f"there is no segmenter {name!r}; choose one of {sorted(SEGMENTERS)}")
    return SEGMENTERS[name]()
