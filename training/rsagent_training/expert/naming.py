"""From words to masks: a phrase, a look at what it marks, another phrase where it is too wide or too narrow.

Mistakes are a phrase that says too little or too much, and a number that is not the thing's. What is not marked in the
end is left to whoever draws it.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import Literal

from rsagent_ros.agent.actions import Find, Segment
from rsagent_ros.agent.other_way import noun_phrase
from rsagent_training.expert.episode_state import EpisodeState, ExpertReply, Replies, counted
from rsagent_training.expert.mask_difference import inside

Mistake = Literal["none", "wide", "narrow", "wrong_number"]
MISTAKES: tuple[Mistake, ...] = ("none", "none", "wide", "narrow", "wrong_number")
"""One is drawn for each episode: two of five make none."""

_TOO_EXACT = ("teapot", "thermos", "paperweight", "flowerpot")
"""Names of kinds so narrow that nothing on a table is one."""

_WORDS = re.compile(r"[a-z]+( [a-z-]+)*")


def mark_by_words(
    state: EpisodeState, targets: Sequence[int], keep: int
) -> Generator[ExpertReply, None, dict[int, int]]:
    """Have things marked by a phrase, and see which mask shows which of them.

    Args:
        state: State of the episode.
        targets: Numbers of the scene's masks.
        keep: Turns to leave over.

    Returns:
        For each target that a mask shows well, the mask's id.
    """
    right, wide = _phrases(state, targets[0])
    mistake = MISTAKES[int(state.rng.integers(len(MISTAKES)))]
    if state.turns_left - 2 < keep:
        mistake = "none"
    colour = state.surroundings.colours[targets[0]]
    narrow = " ".join(filter(None, (colour, _TOO_EXACT[int(state.rng.integers(len(_TOO_EXACT)))])))
    phrase = {"wide": wide, "narrow": narrow}.get(mistake, right)
    yield state.reply(state.thought("by_words", phrase=phrase), Find(phrase), learn=phrase == right)
    if phrase != right and state.turns_left - 1 >= keep:
        marked = len(state.found)
        if mistake == "narrow" and not _shown(state, targets):
            yield state.reply(state.thought("too_narrow", phrase=phrase, better=right), Find(right))
        elif mistake == "wide" and marked > len(targets):
            thought = state.thought("too_wide", phrase=phrase, better=right, count=counted(marked))
            yield state.reply(thought, Find(right))
    shown = _shown(state, targets)
    if mistake == "wrong_number" and shown and state.turns_left - 1 >= keep:
        yield from _wrong_number(state, targets[0], [one for one in state.found if one not in shown.values()])
    return shown


def look_by_words(state: EpisodeState) -> Replies:
    """Ask for what is not there by its name."""
    phrase = noun_phrase(state.scene.instruction)
    if _WORDS.fullmatch(phrase):
        yield state.reply(state.thought("by_words", phrase=phrase), Find(phrase))


def _wrong_number(state: EpisodeState, target: int, others: Sequence[int]) -> Replies:
    """Take another thing that is marked for the target, and see by its overlay that it is not."""
    if not others:
        return
    other = others[int(state.rng.integers(len(others)))]
    spot = inside(state.masks[other])
    if not state.point.shows(state.target_box(target)):
        return
    segment = Segment(refine=other, positive=(state.point.point(spot),))
    yield state.reply(state.thought("take_number", number=other), segment, learn=False)


def _phrases(state: EpisodeState, target: int) -> tuple[str, str]:
    """A phrase for a target, and one that says too little."""
    colour = state.surroundings.colours[target]
    short = noun_phrase(state.scene.instruction)
    looks = f"{colour} thing" if colour else "thing"
    return (short if _WORDS.fullmatch(short) else looks), "thing"


def _shown(state: EpisodeState, targets: Sequence[int]) -> dict[int, int]:
    """For each target that one of the newest marks shows well, that mark's id."""
    shown: dict[int, int] = {}
    for target in targets:
        matches = {one: state.compared(one, target).iou for one in state.found}
        best = max(matches, key=lambda one: matches[one], default=0)
        if best and matches[best] >= state.config.good:
            shown[target] = best
    return shown
