"""Catalogue of the simulator: colours, sizes, kinds of things, nouns for them and their uses.

A noun says of a kind that it is meant ("mug" of a mug), that it is not, or that people could disagree ("cylinder" of a
drinks can). No goal is asked whose answer hangs on a disagreement (see `truth`).
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from rsagent_training.simulation import shapes

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Colour:
    """A named colour: a small region of HSV, inside which each thing gets its own tone.

    Attributes:
        hue: Degrees; saturation, value: 0..1. Each is (centre, half-width) of a uniform draw.
        shade: Factor on the value for the second tone of a pattern, small enough to keep the colour's name.
    """

    hue: tuple[float, float]
    saturation: tuple[float, float]
    value: tuple[float, float]
    shade: float = 0.7

    def tones(self, rng: np.random.Generator) -> tuple[RGB, RGB]:
        """The main tone of one thing and the darker (for black: lighter) one of its pattern, RGB 0..1."""
        hue, saturation, value = (
            centre + spread * rng.uniform(-1.0, 1.0) for centre, spread in (self.hue, self.saturation, self.value)
        )
        return (
            colorsys.hsv_to_rgb(hue % 360.0 / 360.0, saturation, value),
            colorsys.hsv_to_rgb(hue % 360.0 / 360.0, saturation, value * self.shade),
        )


COLOURS: dict[str, Colour] = {
    "red": Colour((358.0, 5.0), (0.87, 0.05), (0.78, 0.06)),
    "orange": Colour((25.0, 3.0), (0.90, 0.05), (0.97, 0.03), shade=0.84),
    "yellow": Colour((51.0, 3.0), (0.86, 0.05), (0.95, 0.04), shade=0.84),
    "green": Colour((128.0, 14.0), (0.70, 0.10), (0.52, 0.08)),
    "cyan": Colour((184.0, 4.0), (0.78, 0.08), (0.82, 0.06), shade=0.78),
    "blue": Colour((222.0, 6.0), (0.82, 0.07), (0.72, 0.08)),
    "purple": Colour((277.0, 7.0), (0.64, 0.08), (0.58, 0.06)),
    "pink": Colour((338.0, 6.0), (0.42, 0.06), (0.97, 0.03), shade=0.85),
    "brown": Colour((22.0, 4.0), (0.68, 0.06), (0.35, 0.04), shade=0.75),
    "black": Colour((0.0, 180.0), (0.06, 0.06), (0.07, 0.02), shade=2.0),
    "white": Colour((40.0, 20.0), (0.03, 0.02), (0.95, 0.03), shade=0.86),
    "gray": Colour((0.0, 180.0), (0.04, 0.03), (0.40, 0.03), shade=0.78),
}

# Lengths relative to medium. Steps of 1.5 make areas differ by more than two, so the word can be seen.
SIZES: dict[str, float] = {"small": 0.66, "medium": 1.0, "large": 1.5}

PATTERNS = ("plain", "stripes", "checker", "speckle")

_ANY = tuple(COLOURS)
_BRIGHT = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")


@dataclass(frozen=True)
class ItemKind:
    """A kind of thing.

    Attributes:
        build: Makes one individual at medium size.
        colours, sizes, patterns: What it comes in.
        lies: It can lie on its side.
        tall: From straight above it looks like a disc.
        trim: Colours of its parts that are never its own: a can's bare metal, a book's pages.
    """

    name: str
    build: shapes.Builder
    colours: tuple[str, ...] = _ANY
    sizes: tuple[str, ...] = ("small", "medium", "large")
    patterns: tuple[str, ...] = PATTERNS
    lies: bool = False
    tall: bool = False
    trim: frozenset[str] = frozenset()


_KINDS = (
    ItemKind("ball", shapes.ball),
    ItemKind("box", shapes.box),
    ItemKind("cylinder", shapes.cylinder, lies=True, tall=True),
    ItemKind("cone", shapes.cone, tall=True),
    ItemKind("mug", shapes.mug, sizes=("small", "medium"), tall=True),
    ItemKind("bowl", shapes.bowl, sizes=("small", "medium"), patterns=("plain", "speckle", "stripes")),
    ItemKind(
        "bottle",
        shapes.bottle,
        sizes=("small", "medium"),
        patterns=("plain", "stripes"),
        lies=True,
        tall=True,
        trim=frozenset({"black"}),
    ),
    ItemKind("can", shapes.can, sizes=("small", "medium"), lies=True, tall=True, trim=frozenset({"gray", "white"})),
    ItemKind("plate", shapes.dish, sizes=("small", "medium"), patterns=("plain", "speckle")),
    ItemKind(
        "spoon", shapes.spoon, colours=(*_BRIGHT, "black", "white", "gray"), sizes=("medium",), patterns=("plain",)
    ),
    ItemKind("book", shapes.book, sizes=("small", "medium"), trim=frozenset({"white"})),
    ItemKind(
        "banana",
        shapes.banana,
        colours=("yellow", "green"),
        sizes=("medium",),
        patterns=("plain",),
        trim=frozenset({"brown", "black"}),
    ),
    ItemKind("paper", shapes.paper, colours=("white",), sizes=("medium",), patterns=("plain",)),
    ItemKind("circle", shapes.circle, colours=(*_BRIGHT, "black"), patterns=("plain",)),
    ItemKind("square", shapes.square, colours=(*_BRIGHT, "black"), patterns=("plain",)),
    ItemKind("triangle", shapes.triangle, colours=(*_BRIGHT, "black"), patterns=("plain",)),
)
KINDS: dict[str, ItemKind] = {kind.name: kind for kind in _KINDS}

GEOMETRIC = ("ball", "box", "cylinder", "cone")
HOUSEHOLD = ("mug", "bowl", "bottle", "can", "plate", "spoon", "book", "banana")
DRAWINGS = ("circle", "square", "triangle")


@dataclass(frozen=True)
class Noun:
    """A word for things: the kinds it surely names, and those it names in some people's mouths."""

    word: str
    sure: frozenset[str]
    possible: frozenset[str] = frozenset()

    @property
    def plural(self) -> str:
        """The word for several."""
        return self.word + ("es" if self.word.endswith("x") else "s")


