"""Plain English for what was seen: thoughts, reasons and questions."""

from __future__ import annotations

from collections.abc import Sequence

from rsagent_ros.baseline.policy import spatial
from rsagent_ros.baseline.policy.language import Phrase
from rsagent_ros.baseline.policy.objects import SceneObject

_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_RANKS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
_MOST_NAMED = 6


def count(number: int, noun: str) -> str:
    """A number and its noun, as in `two red balls`."""
    plural = noun if number == 1 else noun + ("es" if noun.endswith("x") else "s")
    return f"{_COUNTS[number] if number < len(_COUNTS) else number} {plural}"


def indefinite(words: str) -> str:
    """Words with the article that goes before them, as in `an orange box`."""
    return f"an {words}" if words[:1] in tuple("aeiou") else f"a {words}"


def looks(item: SceneObject) -> str:
    """Colour and shape of an object: "red ball"; "red thing" where its outline is like no shape."""
    shape, distance = min(item.shapes.items(), key=lambda pair: pair[1])
    noun = {"disc": "circle"}.get(shape, shape) if distance < 0.05 and item.solidity > 0.85 else "thing"
    return f"{item.colour} {noun}".strip()


def inventory(objects: Sequence[SceneObject]) -> str:
    """The objects in view, at most a few of them by name: "a red ball, a blue box and two more things"."""
    if not objects:
        return "nothing that stands out from the background"
    named = [indefinite(looks(item)) for item in objects[:_MOST_NAMED]]
    if len(objects) > _MOST_NAMED:
        named.append(count(len(objects) - _MOST_NAMED, "smaller thing"))
    return listed(named)


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words in a row, as in `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def unknown_words(words: Sequence[str]) -> str:
    """Words that were not understood, in quotes; where there are none it is what they say together."""
    return listed([f'"{word}"' for word in dict.fromkeys(words)]) if words else "what these words mean together"


def short(phrase: Phrase) -> str:
    """A phrase's colour and noun alone: "red ball"."""
    return str(Phrase(phrase.noun, phrase.colours, unknown_noun=phrase.unknown_noun))


def question(phrase: Phrase, objects: Sequence[SceneObject]) -> str:
    """The question to ask when a phrase fits several objects."""
    # A plural has room for the short form only: "two balls left of the box" would not be clear.
    noun = f"{phrase.size} {short(phrase)}".strip()
    return f"There are {count(len(objects), noun)}: {listed(_told_apart(objects), 'or')}?"


def _told_apart(objects: Sequence[SceneObject]) -> list[str]:
    """Words for each object that fit it alone: its colour, its shape, else its place."""
    colours = [item.colour for item in objects]
    if all(colours) and len(set(colours)) == len(colours):
        return [f"the {colour} one" for colour in colours]
    kinds = [looks(item) for item in objects]
    if len(set(kinds)) == len(kinds):
        return [f"the {kind}" for kind in kinds]
    across, down = (
        max(values) - min(values) for values in zip(*((item.centre.x, item.centre.y) for item in objects), strict=True)
    )
    direction, names = ("left", ("left", "right")) if across >= down else ("top", ("upper", "lower"))
    row = spatial.in_order(objects, direction)
    ranks = [next(rank for rank, other in enumerate(row) if other is item) for item in objects]
    if len(objects) == 2:
        return [f"the {names[rank]} one" for rank in ranks]
    words = [_RANKS[rank] if rank < len(_RANKS) else f"{rank + 1}th" for rank in ranks]
    return [
        f"the {word}{f' from the {direction}' if rank == 0 else ''}" for rank, word in zip(ranks, words, strict=True)
    ]
