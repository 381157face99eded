"""`ModelSelection`: the active models, and which others may take their place: a candidate, or those of before.

It decides and writes down; the node loads. A change goes through three steps: `promotion` or `rollback` says what is to
be loaded, the node loads it, and `settle` writes it down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rclpy.impl.rcutils_logger import RcutilsLogger

from rsagent_ros.agent.errors import describe
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.shadow.model_choice import chosen_by, shadow_folder, store_promotions, stored_promotions
from rsagent_ros.ros.shadow.shadow_comparison import ShadowComparison
from rsagent_ros.shadow.candidate import CandidateModels
from rsagent_ros.shadow.promotion import Promotions


class PromotionRefused(Exception):
    """The active models stay; the message says why, in one sentence."""


@dataclass(frozen=True)
class ModelChange:
    """A change of the active models that may be made.

    Attributes:
        wanted: To be active.
        before: Active until then.
        promotions: To be written down once the wanted ones are active.
        refused: The beginning of the sentence that says why it could not be made.
        evidence: The comparison's figures; empty for a rollback.
    """

    wanted: CandidateModels
    before: CandidateModels
    promotions: Promotions
    refused: str
    evidence: str = ""


class ModelSelection:
    """The loaded models and their rivals. Changes come one at a time; attributes may be read from any thread.

    Attributes:
        active: The models that are loaded, or were last; None before the first.
        problem: Why promoted models are not active; empty if they are, or none are promoted.
    """

    def __init__(self, log: RcutilsLogger) -> None:
        """Prepare; nothing is loaded yet. `log` is the node's."""
        self._log = log
        self._chosen = CandidateModels()
        """The parameters' choice when the active models were loaded."""
        self.active: CandidateModels | None = None
        self.problem = ""

    def to_load(
        self, parameters: NodeParameters, changing: Sequence[CandidateModels] = ()
    ) -> Sequence[CandidateModels]:
        """The models to load, best first: those that were promoted, then those that the parameters choose.

        Args:
            parameters: Of the node.
            changing: Models of a change under way, which come in the place of all others.
        """
        self.problem = ""
        if changing:
            return changing
        chosen = chosen_by(parameters)
        try:
            promoted = stored_promotions(parameters).active(chosen)
        except (ValueError, OSError) as error:
            self._complain(_sentence(error))
            return [chosen]
        return [chosen] if promoted == chosen else [promoted, chosen]

    def loaded(self, candidate: CandidateModels, parameters: NodeParameters, failure: str = "") -> None:
        """Take note of the active models.

        Args:
            candidate: The active models.
            parameters: Of the node.
            failure: Why better ones were not loaded; empty if none were tried.
        """
        self.active, self._chosen = candidate, chosen_by(parameters)
        if failure:
            self._complain(f"{failure}; {candidate.name} is active instead")
        elif candidate != self._chosen:
            self._log.info(f"{candidate.name} is active: it was promoted, see {shadow_folder(parameters)}")

    def promotion(self, parameters: NodeParameters, comparison: ShadowComparison) -> ModelChange:
        """The candidate in the place of the active models, on the evidence of the comparison.

        Raises:
            PromotionRefused: There is no evidence, or not enough.
        """
        candidate, result, active = comparison.candidate, comparison.result, self.active
        if candidate is None or active is None:
            why = self.problem or comparison.problem or "there is no comparison under way"
            raise PromotionRefused(f"nothing to promote: {why}")
        if result is None:
            problem = comparison.problem
            why = f": {problem}" if problem else f"; shadow_idle is {parameters.shadow_idle:g} s"
            raise PromotionRefused(f"not promoted: the comparison has not begun yet{why}")
        if comparison.problem:  # a goal that takes the process down would never count
            raise PromotionRefused(f"not promoted: the comparison failed and has not gone on: {comparison.problem}")
        chosen = self._check_taken_over(parameters)
        try:
            promotions = stored_promotions(parameters)
            if promotions.active(chosen) != active:
                raise ValueError(
                    f"not promoted: {promotions.active(chosen).name} was promoted before and can't be loaded; call "
                    "~/rollback first"
                )
            after = promotions.promote(candidate, chosen, result)
        except (ValueError, OSError) as error:
            raise PromotionRefused(_sentence(error)) from error
        return ModelChange(candidate, active, after, "not promoted", str(result))

    def rollback(self, parameters: NodeParameters) -> ModelChange:
        """The models from before the last promotion in the place of the active ones.

        Raises:
            PromotionRefused: None are promoted.
        """
        chosen = self._check_taken_over(parameters)
        try:
            promotions = stored_promotions(parameters)
            after = promotions.rollback(chosen)
        except (ValueError, OSError) as error:
            raise PromotionRefused(_sentence(error)) from error
        return ModelChange(after.active(chosen), promotions.active(chosen), after, "not rolled back")

    def settle(self, change: ModelChange, parameters: NodeParameters) -> None:
        """Write a change down, now that its models are active.

        Not earlier: a robot that loses power while it tries a candidate comes back with the models of before.

        Raises:
            PromotionRefused: Its models are not active.
            OSError: It can't be written.
        """
        if self.active != change.wanted:
            raise PromotionRefused(f"{change.refused}: {self.problem}")
        store_promotions(parameters, change.promotions)

    def _check_taken_over(self, parameters: NodeParameters) -> CandidateModels:
        """The parameters' choice, which must still be that of when the models were loaded.

        Raises:
            PromotionRefused: It is not.
        """
        chosen = chosen_by(parameters)
        if self.active is not None and chosen != self._chosen:
            raise PromotionRefused(
                "the parameters choose other models than when these were loaded: deactivate, clean up and configure "
                "the node first"
            )
        return chosen

    def _complain(self, sentence: str) -> None:
        self.problem = sentence
        self._log.error(sentence)


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else describe(error)
