"""A whole episode of the expert, from the first look to the call that ends it; reads from top to bottom."""

from __future__ import annotations

from collections.abc import Generator

from rsagent_ros.agent.actions import Finish, ReportAbsent, ReportAmbiguous, ResetView, Segment, Zoom
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.outcome import Outcome
from rsagent_training.expert.config import MANNERS, Manner
from rsagent_training.expert.episode_state import EpisodeState, ExpertReply, Replies, counted
from rsagent_training.expert.marking import mark
from rsagent_training.expert.mistakes import perhaps_spoiled
from rsagent_training.expert.naming import look_by_words, mark_by_words
from rsagent_training.expert.pointing import around, words
from rsagent_training.expert.surroundings import Other, could_be_meant, likely_first

_LOOKS_GOOD = 0.88

_RANKS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")


def play(state: EpisodeState) -> Replies:
    """The moves of an episode; the last one ends it, unless no mask could be had."""
    config = state.config
    weights = [getattr(config, manner) for manner in MANNERS]
    manner: Manner = MANNERS[int(state.rng.choice(len(MANNERS), p=[weight / sum(weights) for weight in weights]))]
    match state.scene.expected:
        case Outcome.NOT_IN_VIEW:
            yield from _absent(state, manner)
        case Outcome.AMBIGUOUS:
            yield from _ambiguous(state, manner)
        case _ if len(state.scene.masks) == 1:
            yield from _one(state, manner)
        case _:
            yield from _several(state, manner)


def _one(state: EpisodeState, manner: Manner) -> Replies:
    best = 0
    if manner == "words" and state.takes_words and state.turns_left > 2:
        shown = yield from mark_by_words(state, [0], keep=2)
        if 0 in shown:
            yield state.reply(state.thought(*_picked(state), target=0, best=shown[0]), Finish((shown[0],)))
            return
        best = yield from mark(state, 0, "straight", state.thought("unmarked", target=0), keep=1)
    while not best:  # without a mask there is no ending: the turns that are left go into trying
        best = yield from mark(state, 0, manner, state.thought("found", target=0), keep=1)
        manner = "straight"
    if best == state.newest:
        thought = state.thought("good" if _is_good(state, best, 0) else "rough", "finish", target=0, best=best)
    else:
        thought = state.thought("settle", best=best)
    yield state.reply(thought, Finish((best,)))


def _several(state: EpisodeState, manner: Manner) -> Replies:
    """Several things that are all meant: mark each, then answer with all masks."""
    masks = yield from _mark_all_by_words(state, manner, "next")
    if not masks:
        masks = yield from _mark_all(state, manner, "several", "next")
    while not masks:
        masks = yield from _mark_all(state, "straight", "several", "next")
    keys = ("finish_all",) if len(masks) == len(state.scene.masks) else ("settle",)
    thought = state.thought(*keys, count=counted(len(masks)), best=masks[-1])
    yield state.reply(thought, Finish(tuple(masks)))


def _ambiguous(state: EpisodeState, manner: Manner) -> Replies:
    """Several things of which one is meant: mark them all, then ask."""
    masks = yield from _mark_all_by_words(state, manner, "fits_too")
    if not masks:
        masks = yield from _mark_all(state, manner, "fitting", "fits_too")
    while len(masks) < 2:  # one mask is no question
        masks += yield from _mark_all(state, "straight", "fitting", "fits_too")
    question = _question(state)
    yield state.reply(state.thought("ask", count=counted(len(masks))), ReportAmbiguous(tuple(masks), question))


def _mark_all_by_words(state: EpisodeState, manner: Manner, next_lead: str) -> Generator[ExpertReply, None, list[int]]:
    """A mask of each thing, from left to right, through words and by drawing what they do not give; none without."""
    targets = sorted(range(len(state.scene.masks)), key=lambda target: state.target_box(target).center.x)
    if manner != "words" or not state.takes_words or state.turns_left < 3:
        return []
    shown = yield from mark_by_words(state, targets, keep=2)
    left = [target for target in targets if target not in shown]
    for place, target in enumerate(left):
        if state.turns_left <= len(left) - place:
            break
        one = yield from mark(state, target, "straight", state.thought(next_lead, target=target), len(left) - place)
        shown |= {target: one} if one else {}
    return [shown[target] for target in targets if target in shown]


def _picked(state: EpisodeState) -> tuple[str, ...]:
    """Keys of the thought that ends with one of the masks that a phrase gave."""
    return ("not_that", "picked") if state.newest else ("picked",)


