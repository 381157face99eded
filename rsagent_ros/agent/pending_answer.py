"""An answer whose masks are being verified: which mask is due, and the opinions on the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.evidence import MaskEntry
from rsagent_ros.agent.geometry import View
from rsagent_ros.agent.mask import iou
from rsagent_ros.agent.outcome import Outcome, Result
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.turn import Turn
from rsagent_ros.agent.verification import SAME_MASK, Verification, crop_around, objection, verification_of

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
        asked_at: `time.monotonic()` from which on an opinion is waited for.
        messages: The question about the mask that is due; empty before it is asked.
    """

    turn: Turn
    started: float
    entries: tuple[MaskEntry, ...]
    verifications: tuple[Verification, ...]
    asked_at: float
    messages: tuple[Message, ...] = ()

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
                pending = pending._with(
                    Verification(entry.mask_id, earlier.view, earlier.verdict, earlier.reason, same_as=same.mask_id)
                )
        return pending

    @property
    def due(self) -> MaskEntry | None:
        """The next mask to ask about; None once there is none."""
        return next((entry for entry in self.entries if entry.verification is None), None)

    @property
    def replies(self) -> tuple[Turn | Verification, ...]:
        """All replies of the policy in it so far."""
        return (self.turn, *self.verifications)

    @property
    def rejections(self) -> tuple[Verification, ...]:
        """Opinions against the answer that the policy was not told before: one that insists on a mask knows them."""
        return tuple(one for one in self.verifications if one.verdict == "no" and not one.same_as)

    def view(self, entry: MaskEntry) -> View:
        """The crop of the frame that the verification of one of the masks is shown."""
        return crop_around(entry.box, entry.mask.shape[1], entry.mask.shape[0])

    def verified(self, reply: Reply | str, seconds: float) -> PendingAnswer:
        """This answer with the reply about the mask that is due, or a sentence that says why there is none.

        Args:
            reply: The reply, or that sentence.
            seconds: Steady clock, from the question on.
        """
        entry = self.due
        if entry is None:
            raise RuntimeError("no verification is due")
        return self._with(verification_of(entry.mask_id, self.view(entry), reply, seconds))

    def unverified(self, reason: str, seconds: float) -> PendingAnswer:
        """This answer with all that is due given up for a reason; the first was waited for so many seconds."""
        pending = self
        while pending.due is not None:
            pending, seconds = pending.verified(reason, seconds), 0.0
        return pending

    def settled(self) -> tuple[Turn, Result | None]:
        """The turn as it is now, and FOUND; None for the result where the answer is sent back."""
        turn = replace(self.turn, second_looks=self.verifications)
        if self.rejections:
            return replace(turn, error_code=SENT_BACK, error_msg=objection(self.rejections)), None
        return turn, Result(Outcome.FOUND, instances=tuple(entry.instance() for entry in self.entries))

    def _with(self, made: Verification) -> PendingAnswer:
        entries = tuple(replace(one, verification=made) if one.mask_id == made.mask_id else one for one in self.entries)
        return replace(self, entries=entries, verifications=(*self.verifications, made), messages=())


def _settles(known: MaskEntry, entry: MaskEntry) -> bool:
    return known.verification is not None and iou(known.mask, entry.mask) >= SAME_MASK
