"""Follow-ups: what a goal goes on from that answers the one before it."""

from __future__ import annotations

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.agent.turn import Trace


def exchanges_after(trace: Trace) -> tuple[Exchange, ...] | None:
    """Exchanges that an answer to a finished goal goes on from, oldest first; None where that goal asked nothing.

    A question asks, and so does a give-up that says why: its reason is the question.
    """
    if trace.outcome is Outcome.AMBIGUOUS:
        return (*trace.previous, Exchange(trace.instruction, trace.question))
    if trace.outcome is Outcome.GAVE_UP and trace.reason:
        return (*trace.previous, Exchange(trace.instruction, trace.reason))
    return None
