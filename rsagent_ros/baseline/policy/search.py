"""How the reference policy goes about it: look, decide what is meant, draw masks, look at each, correct, end.

A search is a generator: it yields its next move and is sent what came of it, so the whole conduct of an episode reads
from top to bottom.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import replace

import numpy as np

from rsagent_ros.agent.actions import Finish, ReportAbsent, ReportAmbiguous, Zoom
from rsagent_ros.agent.chat import Picture
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import bounding_box
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat
from rsagent_ros.baseline.policy import places, prompts, wording
from rsagent_ros.baseline.policy.drawing import Drawn, Move, draw
from rsagent_ros.baseline.policy.grounding import Grounding, ground
from rsagent_ros.baseline.policy.language import Phrase, understood
from rsagent_ros.baseline.policy.observation import Observation
from rsagent_ros.baseline.policy.perception import Thing, look
from rsagent_ros.baseline.policy.sight import Sight

ZOOM_BELOW = 32.0
"""A thing whose longer side is shorter than this in the overlay (384 pixels) is zoomed in on, ..."""

CROWDED_BELOW = 64.0
"""... one shorter than this if another thing is close to it."""

_CLOSE = 0.15
"""Gap that is close, relative to the longer side of the thing."""

_ZOOM_FACTOR = 3.0
_TURNS_FOR_A_ZOOM = 4

Moves = Generator[Move, Observation, None]


def search(first: Observation, pictures: PictureFormat = DEFAULT_PICTURES) -> Moves:
    """The moves of an episode, from its first observation on; the last one ends it.

    Args:
        first: It shows the whole image.
        pictures: Format of the chat.
    """
    if first.view is None or first.picture is None:
        yield Move("I was shown no picture.", ReportAbsent("I was shown no picture."))
        return
    sight = _look(first.picture, first.view, pictures)
    height, width = sight.pixels.shape[:2]
    phrases = understood(first.instruction)
    among = _asked_about(first.previous, sight)
    grounded = [ground(phrase, sight.things, width, height, among) for phrase in phrases]
    lead = " ".join([f"I see {wording.inventory(sight.things)}.", *_not_known(phrases)])
    for phrase, found in zip(phrases, grounded, strict=True):
        if not found.targets:
            reason = _absence(phrase, found, sight)
            yield Move(lead, ReportAbsent(reason))
            return
    for phrase, found in zip(phrases, grounded, strict=True):
        if found.ambiguous:
            yield from _ask(sight, phrase, found.targets, lead, first.turns_left)
            return
    yield from _show(sight, [thing for found in grounded for thing in found.targets], lead, first.turns_left)


def _asked_about(previous: Sequence[str], sight: Sight) -> tuple[Thing, ...] | None:
    """The things that fit all that was asked for before, one of which is meant now; None where nothing was."""
    among: tuple[Thing, ...] | None = None
    height, width = sight.pixels.shape[:2]
    for instruction in previous:
        grounded = [ground(phrase, sight.things, width, height, among) for phrase in understood(instruction)]
        among = tuple(thing for found in grounded for thing in found.targets)
    return among


def _ask(sight: Sight, phrase: Phrase, fitting: Sequence[Thing], lead: str, turns: int) -> Moves:
    """Mark each thing that could be meant, and ask which one is."""
    things = places.row(fitting[: max(2, turns - 1)], "left")
    lead += f" The words fit {len(fitting)} of them, so I mark each and ask."
    drawn = yield from _draw_all(sight, things, lead)
    # One mask is no question: the turns that are left are spent on trying for another.
    while len(drawn) < 2:
        drawn += yield from _draw_all(sight, things[len(drawn) :], "I need a mask of each before I can ask.")
    yield Move(
        f"{len(drawn)} are marked, and nothing in the words prefers one.",
        ReportAmbiguous(tuple(one.mask for one in drawn), wording.question(phrase, things)),
    )


def _show(sight: Sight, meant: Sequence[Thing], lead: str, turns: int) -> Moves:
    """Draw a mask of each thing that is meant, and end with them."""
    things = list(meant[: max(1, turns - 1)])
    if len(things) > 1:
        lead += (
            f" {len(meant)} things are meant; I mark {'them' if len(things) == len(meant) else len(things)} one by one."
        )
    else:
        lead += f" What is meant is the {wording.looks(things[0])} at {prompts.place(sight, things[0])}."
        if turns >= _TURNS_FOR_A_ZOOM and _worth_a_zoom(sight, things[0]):
            zoom = Zoom(prompts.zoom_box(sight, things[0], _ZOOM_FACTOR))
            observation = yield Move(f"{lead} It is small or crowded, so I look closer.", zoom)
            sight, things[0] = _closer(sight, things[0], observation)
            lead = f"Closer, it is the {wording.looks(things[0])} at {prompts.place(sight, things[0])}."
    drawn = yield from _draw_all(sight, things, lead)
    while not drawn:
        drawn = yield from _draw_all(sight, things, "I have no mask of it yet, so I try again.")
    agreement = 100 * float(np.mean([one.check.agreement for one in drawn]))
    answer = Finish(tuple(one.mask for one in drawn))
    yield Move(
        f"The overlay and what I see of the {'thing' if len(drawn) == 1 else 'things'} agree by {agreement:.0f} %.",
        answer,
    )
    yield Move("I have seen it with all around it, and stay with it.", answer)


def _draw_all(sight: Sight, things: Sequence[Thing], lead: str) -> Generator[Move, Observation, list[Drawn]]:
    """A mask of each thing that one can be had of. Later things' turns, and one for the end, are left alone."""
    drawn = []
    for number, thing in enumerate(things):
        lead = lead or f"Next, the {wording.looks(thing)} at {prompts.place(sight, thing)}."
        one = yield from draw(sight, thing, lead, keep=len(things) - number, careful=len(things) > 1)
        drawn += [] if one is None else [one]
        lead = ""
    return drawn


