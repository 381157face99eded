"""An answer on its way through its second looks: which mask is due, and what came of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.evidence import MaskEntry
from rsagent_ros.agent.geometry import View
from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.second_look import SAME_MASK, SecondLook, crop_around, objection, opinion
from rsagent_ros.agent.turn import Turn

SENT_BACK = "second_look"
"""Error code of the turn whose answer a second look has sent back."""


@dataclass(frozen=True, eq=False)
class Review:
    """The masks of one `finish`, each looked at once.

    Attributes:
        turn: In which the policy answered, as far as it is known.
        started: `time.monotonic()` when its reply came.
        entries: The masks of the answer; those that were looked at say so.
        looks: At these masks, in this turn.
        asked: `time.monotonic()` from which on an opinion is waited for.
        question: What is asked about the mask that is due; empty before it is asked.
    """

    turn: Turn
    started: float
    entries: tuple[MaskEntry, ...]
    looks: tuple[SecondLook, ...]
    asked: float
    question: tuple[Message, ...] = ()

    @staticmethod
    def begun(turn: Turn, started: float, entries: Sequence[MaskEntry], known: Sequence[MaskEntry]) -> Review:
        """The review of an answer; what an earlier one said of the same masks is known already.

        Args:
            turn: In which the policy answered.
            started: `time.monotonic()` when its reply came.
            entries: The masks of the answer.
            known: All masks of the episode.
        """
        review = Review(turn, started, tuple(entries), (), started)
        for entry in entries:
            same = next((one for one in known if _settles(one, entry)), None)
            if entry.second_look is None and same is not None and same.second_look is not None:
                earlier = same.second_look
                review = review._with(
                    SecondLook(entry.mask_id, earlier.view, earlier.verdict, earlier.reason, same_as=same.mask_id)
                )
        return review

    @property
    def due(self) -> MaskEntry | None:
        """The next mask to ask about; None once there is none."""
        return next((entry for entry in self.entries if entry.second_look is None), None)

    @property
    def said(self) -> tuple[Turn | SecondLook, ...]:
        """All that the policy has said in it so far."""
        return (self.turn, *self.looks)

    @property
    def objections(self) -> tuple[SecondLook, ...]:
        """What speaks against the answer and was not told before: who insists on a mask has heard it."""
        return tuple(look for look in self.looks if look.verdict == "no" and not look.same_as)

    def view(self, entry: MaskEntry) -> View:
        """The crop of the frame that a second look at one of the masks is shown."""
        return crop_around(entry.box, entry.mask.shape[1], entry.mask.shape[0])

    def heard(self, said: Reply | str, seconds: float) -> Review:
        """With the opinion on the mask that is due, or a sentence that says why there is none; it took so long."""
        entry = self.due
        if entry is None:
            raise RuntimeError("no second look is due")
        return self._with(opinion(entry.mask_id, self.view(entry), said, seconds))

    def without(self, reason: str, seconds: float) -> Review:
        """With all that is due given up for a reason; the first one was waited for so long."""
        review = self
        while review.due is not None:
            review, seconds = review.heard(reason, seconds), 0.0
        return review

    def settled(self) -> tuple[Turn, Result | None]:
        """The turn as it is now, and FOUND; None for the result where the answer is sent back."""
        turn = replace(self.turn, second_looks=self.looks)
        if self.objections:
            return replace(turn, error_code=SENT_BACK, error_msg=objection(self.objections)), None
        return turn, Result(Outcome.FOUND, instances=tuple(entry.instance() for entry in self.entries))

    def _with(self, look: SecondLook) -> Review:
        entries = tuple(replace(one, second_look=look) if one.mask_id == look.mask_id else one for one in self.entries)
        return replace(self, entries=entries, looks=(*self.looks, look), question=())


def _settles(known: MaskEntry, entry: MaskEntry) -> bool:
    return known.second_look is not None and iou(known.mask, entry.mask) >= SAME_MASK
