"""Calibrated confidences: evidence at hand, a calibration that turns it into a probability, and a threshold.

    calibration = load("calibration.json")                          # made by `rsagent calibrate`
    result, trace = decide(result, trace, calibration, threshold=0.6)

Reading order: `evidence` (numbers about a mask, from its trace), `calibration` (the fitted model and its file),
`decide` (the threshold), `judged` (answers whose truth is known, from evaluations), `calibrate` (fitting), `measures`.
"""

from rsagent_ros.confidence.calibration import Calibration, load, save
from rsagent_ros.confidence.decide import decide
from rsagent_ros.confidence.evidence import Evidence, evidence_for

__all__ = ["Calibration", "Evidence", "decide", "evidence_for", "load", "save"]
