"""Scenes of drawn shapes with exact masks, small enough that a real segmenter takes milliseconds."""

from __future__ import annotations

from drawings import scene as drawing

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example


def found(seed: int, which: int = 0) -> Example:
    """One shape is wanted."""
    image, shapes = drawing(seed)
    thing = shapes[which]
    return Example(
        f"found-{seed}-{which}",
        image,
        f"the {thing.colour} {thing.shape}",
        Outcome.FOUND,
        (thing.mask,),
        source="drawn",
        tags=("one",),
    )


def several(seed: int, count: int = 2) -> Example:
    """Some of the shapes are wanted, all of them."""
    image, shapes = drawing(seed)
    masks = tuple(thing.mask for thing in shapes[:count])
    return Example(f"several-{seed}", image, "all the toys", Outcome.FOUND, masks, source="drawn", tags=("all",))


def ambiguous(seed: int, count: int = 2) -> Example:
    """The words fit some of the shapes."""
    image, shapes = drawing(seed)
    masks = tuple(thing.mask for thing in shapes[:count])
    return Example(f"ambiguous-{seed}", image, "the toy", Outcome.AMBIGUOUS, masks, source="drawn", tags=("ambiguous",))


def absent(seed: int) -> Example:
    """A shape that there is not, in a colour that there is."""
    image, shapes = drawing(seed)
    words = f"the {shapes[0].colour} star"
    return Example(f"absent-{seed}", image, words, Outcome.NOT_IN_VIEW, source="drawn", tags=("absent",))