def _look(picture: Picture, view: Box, pictures: PictureFormat) -> Sight:
    return Sight(picture.pixels, view, tuple(look(picture.pixels)), pictures)


def _worth_a_zoom(sight: Sight, thing: Thing) -> bool:
    side = sight.overlay_pixels(thing)
    near = _CLOSE * max(thing.box.width, thing.box.height)
    crowded = any(places.gap(thing, other) < near for other in sight.things if other is not thing)
    return side < ZOOM_BELOW or (crowded and side < CROWDED_BELOW)


def _closer(sight: Sight, thing: Thing, observation: Observation) -> tuple[Sight, Thing]:
    """What is seen of a thing after a zoom; as before where the zoom failed."""
    if observation.picture is None or observation.view is None:
        return sight, thing
    closer = _look(observation.picture, observation.view, sight.pictures)
    expected = closer.shown(thing.mask, sight)
    overlaps = [
        (int(np.count_nonzero(other.mask & expected)) / max(1, int(np.count_nonzero(other.mask | expected))), other)
        for other in closer.things
    ]
    best, other = max(overlaps, key=lambda pair: pair[0], default=(0.0, thing))
    if best > 0.5:
        return closer, other
    box = bounding_box(expected)
    if box is None:
        return closer, thing
    # Closer up it was seen as something else; the first impression counts.
    kept = Thing(expected, box, thing.colours, thing.flat, np.zeros_like(expected))
    others = tuple(one for one in closer.things if not (one.mask & expected).any())
    return replace(closer, things=(kept, *others)), kept


def _not_known(phrases: Sequence[Phrase]) -> list[str]:
    notes = []
    for phrase in phrases:
        if phrase.unknown_noun and phrase.decided:
            notes.append(f"I do not know {wording.unknown_words(phrase)}, so I go by the rest of the words.")
        elif phrase.unknown and not phrase.unknown_noun:
            notes.append(f"I do not know {wording.unknown_words(phrase)} and leave it out.")
    return notes


def _absence(phrase: Phrase, found: Grounding, sight: Sight) -> str:
    if not phrase.decided:
        return (
            f"I do not know {wording.unknown_words(phrase)}. I know colours, sizes, places and simple shapes, "
            "and can't tell whether it is here."
        )
    return f"I see {wording.inventory(sight.things)}, but not {found.missing}."
