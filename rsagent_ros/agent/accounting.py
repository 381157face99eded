"""Accounts of an episode: the tokens it has left, which limit it has reached, and the sums of its Result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.turn import Trace, Turn
from rsagent_ros.agent.verification import Verification


def tokens_left(budget: Budget, trace: Trace, under_way: Sequence[Turn | Verification] = ()) -> int:
    """Tokens of the budget after what is recorded, and after replies that are not yet; may be negative."""
    replies = [*(reply for turn in trace.turns for reply in turn.replies), *under_way]
    return budget.max_tokens - sum(reply.sampled_tokens for reply in replies)


def limit_reached(budget: Budget, trace: Trace, turn: Turn, *, late: bool) -> Result | None:
    """The ending that a turn's cost brings about; None while something is left of everything.

    Args:
        budget: Of the episode.
        trace: The turns before this one.
        turn: Not yet in the trace.
        late: The budget's seconds are over.
    """
    if turn.stop == "cancel":
        return Result(Outcome.CANCELED)
    if turn.stop == "deadline" or late:
        sentence = f"the time budget of {budget.seconds:g} s is spent"
        return Result(Outcome.GAVE_UP, ErrorCode.TIME_SPENT, sentence)
    if len(trace.turns) + 1 >= budget.max_turns:
        return Result(Outcome.GAVE_UP, ErrorCode.TURNS_SPENT, f"turn limit ({budget.max_turns}) reached")
    if tokens_left(budget, trace, turn.replies) <= 0:
        return Result(Outcome.GAVE_UP, ErrorCode.TOKENS_SPENT, f"token limit ({budget.max_tokens}) reached")
    return None


def totaled(result: Result, turns: Sequence[Turn], seconds: float) -> Result:
    """The result with the sums over its turns; `seconds` is the whole episode, steady clock."""
    replies = [reply for turn in turns for reply in turn.replies]
    return replace(
        result,
        turns=len(turns),
        degraded=any(reply.degraded for reply in replies),
        prompt_tokens=sum(reply.prompt_tokens for reply in replies),
        cached_tokens=sum(reply.cached_tokens for reply in replies),
        sampled_tokens=sum(reply.sampled_tokens for reply in replies),
        policy_seconds=sum(reply.reply_seconds for reply in replies),
        tool_seconds=sum(turn.tool_seconds for turn in turns),
        total_seconds=seconds,
    )


def counted(turns: int) -> str:
    """A number of turns in words: `1 turn`, `3 turns`."""
    return "1 turn" if turns == 1 else f"{turns} turns"


class SecondLooks(TypedDict):
    """The part of a budget that is about second looks."""

    second_look: bool
    second_look_below: float
    cross_check: bool


def second_looks_of(trace: Trace) -> SecondLooks:
    """Second looks as they were when a trace was made, for an episode that repeats it."""
    return {
        "second_look": trace.cross_checked or bool(trace.second_looks),
        "second_look_below": trace.second_look_below,
        "cross_check": trace.cross_checked,
    }
