"""The one loop: an Episode takes replies, runs tools, and ends in exactly one Result. No I/O, no waiting for anybody.

    episode = Episode(frame, instruction, segmenter, budget)
    with closing(policy.open()) as conversation:
        while not episode.done:
            reply = conversation.reply(episode.new_messages(), limits=episode.limits, cancel=cancel)
            turn = episode.step(reply)
    result = episode.result

Where the budget asks for second looks, `second_look` holds the messages for a fresh conversation whenever one is due,
and `look_again` takes its reply; `drive` does that, too.

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
from rsagent_ros.agent.actions import Finish, ReportAbsent, ReportAmbiguous
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.chat import Message, Picture
from rsagent_ros.agent.errors import ReplyError, RunFailed, ToolFailed, describe, plain
from rsagent_ros.agent.evidence import MaskEntry, best_so_far
from rsagent_ros.agent.geometry import View
from rsagent_ros.agent.mask import MAX_PIXELS, encode_rle
from rsagent_ros.agent.outcome import ErrorCode, Outcome, Result
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat, draw_picture
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.agent.prompt import Exchange, opening, told
from rsagent_ros.agent.review import Review
from rsagent_ros.agent.second_look import SecondLook, question
from rsagent_ros.agent.segmenter import Segmenter
from rsagent_ros.agent.toolbox import Effect, Toolbox, pick
from rsagent_ros.agent.turn import Trace, Turn

log = logging.getLogger(__name__)

MAX_INSTRUCTION = 2_000
"""Characters of an instruction; a longer one is refused, not cut."""


class Episode:
    """One instruction on one frame, from the first look to the Result.

    Not for several threads, but for `stop`, `wait`, `done` and `result`: those may be used from any.
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
            instruction: What to look for, in words.
            segmenter: Who draws the masks.
            budget: What may be spent.
            goal_id: Echoed in the trace.
            policy_name: For the record.
            pictures: How the deciding policy wants pictures and coordinates: its `pictures`.
            previous: What was said about this before: the instruction then answers the last question.

        Raises:
            RunFailed: INVALID_GOAL or BAD_IMAGE, before anything has run.
        """
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
            raise RunFailed(
                ErrorCode.BAD_IMAGE,
                f"the image is {frame.shape} {frame.dtype}; (height, width, 3) uint8 is needed",
            )
        if frame.shape[0] * frame.shape[1] > MAX_PIXELS:
            raise RunFailed(
                ErrorCode.BAD_IMAGE,
                f"the image is {frame.shape[1]} x {frame.shape[0]}; at most {MAX_PIXELS} pixels are looked at",
            )
        instruction = plain(instruction.strip())
        if not instruction or len(instruction) > MAX_INSTRUCTION:
            raise RunFailed(
                ErrorCode.INVALID_GOAL,
                f"the instruction has {len(instruction)} characters; 1 to {MAX_INSTRUCTION} are needed",
            )
        self._frame = frame
        self._budget = budget if budget is not None else Budget()
        self._started = time.monotonic()
        self._deadline = self._budget.deadline()
        self._lock = threading.Lock()
        self._finished = threading.Event()
        self._result: Result | None = None
        height, width = frame.shape[:2]
        whole = View.whole(width, height)
        self._tools = Toolbox(frame, segmenter, pictures)
        self._view = whole
        self._masks: list[MaskEntry] = []
        self._review: Review | None = None
        self._sent_back: tuple[MaskEntry, ...] = ()
        self._trace = Trace(
            goal_id,
            instruction,
            width,
            height,
            self._budget.max_turns,
            pictures,
            policy_name,
            segmenter.name,
            previous=tuple(previous),
        )
        self._chat = opening(
            instruction,
            whole,
            draw_picture(frame, whole, None, pictures),
            self._budget.max_turns,
            pictures,
            previous,
        )
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
        """What has happened so far; complete once the episode is done."""
        return self._trace

    @property
    def limits(self) -> ReplyLimits:
        """What the next reply may cost."""
        review = self._review  # once: `stop` takes it away in another thread
        left = self._tokens_left(() if review is None else review.said)
        return ReplyLimits(max(1, min(self._budget.max_reply_tokens, left)), self._deadline)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole chat so far; it only ever grows at its end."""
        return tuple(self._chat)

    def new_messages(self) -> list[Message]:
        """What was added since the last call, without the policy's own replies."""
        new = [message for message in self._chat[self._unsent :] if message.role != "assistant"]
        self._unsent = len(self._chat)
        return new

    @property
    def second_look(self) -> list[Message] | None:
        """What a fresh conversation has to be told before the next `look_again`; None where no second look is due."""
        review = self._review
        return None if review is None or self.done else list(review.question)

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
        whose second look is waited for stands where time is up or the policy has failed, unless one said no already.
        """
        with self._lock:
            review = self._review
            if self._result is None and review is not None and outcome in (Outcome.GAVE_UP, Outcome.FAILED):
                reason = error_msg or "no time was left for it"
                review = review.without(reason, time.monotonic() - review.asked)
                turn, ending = review.settled()
                self._take_over(turn, None, None, ending, review)
            if self._result is None:
                self._close_with_best(outcome, error_code, error_msg)
        return self.result

    def step(self, reply: Reply) -> Turn | None:
        """Parse the reply, run its tool, observe. A bad reply never raises: it is a turn like any other.

        Returns:
            The turn, recorded; None when the episode was stopped before it could be, or as long as a `second_look` at
            the answer is due.
        """
        if self.done:
            return None
        started = time.monotonic()
        turn = self._heard(reply)
        effect: Effect | None = None
        answer: list[MaskEntry] = []
        ending: Result | None = None
        failure: RunFailed | None = None
        try:
            if reply.stop in ("cancel", "deadline") or started >= self._deadline:
                raise ReplyError("broken_off", "The reply was broken off.")
            action = parsing.parse(reply.text, self._trace.pictures.extent(self._view.width, self._view.height))
            name, arguments = actions.to_json(action)
            turn = replace(turn, tool=name, arguments=arguments)
            if isinstance(action, Finish) and self._budget.second_look:
                answer = [pick(self._masks, number) for number in action.masks]
            elif isinstance(action, Finish | ReportAbsent | ReportAmbiguous):
                ending = self._ending(action)
            else:
                effect = self._tools.run(action, self._view, self._masks)
        except (ReplyError, ToolFailed) as error:
            turn = replace(turn, error_code=error.code, error_msg=error.message)
        except RunFailed as error:
            failure = error
        except MemoryError:
            failure = RunFailed(
                ErrorCode.OUT_OF_MEMORY,
                "out of memory while a tool ran; use a smaller image",
            )
        except Exception as error:  # a segmenter backend may raise anything, and the goal must still end
            log.exception("the segmenter %s raised an error", self._trace.segmenter)
            failure = RunFailed(
                ErrorCode.SEGMENTER_FAILED,
                f"{self._trace.segmenter}: {describe(error)}",
            )
        if answer:
            return self._go_on(Review.begun(turn, started, answer, self._masks))
        return self._record(turn, started, effect, ending, failure)

    def look_again(self, heard: Reply | str) -> Turn | None:
        """Take what a fresh conversation said to `second_look`, or a sentence that says why it said nothing.

        Whatever it is, the goal does not fail by it: without a yes or no the answer stands.

        Returns:
            The turn that answered, recorded; None as long as another second look is due, or the episode was stopped.
        """
        review = self._review
        if review is None or self.done:
            return None
        if isinstance(heard, Reply) and heard.stop == "cancel":
            self.stop(Outcome.CANCELED)
            return None
        return self._go_on(review.heard(heard, time.monotonic() - review.asked))

    def _go_on(self, review: Review) -> Turn | None:
        """Ask about the mask that is due; or record the answer's turn, once none is or nothing is left to ask with."""
        self._review = review
        entry, over = review.due, time.monotonic() >= self._deadline
        if entry is not None and not over and self._tokens_left(review.said) > 0:
            about, pictures = self._trace, self._trace.pictures
            asked = question(about.instruction, about.previous, self._frame, entry.mask, review.view(entry), pictures)
            self._review = replace(review, question=tuple(asked), asked=time.monotonic())
            return None
        review = review.without(f"no {'time was' if over else 'tokens were'} left for it", 0.0)
        turn, ending = review.settled()
        return self._record(turn, review.started, None, ending, None, review)

    def _record(
        self,
        turn: Turn,
        started: float,
        effect: Effect | None,
        ending: Result | None,
        failure: RunFailed | None,
        review: Review | None = None,
    ) -> Turn | None:
        """Finish a turn that began at `started`, and take it over unless the episode was stopped meanwhile."""
        spent = None if ending or failure else self._spent(turn)
        # Drawing and run lengths take milliseconds; only taking over the outcome happens under the lock.
        turn, picture = self._told(turn, effect, last=bool(ending or failure or spent))
        asking = sum(look.reply_seconds for look in turn.second_looks)
        turn = replace(turn, tool_seconds=max(0.0, time.monotonic() - started - asking))
        with self._lock:
            if self._result is not None:
                return None
            self._take_over(turn, picture, effect, ending, review)
            if failure is not None:
                self._close_with_best(Outcome.FAILED, failure.code, failure.message)
            elif spent is not None:
                self._close_with_best(*spent)
        return turn

    def _take_over(
        self,
        turn: Turn,
        picture: Picture | None,
        effect: Effect | None,
        ending: Result | None,
        review: Review | None,
    ) -> None:
        """Make a turn part of the episode; the lock is held."""
        self._review = None
        if review is not None:
            for entry in review.entries:
                self._masks[entry.mask_id - 1] = entry
            self._sent_back = review.entries
        self._trace = replace(self._trace, turns=(*self._trace.turns, turn))
        self._chat += turn.messages(picture)
        if effect is not None:
            self._view = effect.view
        if effect is not None and effect.entry is not None:
            self._masks.append(effect.entry)
            self._sent_back = ()
        if ending is not None:
            self._close(ending)

    def _heard(self, reply: Reply) -> Turn:
        """A turn that holds the reply, and nothing done about it yet."""
        # A reply beyond the limit is refused; of what may be endless the beginning is enough for the record.
        text = plain(reply.text[: parsing.MAX_REPLY_CHARS])
        return Turn(
            index=len(self._trace.turns) + 1,
            reply=text,
            view=self._view.key,
            stop=reply.stop,
            thought=parsing.thought(text),
            degraded=reply.degraded,
            token_ids=reply.token_ids,
            logprobs=reply.logprobs,
            prompt_tokens=reply.prompt_tokens,
            cached_tokens=reply.cached_tokens,
            sampled_tokens=reply.sampled_tokens,
            reply_seconds=reply.seconds,
        )

    def _ending(self, action: Finish | ReportAbsent | ReportAmbiguous) -> Result:
        """The result of the policy's own last call.

        Raises:
            ReplyError: It names a mask that does not exist.
        """
        match action:
            case Finish(masks):
                found = tuple(pick(self._masks, number).instance() for number in masks)
                return Result(Outcome.FOUND, instances=found)
            case ReportAbsent(reason):
                return Result(Outcome.NOT_IN_VIEW, reason=reason)
            case ReportAmbiguous(masks, question):
                candidates = tuple(pick(self._masks, number).instance() for number in masks)
                return Result(Outcome.AMBIGUOUS, candidates=candidates, question=question)

    def _tokens_left(self, under_way: Sequence[Turn | SecondLook]) -> int:
        """Of the token budget, after what is recorded and what is not yet; may be negative."""
        said = [*(reply for turn in self._trace.turns for reply in turn.replies), *under_way]
        return self._budget.max_tokens - sum(reply.sampled_tokens for reply in said)

    def _spent(self, turn: Turn) -> tuple[Outcome, ErrorCode, str] | None:
        """How the episode ends because of this turn's cost; None while there is something left."""
        if turn.stop == "cancel":
            return Outcome.CANCELED, ErrorCode.NONE, ""
        if turn.stop == "deadline" or time.monotonic() >= self._deadline:
            return (
                Outcome.GAVE_UP,
                ErrorCode.TIME_SPENT,
                f"the time budget of {self._budget.seconds:g} s is spent",
            )
        if len(self._trace.turns) + 1 >= self._budget.max_turns:
            return (
                Outcome.GAVE_UP,
                ErrorCode.TURNS_SPENT,
                f"all {self._budget.max_turns} turns are spent",
            )
        if self._tokens_left(turn.replies) <= 0:
            return (
                Outcome.GAVE_UP,
                ErrorCode.TOKENS_SPENT,
                f"all {self._budget.max_tokens} tokens are spent",
            )
        return None

    def _told(self, turn: Turn, effect: Effect | None, *, last: bool) -> tuple[Turn, Picture | None]:
        """The turn with what the policy is told about it, and the picture that goes with it."""
        facts: dict[str, object] = {}
        if turn.error_code:
            facts["error"] = turn.error_msg
        if effect is not None:
            facts |= effect.facts
            turn = replace(turn, view=effect.view.key, picture=effect.picture)
            if effect.entry is not None:
                turn = replace(
                    turn,
                    mask_id=effect.entry.mask_id,
                    mask=encode_rle(effect.entry.mask),
                    score=effect.entry.score,
                    stability=effect.entry.stability,
                )
        # A turn that ends the episode is told nothing: nobody is left to read it.
        if not last:
            facts["turns_left"] = self._budget.max_turns - turn.index
            turn = replace(turn, observation=told(facts))
        if effect is None:
            return turn, None
        mask = effect.entry.mask if effect.entry is not None else None
        return turn, draw_picture(self._frame, effect.view, mask, self._trace.pictures)

    def _close_with_best(self, outcome: Outcome, error_code: ErrorCode, error_msg: str) -> None:
        best = best_so_far(self._masks)
        # What was sent back is still the best, as long as nothing else has been drawn.
        found = self._sent_back or (() if best is None else (best,))
        instances = tuple(entry.instance() for entry in found)
        self._close(Result(outcome, error_code, error_msg, instances=instances, partial=bool(instances)))

    def _close(self, result: Result) -> None:
        """Take over the result; the lock is held."""
        turns = self._trace.turns
        replies = [reply for turn in turns for reply in turn.replies]
        self._result = replace(
            result,
            turns=len(turns),
            degraded=any(reply.degraded for reply in replies),
            prompt_tokens=sum(reply.prompt_tokens for reply in replies),
            cached_tokens=sum(reply.cached_tokens for reply in replies),
            sampled_tokens=sum(reply.sampled_tokens for reply in replies),
            policy_seconds=sum(reply.reply_seconds for reply in replies),
            tool_seconds=sum(turn.tool_seconds for turn in turns),
            total_seconds=time.monotonic() - self._started,
        )
        self._trace = replace(self._trace.ended(result), seconds=self._result.total_seconds)
        self._finished.set()
