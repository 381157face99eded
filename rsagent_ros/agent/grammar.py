"""The tool calls as a regular expression, for servers that can hold a model to it.

It comes from the table `actions.TOOLS`. Rollouts for training are never held to them: what could not be said wrongly
could not be learned.
"""

from __future__ import annotations

from rsagent_ros.agent.actions import (
    CALL_CLOSE,
    CALL_OPEN,
    MAX_MASKS,
    MAX_POINTS,
    TOOLS,
    ArgumentKind,
    Tool,
)


def grammar() -> str:
    """A regular expression for one whole reply: a thought, then one call with its arguments in the table's order."""
    number = r"(0|[1-9][0-9]{0,3})"
    mask = r"[1-9][0-9]?"
    masks = rf"\[{mask}(, {mask}){{0,{MAX_MASKS - 1}}}\]"
    pair = rf"\[{number}, {number}\]"
    kinds: dict[ArgumentKind, str] = {
        "box": rf"\[{number}, {number}, {number}, {number}\]",
        "points": rf"\[{pair}(, {pair}){{0,{MAX_POINTS - 1}}}\]",
        "mask": mask,
        "masks": masks,
        "two_or_more_masks": rf"\[{mask}(, {mask}){{1,{MAX_MASKS - 1}}}\]",
        "mask_or_masks": rf"({mask}|{masks})",
        "sentence": r'"[^"\\<\x00-\x1f]{1,300}"',  # shorter than what is read: servers unroll a counted repeat
    }
    calls = [rf'"name": "{name}", "arguments": {_arguments_grammar(tool, kinds)}' for name, tool in TOOLS.items()]
    return rf"<think>[^<]*</think>\s?{CALL_OPEN}\{{({'|'.join(calls)})\}}{CALL_CLOSE}"


def _arguments_grammar(tool: Tool, kinds: dict[ArgumentKind, str]) -> str:
    """Arguments in order, with the commas right whichever of the optional ones are there."""
    items = [(rf'"{key}": {kinds[argument.kind]}', argument.required) for key, argument in tool.arguments.items()]
    # One alternative for each argument that can come first; behind it every later one brings its own comma.
    alternatives = []
    for first, (text, required) in enumerate(items):
        tail = "".join(f"(, {later})" + ("" if must else "?") for later, must in items[first + 1 :])
        alternatives.append(text + tail)
        if required:
            break
    else:
        alternatives.append("")
    return rf"\{{({'|'.join(alternatives)})\}}"
