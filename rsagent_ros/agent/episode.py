"""The one loop: an Episode takes replies, runs tools, and ends in exactly one Result. No I/O, no waiting for anybody.

    episode = Episode(frame, instruction, segmenter, budget)
    with closing(policy.open()) as conversation:
        while not episode.done:
            reply = conversation.reply(episode.new_messages(), limits=episode.limits, cancel=cancel)
            turn = episode.step(reply)
    result = episode.result

Where the budget asks for verification, `verification` holds the messages for a fresh conversation whenever one is due,
and `submit_verification` takes its reply; `drive` does that, too.

The same object runs on the robot, in replay, in evaluation, in trajectory synthesis and inside reinforcement learning;
`drive` holds the two ways to run it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent import actions, parsing
from rsagent_ros.agent.accounting import limit_reached, tokens_left, totaled
from rsagent_ros.agent.actions import Action, Ending, Finish
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.chat import Message, Picture, PictureKind
from rsagent_ros.agent.comparison import Pair
from rsagent_ros.agent.errors import ReplyError, RunFailed, ToolFailed, describe
from rsagent_ros.agent.evidence import MaskEntry, answer_of, best_so_far, pick
from rsagent_ros.agent.found_mask import FoundMask
from rsagent_ros.agent.geometry import View
from rsagent_ros.agent.goal_input import check_frame, checked_instruction
from rsagent_ros.agent.marks import Mark
from rsagent_ros.agent.other_way import other_masks
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.pending_answer import PendingAnswer
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat, draw_marked, draw_picture
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.agent.prompt import Exchange, format_observation, opening
from rsagent_ros.agent.segmenter import Segmenter, tools_with
from rsagent_ros.agent.slips import Slip
from rsagent_ros.agent.toolbox import Effect, Toolbox
from rsagent_ros.agent.turn import Trace, Turn

log = logging.getLogger(__name__)


class Episode:
    """One instruction on one frame, from the first look to the Result.

    Not for several threads, but for `stop`, `wait`, `done`, `result`, `trace` and `picture`, which any may use.
    """

    def __init__(
        self,
        frame: NDArray[np.uint8],
        instruction: str,
        segmenter: Segmenter[Any],
        budget: Budget | None = None,
        *,
        goal_id: str = "",
        policy_name: str = "",
        pictures: PictureFormat = DEFAULT_PICTURES,
        previous: Sequence[Exchange] = (),
    ) -> None:
        """Begin; the clock starts now.

        Args:
            frame: (H, W, 3) uint8 RGB; not copied, must not change.
            instruction: The thing to look for, in words.
            segmenter: The segmentation model.
            budget: Limits of the episode.
            goal_id: Echoed in the trace.
            policy_name: For the record.
            pictures: Format of pictures and coordinates that the policy wants: its `pictures`.
            previous: Earlier instructions and questions: the instruction then answers the last question.

        Raises:
            RunFailed: INVALID_GOAL or BAD_IMAGE, before anything has run.
        """
        check_frame(frame)
        instruction = checked_instruction(instruction)
        self._frame = frame
        self._budget = budget if budget is not None else Budget()
        self._started = time.monotonic()
        self._deadline = self._budget.deadline()
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._result: Result | None = None
        height, width = frame.shape[:2]
        pictures = replace(pictures, tools=tools_with(segmenter, pictures.tools))
        self._tools = Toolbox(frame, segmenter, pictures)
        self._view = View.whole(width, height)
        self._newest: PictureKind = "view"
        self._masks: list[MaskEntry] = []
        self._pending: PendingAnswer | None = None
        self._sent_back: tuple[MaskEntry, ...] = ()
        self._looked_both_ways = False
        self._drawn: list[Picture | None] = []
        max_turns, previous = self._budget.max_turns, tuple(previous)
        self._trace = Trace(
            goal_id, instruction, width, height, max_turns, pictures, policy_name, segmenter.name, previous=previous
        )
        if self._budget.second_look:
            below, both_ways = self._budget.second_look_below, self._budget.cross_check
            self._trace = replace(self._trace, second_look_below=below, cross_checked=both_ways)
        picture = draw_picture(frame, self._view, None, pictures)
        self._chat = opening(instruction, self._view, picture, max_turns, pictures, previous)
        self._unsent = 0

    @property
    def done(self) -> bool:
        """Whether the Result is there."""
        return self._finished.is_set()

    @property
    def result(self) -> Result:
        """The Result.

        Raises:
            RuntimeError: The episode is not done.
        """
        if self._result is None:
            raise RuntimeError("the episode is not done; ask `done`, `wait` for it, or `stop` it")
        return self._result

    @property
    def trace(self) -> Trace:
        """The record so far; complete once the episode is done."""
        return self._trace

    def picture(self, turn: Turn) -> Picture | None:
        """The picture that went with one of the turns in the trace, as it was drawn for the chat; None for none."""
        return self._drawn[turn.index - 1]

    @property
    def limits(self) -> ReplyLimits:
        """Limits of the next reply."""
        pending = self._pending  # once: `stop` takes it away in another thread
        left = tokens_left(self._budget, self._trace, () if pending is None else pending.replies)
        most = max(1, min(self._budget.max_reply_tokens, left))
        return ReplyLimits(most, self._deadline, self._trace.pictures.tools)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole chat so far; it only ever grows at its end."""
        return tuple(self._chat)

    def new_messages(self) -> list[Message]:
        """Messages since the last call, without the policy's own replies."""
        new = [message for message in self._chat[self._unsent :] if message.role != "assistant"]
        self._unsent = len(self._chat)
        return new

    @property
    def verification(self) -> list[Message] | None:
        """Messages for a fresh conversation, before the next `submit_verification`; None where none is due."""
        pending = self._pending
        return None if pending is None or self.done else list(pending.messages)

    def wait(self, seconds: float) -> bool:
        """Block until the episode is done or the time is over; returns whether it is done."""
        return self._finished.wait(seconds)

    def stop(
        self,
        outcome: Outcome,
        error_code: ErrorCode = ErrorCode.NONE,
        error_msg: str = "",
    ) -> Result:
        """End now, with the best mask so far. Thread-safe and idempotent: the first ending counts.

        A `step` that runs in another thread meanwhile is not waited for; what it brings back is discarded. An answer
        whose verification is waited for stands where time is up or the policy has failed, unless one said no already.
        """
        with self._lock:
            pending = self._pending
            if self._result is None and pending is not None and outcome in (Outcome.GAVE_UP, Outcome.FAILED):
                reason = error_msg or "no time was left for it"
                pending = pending.unverified(reason, time.monotonic() - pending.asked_at).compared()
                turn, answer = pending.settled()
                effect = self._tools.show(pending.others, self._view, shown=False)
                turn = replace(turn, found=tuple(map(_recorded, pending.others)))
                self._take_over(turn, None, effect, answer, pending)
            if self._result is None:
                self._close_with_best(Result(outcome, error_code, error_msg))
        return self.result

    def step(self, reply: Reply) -> Turn | None:
        """Parse the reply, run its tool, observe. A bad reply never raises: it is a turn like any other.

        Returns:
            The turn, recorded; None when the episode was stopped before it could be, or as long as a `verification` of
            the answer is due.
        """
        if self.done:
            return None
        started = time.monotonic()
        turn = Turn.from_reply(len(self._trace.turns) + 1, reply, self._view.key)
        effect: Effect | None = None
        unverified: list[MaskEntry] = []
        answer: Result | None = None
        failure: Result | None = None
        try:
            if reply.stop in ("cancel", "deadline") or started >= self._deadline:
                raise ReplyError("broken_off", "The reply was broken off.")
            action, slips = self._read(reply)
            name, arguments = actions.to_json(action)
            turn = replace(turn, tool=name, arguments=arguments, slips=slips)
            if isinstance(action, Ending):
                answer = answer_of(action, self._masks)
                if isinstance(action, Finish) and self._is_due(answer):
                    unverified = [pick(self._masks, number) for number in action.masks]
            else:
                effect = self._tools.run(action, self._view, self._masks)
        except (ReplyError, ToolFailed) as error:
            turn = replace(turn, error_code=error.code, error_msg=error.message)
        except Exception as error:  # a segmenter backend may raise anything, and the goal must still end
            failure = self._tool_failure(error)
        if unverified:
            return self._verify_next(PendingAnswer.begun(turn, started, unverified, self._masks))
        return self._record(turn, started, effect, answer, failure)

    def _read(self, reply: Reply) -> tuple[Action, tuple[Slip, ...]]:
        """The action of a reply, and its slips."""
        pictures = self._trace.pictures
        extent = pictures.extent(self._view.width, self._view.height, self._newest)
        if not pictures.lenient:
            return parsing.parse(reply.text, extent, pictures.tools), ()
        ended = reply.stop == "call"
        parsed = parsing.read(reply.text, extent, pictures.tools, ended=ended, box_name=pictures.box_name)
        return parsed.action, parsed.slips

    def submit_verification(self, reply: Reply | str) -> Turn | None:
        """Take the reply of a fresh conversation to `verification`, or a sentence that says why there is none.

        Whatever it is, the goal does not fail by it: without a yes or no the answer stands.

        Returns:
            The turn that answered, recorded; None as long as another verification is due, or the episode was stopped.
        """
        pending = self._pending
        if pending is None or self.done:
            return None
        if isinstance(reply, Reply) and reply.stop == "cancel":
            self.stop(Outcome.CANCELED)
            return None
        return self._verify_next(pending.verified(reply, time.monotonic() - pending.asked_at))

    def _is_due(self, answer: Result) -> bool:
        """Whether an answer is to be looked at again; one that insists on what was doubted is held to that."""
        sure, below = answer.confidence, self._budget.second_look_below
        doubted = any(entry.rejected for entry in self._masks)
        return self._budget.second_look and (doubted or sure is None or below >= 1 or sure < below)

    def _verify_next(self, pending: PendingAnswer) -> Turn | None:
        """Ask about what is due; or record the answer's turn, once nothing is or nothing is left to ask with."""
        self._pending = pending
        over = time.monotonic() >= self._deadline
        if pending.wants_pairs:
            pending = replace(pending, pairs=() if over else self._pairs(pending))
        if not over and tokens_left(self._budget, self._trace, pending.replies) > 0:
            trace = self._trace
            messages = pending.question(trace.instruction, trace.previous, self._frame, trace.pictures)
            if messages:
                self._pending = replace(pending, messages=tuple(messages), asked_at=time.monotonic())
                return None
        pending = pending.unverified(f"no {'time was' if over else 'tokens were'} left for it", 0.0).compared()
        turn, answer = pending.settled()
        effect = self._tools.show(pending.others, self._view, shown=answer is None)
        return self._record(turn, pending.started, effect, answer, None, pending)

    def _pairs(self, pending: PendingAnswer) -> tuple[Pair, ...]:
        """The masks of an answer that the other way of looking did not find; an episode looks so once."""
        if not self._trace.cross_checked or self._looked_both_ways:
            return ()
        self._looked_both_ways = True
        return other_masks(pending.entries, self._trace.instruction, self._tools, len(self._masks) + 1)

    def _record(
        self,
        turn: Turn,
        started: float,
        effect: Effect | None,
        answer: Result | None,
        failure: Result | None,
        pending: PendingAnswer | None = None,
    ) -> Turn | None:
        """Finish a turn that began at `started`, and take it over unless the episode was stopped meanwhile."""
        end = failure
        if answer is None and failure is None:
            end = limit_reached(self._budget, self._trace, turn, late=time.monotonic() >= self._deadline)
        # Drawing and run lengths take milliseconds; only taking over the outcome happens under the lock.
        turn, picture = self._observed(turn, effect, last=answer is not None or end is not None)
        asking = sum(one.reply_seconds for one in turn.second_looks)
        turn = replace(turn, tool_seconds=max(0.0, time.monotonic() - started - asking))
        with self._lock:
            if self._result is not None:
                return None
            self._take_over(turn, picture, effect, answer, pending)
            if end is not None:
                self._close_with_best(end)
        return turn

    def _observed(self, turn: Turn, effect: Effect | None, *, last: bool) -> tuple[Turn, Picture | None]:
        """The turn with its observation and its mask, and the picture that goes with them."""
        facts: dict[str, object] = {"error": turn.error_msg} if turn.error_code else {}
        if effect is not None:
            facts |= effect.facts
            found = tuple(_recorded(entry) for entry in effect.found)
            turn = replace(turn, view=effect.view.key, picture=effect.picture, found=found)
            if effect.entry is not None:
                one = _recorded(effect.entry)
                turn = replace(turn, mask_id=one.mask_id, mask=one.mask, score=one.score, stability=one.stability)
        # A turn that ends the episode has no observation: nobody is left to read it.
        if not last:
            facts["turns_left"] = self._budget.max_turns - turn.index
            turn = replace(turn, observation=format_observation(facts))
        return turn, None if effect is None else self._draw(effect)

    def _draw(self, effect: Effect) -> Picture | None:
        """The picture that goes with an effect."""
        pictures = self._trace.pictures
        if effect.picture == "marks":
            marks = [Mark(entry.mask_id, entry.part, entry.box) for entry in effect.found]
            return draw_marked(self._frame, effect.view, marks, pictures)
        if effect.picture is None:
            return None
        return draw_picture(self._frame, effect.view, None if effect.entry is None else effect.entry.mask, pictures)

    def _take_over(
        self,
        turn: Turn,
        picture: Picture | None,
        effect: Effect | None,
        answer: Result | None,
        pending: PendingAnswer | None,
    ) -> None:
        """Make a turn part of the episode; the lock is held."""
        self._pending = None
        if pending is not None:
            for entry in pending.entries:
                self._masks[entry.mask_id - 1] = entry
            self._sent_back = pending.entries
        self._drawn.append(picture)  # before the trace has the turn: other threads look for the picture of any in it
        self._trace = replace(self._trace, turns=(*self._trace.turns, turn))
        self._chat += turn.messages(picture)
        if effect is not None:
            self._view, self._newest = effect.view, effect.picture or self._newest
        if effect is not None and effect.entries:
            self._masks += effect.entries
            self._sent_back = () if pending is None else self._sent_back
        if answer is not None:
            self._close(answer)

    def _tool_failure(self, error: Exception) -> Result:
        """The end of a goal whose segmenter raised an error."""
        if isinstance(error, RunFailed):
            return Result(Outcome.FAILED, error.code, error.message)
        if isinstance(error, MemoryError):
            sentence = "out of memory while a tool ran; use a smaller image"
            return Result(Outcome.FAILED, ErrorCode.OUT_OF_MEMORY, sentence)
        name = self._trace.segmenter
        log.error("the segmenter %s raised an error", name, exc_info=error)
        return Result(Outcome.FAILED, ErrorCode.SEGMENTER_FAILED, f"{name}: {describe(error)}")

    def _close_with_best(self, result: Result) -> None:
        """Close with a result that has no masks of its own; the lock is held."""
        best = best_so_far(self._masks)
        # What was sent back is still the best, as long as nothing else has been drawn.
        found = self._sent_back or (() if best is None else (best,))
        self._close(replace(result, instances=tuple(entry.instance() for entry in found), partial=bool(found)))

    def _close(self, result: Result) -> None:
        """Take over the result; the lock is held."""
        self._result = totaled(result, self._trace.turns, time.monotonic() - self._started)
        self._trace = replace(self._trace.ended(result), seconds=self._result.total_seconds)
        self._finished.set()


def _recorded(entry: MaskEntry) -> FoundMask:
    """A mask as its turn keeps it."""
    return FoundMask(entry.mask_id, entry.rle, entry.score, entry.stability)
