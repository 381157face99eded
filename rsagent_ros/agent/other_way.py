"""The other way to a mask of an answer: what words found is checked by a box, what a box gave by the goal's words."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace

from rsagent_ros.agent.comparison import Pair
from rsagent_ros.agent.errors import ToolFailed
from rsagent_ros.agent.evidence import MaskEntry
from rsagent_ros.agent.geometry import View
from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.toolbox import Toolbox

log = logging.getLogger(__name__)

AGREES = 0.5
"""IoU from which on both ways found the same."""

MOST_WORDS = 6
"""Words of a noun phrase; longer ones are descriptions, which segmenters do not look for."""

_ASKING = re.compile(
    r"^(please|can you|could you|find|show|show me|give me|get|take|pick up|look for|where is|the|a|an)\s+"
)
_FURTHER = re.compile(
    r"\s+(that|which|with|without|on|in|at|to|of|by|from|under|above|below|behind|near|next|left|right|between|beside"
    r"|closest)\s.*$|[,.;:?!].*$"
)


def noun_phrase(instruction: str) -> str:
    """The noun phrase that an instruction begins with, such as `red mug`; empty where it is too long to be one."""
    words = " ".join(instruction.casefold().split())
    while (shorter := _ASKING.sub("", words)) != words:
        words = shorter
    words = _FURTHER.sub("", words).strip()
    return words if len(words.split()) <= MOST_WORDS else ""


def other_masks(entries: Sequence[MaskEntry], instruction: str, toolbox: Toolbox, first_id: int) -> tuple[Pair, ...]:
    """The masks of an answer that the other way of looking does not find, each with what it finds instead.

    Blocks for one call of the segmenter for each mask; no goal fails by them.

    Args:
        entries: Masks of the answer.
        instruction: Of the goal.
        toolbox: Of the episode.
        first_id: For the first mask that is found.
    """
    pairs: list[Pair] = []
    for entry in entries:
        other = _other_way(entry, entries, instruction, toolbox, first_id + len(pairs))
        if other is not None:
            pairs.append(Pair(entry, other))
    return tuple(pairs)


def _other_way(
    entry: MaskEntry, answer: Sequence[MaskEntry], instruction: str, toolbox: Toolbox, mask_id: int
) -> MaskEntry | None:
    """The mask that the other way finds instead; None where both ways agree, or the other one can't say.

    A mask that words found is checked by a box around it, any other by the goal's noun phrase in the whole frame.
    """
    height, width = entry.shape
    try:
        if entry.phrase:
            found = toolbox.boxed(entry.box, View(*entry.view_key, frame_width=width, frame_height=height), mask_id)
        else:
            phrase = noun_phrase(instruction)
            found = toolbox.instances(phrase, View.whole(width, height), mask_id) if phrase else []
    except ToolFailed:
        return None
    except Exception:  # whatever the segmenter raises, the answer is there
        log.warning("an answer could not be checked in the other way", exc_info=True)
        return None
    if any(iou(one.mask, entry.mask) >= AGREES for one in found):
        return None
    # What the answer holds anyway is nothing that could be meant instead.
    others = (one for one in found if all(iou(one.mask, mine.mask) < AGREES for mine in answer))
    other = next(others, None)
    return None if other is None else replace(other, mask_id=mask_id)
