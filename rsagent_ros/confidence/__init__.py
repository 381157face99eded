"""How sure an answer is: evidence that is at hand, a calibration that turns it into a probability, and a threshold.

    calibration = load("calibration.json")                          # made by `rsagent calibrate`
    result, trace = decide(result, trace, calibration, threshold=0.6)

Reading order: `evidence` (what a trace says for a mask), `calibrate` (fitting), `calibration` (the model and its file),
`decide` (the threshold), `jitter` (evidence that costs segmenter calls), `judged` (what was right, from evaluations).
"""

from rsagent_ros.confidence.calibration import Calibration, load, save
from rsagent_ros.confidence.decide import decide
from rsagent_ros.confidence.evidence import Evidence, evidence_for

__all__ = ["Calibration", "Evidence", "decide", "evidence_for", "load", "save"]
