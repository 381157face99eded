"""Plain English for what was seen: thoughts, reasons and questions."""

from __future__ import annotations

from collections.abc import Sequence

from rsagent_ros.baseline.policy import places
from rsagent_ros.baseline.policy.language import Phrase
from rsagent_ros.baseline.policy.perception import Thing

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


def looks(thing: Thing) -> str:
    """What a thing looks like: "red ball"; "red thing" where its outline is like no shape."""
    names = {"disc": "circle"}
    shape, distance = min(thing.shapes.items(), key=lambda pair: pair[1])
    noun = names.get(shape, shape) if distance < 0.05 and thing.solidity > 0.85 else "thing"
    return f"{thing.colour} {noun}".strip()


def inventory(things: Sequence[Thing]) -> str:
    """What is in view, at most a few of them by name: "a red ball, a blue box and two more things"."""
    if not things:
        return "nothing that stands out from the background"
    named = [indefinite(looks(thing)) for thing in things[:_MOST_NAMED]]
    if len(things) > _MOST_NAMED:
        named.append(count(len(things) - _MOST_NAMED, "smaller thing"))
    return listed(named)


def listed(words: Sequence[str], last: str = "and") -> str:
    """Words in a row, as in `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def unknown_words(phrase: Phrase) -> str:
    """The words that were not understood, in quotes."""
    return listed([f'"{word}"' for word in phrase.unknown]) if phrase.unknown else "these words"


def question(phrase: Phrase, things: Sequence[Thing]) -> str:
    """What to ask when a phrase fits several things."""
    return f"There are {count(len(things), _noun(phrase))}: {listed(_told_apart(things), 'or')}?"


def _noun(phrase: Phrase) -> str:
    # A plural has room for the short form only: "two balls left of the box" would not be clear.
    return str(Phrase(phrase.noun, phrase.colours, phrase.size, unknown_noun=phrase.unknown_noun))


def _told_apart(things: Sequence[Thing]) -> list[str]:
    """Words for each thing that fit it alone: its colour, its shape, else its place."""
    colours = [thing.colour for thing in things]
    if all(colours) and len(set(colours)) == len(colours):
        return [f"the {colour} one" for colour in colours]
    kinds = [looks(thing) for thing in things]
    if len(set(kinds)) == len(kinds):
        return [f"the {kind}" for kind in kinds]
    across = max(thing.centre.x for thing in things) - min(thing.centre.x for thing in things)
    down = max(thing.centre.y for thing in things) - min(thing.centre.y for thing in things)
    direction, names = ("left", ("left", "right")) if across >= down else ("top", ("upper", "lower"))
    order = places.row(things, direction)
    ranks = {id(thing): rank for rank, thing in enumerate(order)}
    if len(things) == 2:
        return [f"the {names[ranks[id(thing)]]} one" for thing in things]
    start = "from the left" if direction == "left" else "from the top"
    words = [_RANKS[rank] if rank < len(_RANKS) else f"{rank + 1}th" for rank in range(len(things))]
    return [f"the {words[ranks[id(thing)]]}{f' {start}' if ranks[id(thing)] == 0 else ''}" for thing in things]
