"""`ReferencePolicy`: a `Policy` that needs no weights."""

from __future__ import annotations

import time
from dataclasses import replace

from rsagent_ros.agent.actions import ResetView, render
from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat
from rsagent_ros.agent.policy import Conversation, Reply, ReplyLimits
from rsagent_ros.baseline.policy.chat import Observation, observed
from rsagent_ros.baseline.policy.drawing import Move
from rsagent_ros.baseline.policy.search import Moves, search
from rsagent_ros.baseline.policy.verification import is_verification, verify

_RESERVE = 0.3
"""Seconds before the deadline from which on the search ends with what it has: this, or twice the slowest turn."""


class ReferencePolicy:
    """A policy over colours, simple shapes, sizes and places, from the pictures of the chat alone.

    For set-up checks, continuous integration and simple scenes; docs/baseline.md lists what it understands. It
    is no stand-in for a vision-language model: it does not know what objects are or what they are for.
    Deterministic. Keeps nothing between conversations, which may run at the same time.
    """

    name = "reference"

    def __init__(self, pictures: PictureFormat = DEFAULT_PICTURES) -> None:
        """Take the format of the pictures: another policy's, where this one may have to go on with its chat."""
        self.pictures = pictures

    def open(self) -> Conversation:
        """Begin a conversation for one episode."""
        return _ReferenceConversation(self.pictures)


class _ReferenceConversation:
    """The chat of one episode. Each reply takes milliseconds, but those to a clean picture: about 0.2 s at 640x480."""

    def __init__(self, pictures: PictureFormat) -> None:
        self._pictures = pictures
        self._extent = (1.0, 1.0)
        self._view = Box(0, 0, 1, 1)
        self._moves: Moves | None = None
        self._goal: Observation | None = None
        self._replied = 0.0
        self._slowest = 0.0

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """Answer the newest observation. Heeds cancel and deadline before and after it thinks, not meanwhile."""
        started = time.monotonic()
        if cancel.is_set or started >= limits.deadline:
            return Reply("", "cancel" if cancel.is_set else "deadline")
        if is_verification(new_messages[-1]):
            return self._reply(verify(new_messages[-1], self._pictures), started, limits, cancel)
        observations = [observed(message) for message in new_messages if message.role == "user"]
        for one in observations:
            self._view = one.view or self._view
            if one.picture is not None:
                width, height = round(self._view.width), round(self._view.height)
                self._extent = self._pictures.extent(width, height, one.picture.kind)
        if self._moves is None:
            first = self._first(observations)
            if first is None:
                return Reply(f"<think>I take over, and look at all of it again.</think>{render(ResetView())}")
            self._moves = search(first, replace(self._pictures, tools=limits.tools))
            move = next(self._moves)
        else:
            self._slowest = max(self._slowest, started - self._replied)
            reserve = max(_RESERVE, 2 * self._slowest)
            move = self._moves.send(replace(observations[-1], hurried=limits.deadline - started < reserve))
        return self._reply(move, started, limits, cancel)

    def _reply(self, move: Move, started: float, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        """A move as the reply to messages that came at `started`."""
        self._replied = time.monotonic()
        seconds = self._replied - started
        if cancel.is_set or self._replied >= limits.deadline:
            return Reply("", "cancel" if cancel.is_set else "deadline", seconds=seconds)
        return Reply(f"<think>{move.thought}</think>{render(move.action, self._extent)}", seconds=seconds)

    def _first(self, observations: list[Observation]) -> Observation | None:
        """The observation to begin with; None where the whole image must be seen again first.

        More than one observation at once means that another policy has led the chat so far. Only the first one shows
        the whole image, and it only counts as long as that is the view.
        """
        first = observations[0]
        if first.instruction:
            self._goal = first
        views = [one.view for one in observations if one.view is not None]
        if views and views[-1] != views[0]:
            return None
        goal, left = self._goal or first, observations[-1].turns_left
        return replace(
            first, instruction=goal.instruction, previous=goal.previous, confessed=goal.confessed, turns_left=left
        )

    def close(self) -> None:
        """Forget the episode."""
        self._moves = None
