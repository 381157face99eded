"""The two ways to run an episode: one at a time, or many in lock-step. There is no third."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.policy import BatchPolicy, Policy, Reply, ReplyLimits
from rsagent_ros.agent.turn import Turn

log = logging.getLogger(__name__)


def drive(
    episode: Episode,
    policy: Policy,
    cancel: CancelToken | None = None,
    on_turn: Callable[[Turn], None] | None = None,
) -> Result:
    """Run one episode to its end; blocks until then.

    A caller that must not wait for a hung policy runs this in a worker thread and calls `Episode.stop` from its own:
    the result is there at once, and what the worker brings back later is discarded.

    Args:
        episode: The episode, as made.
        policy: Its policy.
        cancel: Raised by another thread to break off a reply.
        on_turn: Called after each recorded turn, in this thread. An error that it raises ends the episode as FAILED.
    """
    token = CancelToken() if cancel is None else cancel
    try:
        with closing(policy.open()) as conversation:
            while not episode.done:
                reply = conversation.reply(episode.new_messages(), limits=episode.limits, cancel=token)
                turn = episode.step(reply)
                while (messages := episode.verification) is not None:
                    turn = episode.submit_verification(_verification_reply(policy, messages, episode.limits, token))
                if turn is not None and on_turn is not None:
                    on_turn(turn)
    except Exception as error:  # a backend may raise anything, and the goal must still end
        _fail([episode], policy, error)
    return episode.result


def drive_batch(episodes: Sequence[Episode], policy: BatchPolicy, cancel: CancelToken | None = None) -> list[Result]:
    """Run many episodes in lock-step: one `reply_batch` a round for all that are not done. Blocks until all are.

    Returns:
        Their results, in order.
    """
    token = CancelToken() if cancel is None else cancel
    try:
        with ExitStack() as stack:
            talks = [stack.enter_context(closing(policy.open())) for _ in episodes]
            while open_ones := [number for number, episode in enumerate(episodes) if not episode.done]:
                replies = policy.reply_batch(
                    [talks[number] for number in open_ones],
                    [episodes[number].new_messages() for number in open_ones],
                    limits=[episodes[number].limits for number in open_ones],
                    cancel=token,
                )
                for number, reply in zip(open_ones, replies, strict=True):
                    episodes[number].step(reply)
                while due := [episode for episode in episodes if episode.verification is not None]:
                    for episode, opinion in zip(due, _verification_replies(policy, due, token), strict=True):
                        episode.submit_verification(opinion)
    except Exception as error:  # as in drive
        _fail(episodes, policy, error)
    return [episode.result for episode in episodes]


def _verification_reply(
    policy: Policy, messages: list[Message], limits: ReplyLimits, cancel: CancelToken
) -> Reply | str:
    """The reply of a fresh conversation, or a sentence that says why there is none: no error of it ends the goal."""
    try:
        with closing(policy.open()) as conversation:
            return conversation.reply(messages, limits=limits, cancel=cancel)
    except Exception as error:  # as in drive
        return _cause(policy, error)[1]


def _verification_replies(policy: BatchPolicy, due: Sequence[Episode], cancel: CancelToken) -> Sequence[Reply | str]:
    """The replies of fresh conversations to many episodes, in one batch; sentences where there are none."""
    try:
        with ExitStack() as stack:
            talks = [stack.enter_context(closing(policy.open())) for _ in due]
            messages = [episode.verification or [] for episode in due]
            limits = [episode.limits for episode in due]
            replies = policy.reply_batch(talks, messages, limits=limits, cancel=cancel)
            return [reply for reply, _ in zip(replies, due, strict=True)]
    except Exception as error:  # as in drive
        return [_cause(policy, error)[1]] * len(due)


def _fail(episodes: Sequence[Episode], policy: Policy, error: Exception) -> None:
    """End every open episode as FAILED, with the error's own code where it has one."""
    code, message = _cause(policy, error)
    for episode in episodes:
        episode.stop(Outcome.FAILED, code, message)


def _cause(policy: Policy, error: Exception) -> tuple[ErrorCode, str]:
    """Code and sentence of an error."""
    if isinstance(error, RunFailed):
        return error.code, error.message
    if isinstance(error, MemoryError):
        return ErrorCode.OUT_OF_MEMORY, f"{policy.name}: out of memory"
    log.error("the policy %s raised an error", policy.name, exc_info=error)
    return ErrorCode.POLICY_FAILED, f"{policy.name}: {describe(error)}"
