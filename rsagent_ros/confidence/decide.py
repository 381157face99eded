"""The threshold: an answer that is less sure than required ends as AMBIGUOUS or GAVE_UP, not as FOUND."""

from __future__ import annotations

from dataclasses import replace

from rsagent_ros.agent.mask import bounding_box, decode_rle, iou
from rsagent_ros.agent.outcome import ErrorCode, Instance, Outcome, Result
from rsagent_ros.agent.turn import Trace
from rsagent_ros.confidence.calibration import Calibration
from rsagent_ros.confidence.evidence import SAME_OBJECT, evidence_for

MOST_CANDIDATES = 4
QUESTION = "I am not sure which one is meant; which of these is it?"


def decide(
    result: Result, trace: Trace, calibration: Calibration | None, threshold: float = 0.0
) -> tuple[Result, Trace]:
    """Give a finished result its calibrated confidences, and hold a FOUND against the threshold.

    FOUND below the threshold becomes AMBIGUOUS where one object was found and the episode drew others too, each a
    candidate. Else it becomes GAVE_UP (UNSURE) with all that was found, partial: objects that were found together are
    no candidates for one another. No other outcome changes.

    Args:
        result: Of an episode.
        trace: Of the same episode.
        calibration: Makes a confidence of evidence; None leaves confidences as they are, uncalibrated.
        threshold: Least confidence for FOUND, 0..1; 0 keeps every FOUND.

    Returns:
        Both, changed alike; with neither calibration nor threshold they are as they were.

    Raises:
        ValueError: A threshold outside of 0..1, or a trace of another episode.
    """
    if not 0.0 <= threshold <= 1.0:
        raise ValueError(f"the threshold is {threshold}; it must be between 0 and 1")
    if calibration is None and threshold == 0.0:
        return result, trace
    instances = tuple(_calibrated(instance, trace, calibration) for instance in result.instances)
    candidates = tuple(_calibrated(instance, trace, calibration) for instance in result.candidates)
    result = replace(result, instances=instances, candidates=candidates)
    confidence = result.confidence
    if result.outcome is Outcome.FOUND and confidence is not None and confidence < threshold:
        result = _below_threshold(result, confidence, trace, calibration, threshold)
    return result, replace(trace.ended(result), calibrated=True)


def _below_threshold(
    result: Result, confidence: float, trace: Trace, calibration: Calibration | None, threshold: float
) -> Result:
    """The AMBIGUOUS or GAVE_UP that stands for a FOUND below the threshold; `decide` has the rule."""
    others = _others(result, trace, calibration) if len(result.instances) == 1 else []
    if others:
        candidates = (*result.instances, *others)[:MOST_CANDIDATES]
        return replace(
            result, outcome=Outcome.AMBIGUOUS, instances=(), candidates=candidates, question=QUESTION, error_msg=""
        )
    return replace(
        result,
        outcome=Outcome.GAVE_UP,
        error_code=ErrorCode.UNSURE,
        partial=True,
        error_msg=f"the confidence is {confidence:.2f}, below the threshold {threshold:g}",
    )


def _others(result: Result, trace: Trace, calibration: Calibration | None) -> list[Instance]:
    """The other objects that were drawn, the surest mask of each, the surest first."""
    drawn: list[Instance] = []
    for made in trace.masks.values():
        mask = decode_rle(made.mask)
        box = bounding_box(mask)
        if box is not None:
            raw = Instance(mask, box, trace.confidence(made.mask_id), made.mask_id)
            drawn.append(_calibrated(raw, trace, calibration))
    found: list[Instance] = []
    for instance in sorted(drawn, key=lambda one: (-one.confidence, one.mask_id)):
        known = (*result.instances, *found)
        if all(iou(instance.mask, other.mask) < SAME_OBJECT for other in known):
            found.append(instance)
    return found


def _calibrated(instance: Instance, trace: Trace, calibration: Calibration | None) -> Instance:
    if calibration is None:
        return instance
    confidence = calibration.confidence(evidence_for(trace, instance.mask_id))
    # A calibration knows nothing of verifications: what one said no to is worth less after it, too.
    return replace(instance, confidence=confidence * trace.trust(instance.mask_id))
