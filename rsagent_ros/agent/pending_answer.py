"""An answer whose masks are being verified: which mask or pair is due, and the opinions on the others.

Each mask is verified by itself first. Where none is rejected, the masks that the other way of looking found instead are
compared with them, each pair in both orders.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.comparison import QUESTION, Pair, agreement, comparison_messages, read_comparison
from rsagent_ros.agent.evidence import MaskEntry
from rsagent_ros.agent.geometry import View
from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.agent.turn import Turn
from rsagent_ros.agent.verification import (
    SAME_MASK,
    Opinion,
    Verification,
    crop_around,
    objection,
    verification_messages,
    verification_of,
)

PREFERRED = (
    "Another way of looking found something else, and two second looks at both prefer it: {}. End with it, correct "
    "your mask or look elsewhere; if you are sure, end with the same answer again."
)

SENT_BACK = "second_look"
"""Error code of the turn whose answer a verification has sent back."""


@dataclass(frozen=True, eq=False)
class PendingAnswer:
    """The masks of one `finish`, each to be verified once.

    Attributes:
        turn: In which the policy answered, as far as it is known.
        started: `time.monotonic()` when its reply came.
        entries: The masks of the answer; those that are verified hold the verification.
        verifications: Of these masks, in this turn.
        pairs: Masks that the other way did not find, each with what it found instead; None before that was looked for.
        asked_at: `time.monotonic()` from which on an opinion is waited for.
        messages: The question about the mask that is due; empty before it is asked.
    """

    turn: Turn
    started: float
    entries: tuple[MaskEntry, ...]
    verifications: tuple[Verification, ...]
    asked_at: float
    messages: tuple[Message, ...] = ()
    pairs: tuple[Pair, ...] | None = None

    @staticmethod
    def begun(turn: Turn, started: float, entries: Sequence[MaskEntry], known: Sequence[MaskEntry]) -> PendingAnswer:
        """The start of an answer's verification; earlier opinions on the same masks count already.

        Args:
            turn: In which the policy answered.
            started: `time.monotonic()` when its reply came.
            entries: The masks of the answer.
            known: All masks of the episode.
        """
        pending = PendingAnswer(turn, started, tuple(entries), (), started)
        for entry in entries:
            same = next((one for one in known if _settles(one, entry)), None)
            if entry.verification is None and same is not None and same.verification is not None:
                earlier = same.verification
                verdict: Opinion = "no" if earlier.doubts else earlier.verdict
                pending = pending._with(
                    Verification(entry.mask_id, earlier.view, verdict, earlier.reason, same_as=same.mask_id)
                )
        return pending

    @property
    def due(self) -> MaskEntry | None:
        """The next mask to ask about by itself; None once there is none."""
        return next((entry for entry in self.entries if entry.verification is None), None)

    @property
    def due_pair(self) -> tuple[Pair, bool] | None:
        """The next pair to ask about, and whether it is to be shown in the other order; None once there is none."""
        for pair in self.pairs or ():
            asked = len(self._opinions(pair))
            if asked < 2:
                return pair, asked == 1
        return None

    @property
    def others(self) -> tuple[MaskEntry, ...]:
        """The masks that the other way of looking found instead."""
        return tuple(pair.other for pair in self.pairs or ())

    @property
    def wants_pairs(self) -> bool:
        """Whether it is time to look for the masks in the other way."""
        return self.pairs is None and self.due is None and not self.rejections

    @property
    def replies(self) -> tuple[Turn | Verification, ...]:
        """All replies of the policy in it so far."""
        return (self.turn, *self.verifications)

    @property
    def rejections(self) -> tuple[Verification, ...]:
        """Opinions against the answer that the policy was not told before: one that insists on a mask knows them."""
        return tuple(one for one in self.verifications if one.verdict == "no" and not one.same_as and not one.against)

    def view(self, entry: MaskEntry) -> View:
        """The crop of the frame that the verification of one of the masks is shown."""
        return crop_around(entry.box, entry.mask.shape[1], entry.mask.shape[0])

    def question(
        self, instruction: str, previous: Sequence[Exchange], frame: NDArray[np.uint8], pictures: PictureFormat
    ) -> list[Message]:
        """Messages about the mask or pair that is due, for a fresh conversation; empty where none is.

        Args:
            instruction: Of the goal.
            previous: Earlier instructions and questions about it, oldest first.
            frame: (H, W, 3) uint8 RGB.
            pictures: Format that the policy's model wants.
        """
        if self.due is not None:
            return verification_messages(instruction, previous, frame, self.due.mask, self.view(self.due), pictures)
        if self.due_pair is None:
            return []
        pair, swapped = self.due_pair
        return comparison_messages(instruction, previous, frame, pair, pictures, swapped=swapped)

    def verified(self, reply: Reply | str, seconds: float) -> PendingAnswer:
        """This answer with the reply about the mask that is due, or a sentence that says why there is none.

        Args:
            reply: The reply, or that sentence.
            seconds: Steady clock, from the question on.
        """
        entry = self.due
        if entry is not None:
            return self._with(verification_of(entry.mask_id, self.view(entry), reply, seconds))
        if self.due_pair is None:
            raise RuntimeError("no verification is due")
        pair, swapped = self.due_pair
        read = partial(read_comparison, swapped=swapped)
        made = verification_of(pair.entry.mask_id, pair.view, reply, seconds, read)
        made = replace(made, against=pair.other.mask_id, swapped=swapped)
        return replace(self, verifications=(*self.verifications, made), messages=())

    def unverified(self, reason: str, seconds: float) -> PendingAnswer:
        """This answer with all that is due given up for a reason; the first was waited for so many seconds."""
        pending = self
        while pending.due is not None or pending.due_pair is not None:
            pending, seconds = pending.verified(reason, seconds), 0.0
        return pending

    def compared(self) -> PendingAnswer:
        """This answer with what the comparisons say of its masks: those that they doubt hold the doubt."""
        pending = self
        for pair in self.pairs or ():
            doubt = next((one for one in self._opinions(pair) if one.doubts), None)
            if doubt is not None:
                entries = tuple(
                    replace(one, verification=doubt) if one.mask_id == pair.entry.mask_id else one
                    for one in pending.entries
                )
                pending = replace(pending, entries=entries)
        return pending

    def settled(self) -> tuple[Turn, Result | None]:
        """The turn as it is now, and its result; None where the answer is sent back.

        FOUND, or AMBIGUOUS where its one mask and another are both not ruled out.
        """
        turn = replace(self.turn, second_looks=self.verifications)
        if self.rejections:
            return replace(turn, error_code=SENT_BACK, error_msg=objection(self.rejections)), None
        judged = [(pair, agreement([one.verdict for one in self._opinions(pair)])) for pair in self.pairs or ()]
        preferred = [pair for pair, said in judged if said == "other"]
        if preferred:
            better = "; ".join(f"mask {pair.other.mask_id} instead of mask {pair.entry.mask_id}" for pair in preferred)
            return replace(turn, error_code=SENT_BACK, error_msg=PREFERRED.format(better)), None
        unclear = [pair for pair, said in judged if said == "unclear"]
        if unclear and len(self.entries) == 1:
            candidates = (self.entries[0].instance(), unclear[0].other.instance())
            return turn, Result(Outcome.AMBIGUOUS, candidates=candidates, question=QUESTION)
        return turn, Result(Outcome.FOUND, instances=tuple(entry.instance() for entry in self.entries))

    def _opinions(self, pair: Pair) -> list[Verification]:
        """Opinions on a pair, in the order in which it was asked about."""
        mine = pair.entry.mask_id, pair.other.mask_id
        return [one for one in self.verifications if (one.mask_id, one.against) == mine]

    def _with(self, made: Verification) -> PendingAnswer:
        entries = tuple(replace(one, verification=made) if one.mask_id == made.mask_id else one for one in self.entries)
        return replace(self, entries=entries, verifications=(*self.verifications, made), messages=())


def _settles(known: MaskEntry, entry: MaskEntry) -> bool:
    return known.verification is not None and iou(known.mask, entry.mask) >= SAME_MASK
