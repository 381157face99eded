"""Flags of the commands that run episodes: limits, second looks, votes."""

from __future__ import annotations

import argparse
from dataclasses import fields

from rsagent_ros.agent.budget import Budget

_DEFAULTS = Budget()


def add_budget_arguments(parser: argparse.ArgumentParser, *, seconds: float = _DEFAULTS.seconds) -> None:
    """Add the limits of an episode, and its second looks.

    Args:
        parser: Gets the flags.
        seconds: Default of --budget.
    """
    text = "time limit of an episode (%(default)g)"
    parser.add_argument("--budget", type=float, default=seconds, metavar="SECONDS", help=text)
    text = "turn limit (%(default)d)"
    parser.add_argument("--max-turns", type=int, default=_DEFAULTS.max_turns, metavar="N", help=text)
    parser.add_argument("--second-look", action="store_true", help="verify before FOUND, in a fresh conversation")
    text = "only of answers that are less sure (%(default)g: of all)"
    parser.add_argument(
        "--second-look-below", type=float, default=_DEFAULTS.second_look_below, metavar="CONFIDENCE", help=text
    )
    parser.add_argument("--cross-check", action="store_true", help="second looks compare words and box, too")


def add_vote_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the votes on an answer."""
    text = "episodes that vote on an answer (%(default)d)"
    parser.add_argument("--votes", type=int, default=_DEFAULTS.votes, metavar="N", help=text)
    text = "longest wait of the first answer for the others (%(default)g)"
    parser.add_argument("--votes-seconds", type=float, default=_DEFAULTS.votes_seconds, metavar="SECONDS", help=text)


def budget_of(arguments: argparse.Namespace) -> Budget:
    """The budget that the flags ask for; a Budget's default where a command has no such flag.

    Raises:
        ValueError: A limit that makes no sense.
    """
    given = {"seconds": arguments.budget, **vars(arguments)}
    return Budget(**{field.name: given[field.name] for field in fields(Budget) if field.name in given})
