"""A second, naive reading of goals: from the words alone, without the margins and doubts of `simulation.semantics`.

It knows nothing of how goals are made. It takes an instruction apart with regular expressions and looks the answer up
in the masks, so that a goal whose answer it does not share is either wrong or unfair.
"""

from __future__ import annotations

import re

import numpy as np

from rsagent_training.simulation.layout import Item
from rsagent_training.simulation.world import Rendering

COLOURS = ["red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink", "brown", "black", "white", "gray"]
DRAWINGS = {"circle", "square", "triangle"}
SOLIDS = {"ball", "box", "cylinder", "cone", "mug", "bowl", "bottle", "can", "plate", "spoon", "book", "banana"}
RELATIONS = ("left of", "right of", "in front of", "behind", "on", "closest to")
ORDINALS = {"second": 1, "third": 2, "fourth": 3, "fifth": 4}
USES = {
    "to drink from": {"mug", "bottle", "can"},
    "to drink hot coffee from": {"mug"},
    "to pour water from": {"bottle"},
    "to eat soup with": {"spoon"},
    "to stir with": {"spoon"},
    "to serve soup in": {"bowl"},
    "to serve a sandwich on": {"plate"},
    "to read": {"book"},
    "to eat": {"banana"},
    "to play catch with": {"ball"},
}


class Reader:
    """Answers instructions about one frame."""

    def __init__(self, items: tuple[Item, ...], frame: Rendering) -> None:
        self.items = {item.name: item for item in items if frame.masks[item.name].any()}
        self.masks = {name: frame.masks[name] for name in self.items}
        self.frame = frame

    def centre(self, name: str) -> tuple[float, float]:
        rows, columns = np.nonzero(self.masks[name])
        return float(columns.mean()), float(rows.mean())

    def depth(self, name: str) -> float:
        return float(np.median(self.frame.depth[self.masks[name]]))

    def area(self, name: str) -> int:
        return int(self.masks[name].sum())

    def answer(self, instruction: str) -> set[str]:
        """Names of all things the instruction may mean; one for a superlative."""
        use = re.fullmatch(r"something (to .+?)(?: that is (\w+))?", instruction)
        if use:
            kinds, colour = USES[use[1]], use[2]
            return {n for n, i in self.items.items() if i.kind in kinds and colour in (None, i.colour)}
        everything = re.fullmatch(r"all the (.+)", instruction)
        if everything:
            return self.described(everything[1].replace("boxes", "box").removesuffix("s"))
        words = instruction.removeprefix("the ")
        for relation in RELATIONS:
            if f" {relation} the " in words and not words.endswith("from the camera"):
                phrase, _, place = words.partition(f" {relation} the ")
                (landmark,) = self.described(place)
                return self.related(self.described(phrase) - {landmark}, relation, landmark)
        return self.ranked(words)

    def ranked(self, words: str) -> set[str]:
        ordinal = re.fullmatch(r"(\w+) (.+) from the (left|right)", words)
        if ordinal and ordinal[1] in ORDINALS:
            row = sorted(self.described(ordinal[2]), key=self.centre, reverse=ordinal[3] == "right")
            return {row[ORDINALS[ordinal[1]]]}
        far = re.fullmatch(r"(.+) (nearest to|farthest from) the camera", words)
        if far:
            pick = min if far[2] == "nearest to" else max
            return {pick(self.described(far[1]), key=self.depth)}
        first, _, rest = words.partition(" ")
        extremes = {
            "leftmost": lambda names: min(names, key=self.centre),
            "rightmost": lambda names: max(names, key=self.centre),
            "largest": lambda names: max(names, key=self.area),
            "smallest": lambda names: min(names, key=self.area),
        }
        if first in extremes:
            return {extremes[first](self.described(rest))}
        return self.described(words)

    def described(self, phrase: str) -> set[str]:
        """Things that fit "[small|large] [colour] noun [that is|are not colour]"."""
        parts = re.fullmatch(
            rf"(?:(small|large) )?(?:({'|'.join(COLOURS)}) )?(\w+)(?: that (?:is|are) not (\w+))?", phrase
        )
        assert parts, phrase
        size, colour, noun, other = parts.groups()
        assert noun in {*SOLIDS, *DRAWINGS, "thing", "object"}, phrase
        names = {
            name
            for name, item in self.items.items()
            if (item.kind == noun or (noun in ("thing", "object") and item.kind in SOLIDS))
            and colour in (None, item.colour)
            and item.colour != other
        }
        return {name for name in names if size in (None, self.items[name].size)}

    def related(self, names: set[str], relation: str, landmark: str) -> set[str]:
        x, y = self.centre(landmark)
        far = self.depth(landmark)
        if relation == "closest to":
            return {min(names, key=lambda n: np.hypot(self.centre(n)[0] - x, self.centre(n)[1] - y))}
        holds = {
            "left of": lambda n: self.centre(n)[0] < x,
            "right of": lambda n: self.centre(n)[0] > x,
            "in front of": lambda n: self.depth(n) < far and self.centre(n)[1] > y,
            "behind": lambda n: self.depth(n) > far and self.centre(n)[1] < y,
            "on": lambda n: self.items[n].on == landmark,
        }[relation]
        return {name for name in names if holds(name)}
