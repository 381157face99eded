"""A whole episode of the expert, from the first look to the call that ends it; reads from top to bottom."""

from __future__ import annotations

from collections.abc import Generator

from rsagent_ros.agent.actions import Finish, ReportAbsent, ReportAmbiguous, ResetView, Segment, Zoom
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.outcome import Outcome
from rsagent_training.expert.config import MANNERS, Manner
from rsagent_training.expert.marking import mark
from rsagent_training.expert.mistakes import perhaps_spoiled
from rsagent_training.expert.prompts import around, words
from rsagent_training.expert.stage import Move, Moves, Stage, counted
from rsagent_training.expert.surroundings import Other, could_be_meant, likely_first

_LOOKS_GOOD = 0.88

_RANKS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh")


def conduct(stage: Stage) -> Moves:
    """The moves of an episode; the last one ends it, unless no mask could be had."""
    config = stage.config
    weights = [getattr(config, manner) for manner in MANNERS]
    manner: Manner = MANNERS[int(stage.rng.choice(len(MANNERS), p=[weight / sum(weights) for weight in weights]))]
    match stage.scene.expected:
        case Outcome.NOT_IN_VIEW:
            yield from _absent(stage, manner)
        case Outcome.AMBIGUOUS:
            yield from _ambiguous(stage, manner)
        case _ if len(stage.scene.masks) == 1:
            yield from _one(stage, manner)
        case _:
            yield from _several(stage, manner)


def _one(stage: Stage, manner: Manner) -> Moves:
    best = 0
    while not best:  # without a mask there is no ending: the turns that are left go into trying
        best = yield from mark(stage, 0, manner, stage.say("found", target=0), keep=1)
        manner = "straight"
    if best == stage.newest:
        thought = stage.say("good" if _is_good(stage, best, 0) else "rough", "finish", target=0, best=best)
    else:
        thought = stage.say("settle", best=best)
    yield stage.move(thought, Finish((best,)))


def _several(stage: Stage, manner: Manner) -> Moves:
    """All of several things, one mask each."""
    masks = yield from _mark_all(stage, manner, "several", "next")
    while not masks:
        masks = yield from _mark_all(stage, "straight", "several", "next")
    keys = ("finish_all",) if len(masks) == len(stage.scene.masks) else ("settle",)
    thought = stage.say(*keys, count=counted(len(masks)), best=masks[-1])
    yield stage.move(thought, Finish(tuple(masks)))


def _ambiguous(stage: Stage, manner: Manner) -> Moves:
    """Several things of which one is meant: mark them all, then ask."""
    masks = yield from _mark_all(stage, manner, "fitting", "fits_too")
    while len(masks) < 2:  # one mask is no question
        masks += yield from _mark_all(stage, "straight", "fitting", "fits_too")
    question = _question(stage)
    yield stage.move(stage.say("ask", count=counted(len(masks))), ReportAmbiguous(tuple(masks), question))


def _mark_all(stage: Stage, manner: Manner, lead: str, next_lead: str) -> Generator[Move, None, list[int]]:
    """A mask of each thing that one can be had of, from left to right or in any order."""
    count = len(stage.scene.masks)
    order = list(range(count))
    if stage.chance(0.6):
        order.sort(key=lambda target: stage.target_box(target).center.x)
    else:
        order = [int(target) for target in stage.rng.permutation(count)]
    odd_one = int(stage.rng.integers(count))
    masks: list[int] = []
    for place, target in enumerate(order):
        left = count - place
        if stage.turns_left <= left and place:
            break
        if not stage.point.shows(stage.target_box(target)):
            yield stage.move(stage.say("back"), ResetView())
        said = stage.say(lead, "begin", target=target) if place == 0 else stage.say(next_lead, target=target)
        if masks and masks[-1] == stage.newest and _is_good(stage, masks[-1], order[place - 1]):
            said = f"{stage.say('one_done', target=order[place - 1])} {said}"
        # One turn for each of the others, one for the end, and one to come back from a zoom.
        keep = left + (left > 1)
        one = yield from mark(stage, target, manner if place == odd_one else "straight", said, keep)
        masks += [one] if one else []
    return masks


def _is_good(stage: Stage, mask: int, target: int) -> bool:
    """Whether the overlay of a mask looks as if there were nothing to correct."""
    return stage.compared(mask, target).iou >= _LOOKS_GOOD


def _absent(stage: Stage, manner: Manner) -> Moves:
    """Look at what could be meant from closer by, and only then say that it is not there."""
    others = likely_first(stage.surroundings.others, stage.scene.instruction)
    rivals = could_be_meant(others, stage.scene.instruction)
    looks = max(1, min(int(stage.rng.integers(1, stage.config.looks + 1)), (stage.turns_left - 1) // 2))
    seen: list[Other] = []
    if manner == "wrong_thing" and rivals and stage.turns_left >= 3:
        other = rivals[0]
        there = stage.point.box(other.box)
        thought = stage.say("mistaken", other=other.words, box=words(there))
        yield stage.move(thought, Segment(box=there), learn=False)
        seen.append(other)
        others, looks = [one for one in others if one is not other], looks - 1
    lead = "look_for" if not seen else "look_on"
    spoil = manner == "bad_call"
    for other in others[:looks]:
        if stage.turns_left < (4 if stage.zoomed else 3):  # to go back, to look, to end
            break
        verdict = stage.say("not_it", other=seen[-1].words) if seen else ""
        if stage.zoomed:
            yield stage.move(f"{verdict} {stage.say('back')}".strip(), ResetView())
            verdict = ""
        box = stage.point.box(around(other.box, float(stage.rng.uniform(0.3, 0.9)), stage.width, stage.height))
        thought = stage.say(lead, other=other.words, box=words(box))
        yield from perhaps_spoiled(stage, stage.move(f"{verdict} {thought}".strip(), Zoom(box)), spoil)
        seen.append(other)
        lead, spoil = "look_on", False
    if not seen:
        box = _half(stage)
        yield from perhaps_spoiled(stage, stage.move(stage.say("look_part", box=words(box)), Zoom(box)), spoil)
    verdict = stage.say("not_it", other=seen[-1].words) if seen else stage.say("not_here")
    yield stage.move(f"{verdict} {stage.say('absent')}", ReportAbsent(_reason(stage, seen)))


def _reason(stage: Stage, seen: list[Other]) -> str:
    looked = " and ".join(dict.fromkeys(other.words for other in seen))
    if not looked:
        return f"I looked at the picture from closer by, and nothing in it is {stage.wanted}."
    return f"I looked closely at {looked}; that is not {stage.wanted}, and nothing else in view fits."


def _question(stage: Stage) -> str:
    """Tell the things apart by their colours, else by where they are."""
    colours = stage.surroundings.colours
    boxes = [stage.target_box(target) for target in range(len(stage.scene.masks))]
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


def _half(stage: Stage) -> Box:
    """One half of the picture, the left one or the right one."""
    left = 0 if stage.chance(0.5) else stage.width / 2
    return stage.point.box(Box(left, 0, left + stage.width / 2, stage.height))