def _mark_all(
    state: EpisodeState, manner: Manner, lead: str, next_lead: str
) -> Generator[ExpertReply, None, list[int]]:
    """A mask of each thing that one can be had of, from left to right or in any order."""
    count = len(state.scene.masks)
    order = list(range(count))
    if state.chance(0.6):
        order.sort(key=lambda target: state.target_box(target).center.x)
    else:
        order = [int(target) for target in state.rng.permutation(count)]
    odd_one = int(state.rng.integers(count))
    masks: list[int] = []
    for place, target in enumerate(order):
        left = count - place
        if state.turns_left <= left and place:
            break
        if not state.point.shows(state.target_box(target)):
            yield state.reply(state.thought("back"), ResetView())
        thought = state.thought(lead, "begin", target=target) if place == 0 else state.thought(next_lead, target=target)
        if masks and masks[-1] == state.newest and _is_good(state, masks[-1], order[place - 1]):
            thought = f"{state.thought('one_done', target=order[place - 1])} {thought}"
        # One turn for each of the others, one for the end, and one to come back from a zoom.
        keep = left + (left > 1)
        one = yield from mark(state, target, manner if place == odd_one else "straight", thought, keep)
        masks += [one] if one else []
    return masks


def _is_good(state: EpisodeState, mask: int, target: int) -> bool:
    """Whether the overlay of a mask looks as if there were nothing to correct."""
    return state.compared(mask, target).iou >= _LOOKS_GOOD


def _absent(state: EpisodeState, manner: Manner) -> Replies:
    """Look at what could be meant from closer by, and only then say that it is not there."""
    others = likely_first(state.surroundings.others, state.scene.instruction)
    rivals = could_be_meant(others, state.scene.instruction)
    looks = max(1, min(int(state.rng.integers(1, state.config.looks + 1)), (state.turns_left - 1) // 2))
    seen: list[Other] = []
    if manner == "wrong_thing" and rivals and state.turns_left >= 3:
        other = rivals[0]
        there = state.point.box(other.box)
        thought = state.thought("mistaken", other=other.words, box=words(there))
        yield state.reply(thought, Segment(box=there), learn=False)
        seen.append(other)
        others, looks = [one for one in others if one is not other], looks - 1
    if manner == "words" and state.takes_words and state.turns_left > 3:
        yield from look_by_words(state)
    lead = "look_for" if not seen else "look_on"
    spoil = manner == "bad_call"
    for other in others[:looks]:
        if state.turns_left < (4 if state.zoomed else 3):  # to go back, to look, to end
            break
        verdict = state.thought("not_it", other=seen[-1].words) if seen else ""
        if state.zoomed:
            yield state.reply(f"{verdict} {state.thought('back')}".strip(), ResetView())
            verdict = ""
        box = state.point.box(around(other.box, float(state.rng.uniform(0.3, 0.9)), state.width, state.height))
        thought = state.thought(lead, other=other.words, box=words(box))
        yield from perhaps_spoiled(state, state.reply(f"{verdict} {thought}".strip(), Zoom(box)), spoil)
        seen.append(other)
        lead, spoil = "look_on", False
    if not seen:
        box = _half(state)
        yield from perhaps_spoiled(state, state.reply(state.thought("look_part", box=words(box)), Zoom(box)), spoil)
    verdict = state.thought("not_it", other=seen[-1].words) if seen else state.thought("not_here")
    yield state.reply(f"{verdict} {state.thought('absent')}", ReportAbsent(_reason(state, seen)))


def _reason(state: EpisodeState, seen: list[Other]) -> str:
    looked = " and ".join(dict.fromkeys(other.words for other in seen))
    if not looked:
        return f"I looked at the picture from closer by, and nothing in it is {state.wanted}."
    return f"I looked closely at {looked}; that is not {state.wanted}, and nothing else in view fits."


def _question(state: EpisodeState) -> str:
    """Tell the things apart by their colours, else by where they are."""
    colours = state.surroundings.colours
    boxes = [state.target_box(target) for target in range(len(state.scene.masks))]
    if all(colours) and len(set(colours)) == len(colours):
        return f"Which one do you mean, {_either([f'the {colour} one' for colour in colours])}?"
    across = max(box.center.x for box in boxes) - min(box.center.x for box in boxes)
    down = max(box.center.y for box in boxes) - min(box.center.y for box in boxes)
    if len(boxes) == 2:
        names = ("left", "right") if across >= down else ("upper", "lower")
        return f"Do you mean the {names[0]} one or the {names[1]} one?"
    start = "from the left" if across >= down else "from the top"
    ranks = [f"the {rank}" for rank in _RANKS[: len(boxes)]]
    return f"Counted {start}, do you mean {_either(ranks)}?"


def _either(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


def _half(state: EpisodeState) -> Box:
    """One half of the picture, the left one or the right one."""
    left = 0 if state.chance(0.5) else state.width / 2
    return state.point.box(Box(left, 0, left + state.width / 2, state.height))
