"""Scenes of drawn shapes with exact masks, small enough that a real segmenter takes milliseconds."""

from __future__ import annotations

from drawings import scene as drawing

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.scene import Scene


def found(seed: int, which: int = 0) -> Scene:
    """One shape is wanted."""
    image, shapes = drawing(seed)
    thing = shapes[which]
    return Scene(
        f"found-{seed}-{which}",
        image,
        f"the {thing.colour} {thing.shape}",
        Outcome.FOUND,
        (thing.mask,),
        "drawn",
        "one",
    )


def several(seed: int, count: int = 2) -> Scene:
    """Some of the shapes are wanted, all of them."""
    image, shapes = drawing(seed)
    masks = tuple(thing.mask for thing in shapes[:count])
    return Scene(f"several-{seed}", image, "all the toys", Outcome.FOUND, masks, "drawn", "all")


def ambiguous(seed: int, count: int = 2) -> Scene:
    """The words fit some of the shapes."""
    image, shapes = drawing(seed)
    masks = tuple(thing.mask for thing in shapes[:count])
    return Scene(f"ambiguous-{seed}", image, "the toy", Outcome.AMBIGUOUS, masks, "drawn", "ambiguous")


def absent(seed: int) -> Scene:
    """A shape that there is not, in a colour that there is."""
    image, shapes = drawing(seed)
    return Scene(f"absent-{seed}", image, f"the {shapes[0].colour} star", Outcome.NOT_IN_VIEW, (), "drawn", "absent")