def _noun(word: str, possible: str = "") -> Noun:
    return Noun(word, frozenset({word}), frozenset(possible.split()))


NOUNS: dict[str, Noun] = {
    noun.word: noun
    for noun in (
        _noun("ball", possible="circle"),
        _noun("box", possible="book square"),
        _noun("cylinder", possible="can mug bottle"),
        _noun("cone", possible="triangle"),
        _noun("mug"),
        _noun("bowl", possible="plate mug"),
        _noun("bottle"),
        _noun("can", possible="cylinder"),
        _noun("plate", possible="bowl"),
        _noun("spoon"),
        _noun("book", possible="box paper"),
        _noun("banana"),
        _noun("circle", possible="ball plate bowl can cylinder mug"),
        _noun("square", possible="box book paper"),
        _noun("triangle", possible="cone"),
    )
}
_SOLID = frozenset(GEOMETRIC + HOUSEHOLD)
# Whether a drawing or a sheet of paper is a "thing" is for philosophers: goals must have the same answer either way.
THINGS: dict[str, Noun] = {word: Noun(word, _SOLID, frozenset((*DRAWINGS, "paper"))) for word in ("thing", "object")}


@dataclass(frozen=True)
class Use:
    """Something one can do with a thing, as an instruction says it after "something"."""

    words: str
    sure: frozenset[str]
    possible: frozenset[str] = frozenset()


def _use(words: str, sure: str, possible: str = "") -> Use:
    return Use(words, frozenset(sure.split()), frozenset(possible.split()))


USES: tuple[Use, ...] = (
    _use("to drink from", sure="mug bottle can", possible="bowl cylinder"),
    _use("to drink hot coffee from", sure="mug", possible="bowl can bottle cylinder"),
    _use("to pour water from", sure="bottle", possible="mug can bowl"),
    _use("to eat soup with", sure="spoon", possible="bowl"),
    _use("to stir with", sure="spoon"),
    _use("to serve soup in", sure="bowl", possible="mug plate"),
    _use("to serve a sandwich on", sure="plate", possible="bowl book paper"),
    _use("to read", sure="book", possible="paper can bottle circle square triangle"),
    _use("to eat", sure="banana", possible="can bottle bowl plate spoon"),
    _use("to play catch with", sure="ball", possible="banana can box"),
)
