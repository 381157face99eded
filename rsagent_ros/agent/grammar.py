"""The tool calls as a regular expression, for servers that can hold a model to it.

It comes from the table `actions.TOOLS`, and lets through what `parse` reads, but for what only the episode knows: the
size of the view, and which masks there are. Rollouts for training are never held to it: what could not be said wrongly
could not be learned.

A server compiles it against every word of a vocabulary. There a counted repeat of characters costs seconds and one of
words hardly anything, so lengths are bounded in words.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from rsagent_ros.agent.actions import (
    ALL_TOOLS,
    CALL_CLOSE,
    CALL_OPEN,
    CAUSES,
    MAX_POINTS,
    TOOLS,
    ArgumentKind,
    Tool,
    ToolSet,
)
from rsagent_ros.agent.geometry import EXTENT

THOUGHT_WORDS = 200
SENTENCE_WORDS = 60
PHRASE_WORDS = 8
LISTED_MASKS = 24
"""Largest id of a mask in a list. Two may stand in any order, three as well up to 9; more than that rise."""
COMBINED_MASKS = 12
"""Largest id of three or more masks in a list that does not answer: long lists take long to compile."""


@cache
def grammar(largest: int = EXTENT, tools: ToolSet = ALL_TOOLS) -> str:
    """A regular expression for one whole reply: a thought, then one call with its arguments in the table's order.

    Args:
        largest: Coordinate that no other exceeds, in the unit that the policy writes.
        tools: Names of the tools that there are.
    """
    number = f"({_numbers(largest)})"
    mask = "[1-9][0-9]?"
    pair = rf"\[{number}, {number}\]"
    word = r'[^"\\<\x00-\x20]'
    kinds: dict[ArgumentKind, str] = {
        "box": rf"\[{number}, {number}, {number}, {number}\]",
        "points": rf"\[{pair}(, {pair}){{0,{MAX_POINTS - 1}}}\]",
        "mask": mask,
        "masks": rf"\[({mask}|{_masks(1, COMBINED_MASKS)})\]",
        "two_or_more_masks": rf"\[({_masks(2, LISTED_MASKS)})\]",
        "mask_or_masks": rf"({mask}|\[({mask}|{_masks(1, LISTED_MASKS)})\])",
        "sentence": f'"{word}+( {word}*){{0,{SENTENCE_WORDS - 1}}}"',  # a character first: blanks say nothing
        "phrase": f'"{word}+( {word}+){{0,{PHRASE_WORDS - 1}}}"',
        "cause": f'"({"|".join(CAUSES)})"',
    }
    calls = [rf'"name": "{name}", "arguments": {_arguments(TOOLS[name], kinds)}' for name in tools]
    thought = f"<think>[^< ]*( [^< ]*){{0,{THOUGHT_WORDS - 1}}}</think>"
    return rf"{thought}\s?{CALL_OPEN}\{{({'|'.join(calls)})\}}{CALL_CLOSE}"


def _numbers(largest: int) -> str:
    """The whole numbers from 0 on; none begins with a 0 but 0 itself."""
    digits = str(largest)
    options = ["0", *("[1-9]" + "[0-9]" * more for more in range(len(digits) - 1))]
    for place, digit in enumerate(digits):  # as long as `largest`, and less from this place on
        least = 1 if place == 0 else 0
        if int(digit) > least:
            options.append(f"{digits[:place]}[{least}-{int(digit) - 1}]" + "[0-9]" * (len(digits) - place - 1))
    return "|".join([*options, digits])


def _masks(least: int, largest: int) -> str:
    """One or two ids of masks at least, none of them twice; in lists that only rise, none over `largest`."""
    options = []
    for one in range(1, LISTED_MASKS + 1):
        smaller = _numbers(one - 1).removeprefix("0|")
        rising = "".join(f"(, {mask})?" for mask in range(one + 1, largest + 1))
        options += [f"{one}{rising}"] if least == 1 else []
        options += [f"({smaller}), {one}{rising if least == 2 else ''}", f"{one}, ({smaller})"] if one > 1 else []
    for one in range(1, 10):
        for two in set(range(1, 10)) - {one}:
            options.append(f"{one}, {two}, [{''.join(map(str, sorted(set(range(1, 10)) - {one, two})))}]")
    return "|".join(options)


def _arguments(tool: Tool, kinds: dict[ArgumentKind, str]) -> str:
    """Arguments in order, with the commas right whichever of the optional ones are there."""
    items = [
        _Item(key, f'"{key}": {kinds[argument.kind]}', argument.required) for key, argument in tool.arguments.items()
    ]
    options = []
    for first, item in enumerate(items):
        options.append(item.text + _later(items[first + 1 :], () if item.key in tool.one_of else tool.one_of))
        if item.required:
            break
    else:
        options += [] if tool.one_of else [""]
    return rf"\{{({'|'.join(options)})\}}"


def _later(items: list[_Item], one_of: tuple[str, ...]) -> str:
    """Arguments behind the first, each with its own comma; one of those in `one_of` among them."""
    if not one_of:
        return "".join(f"(, {item.text})" + ("" if item.required else "?") for item in items)
    options = []
    for place, item in enumerate(items):
        if item.key in one_of:
            others = [earlier for earlier in items[:place] if earlier.key not in one_of]
            options.append(f"{_later(others, ())}, {item.text}{_later(items[place + 1 :], ())}")
    return f"({'|'.join(options)})"


class _Item(NamedTuple):
    key: str
    text: str
    required: bool
