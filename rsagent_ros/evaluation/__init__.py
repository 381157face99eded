"""Honest figures: datasets, the evaluator, metrics with intervals, reports. Knows simulated scenes only as folders of examples.

Reading order: `sample` (what is asked and true) and `datasets`; `answer`, `scores` and `boundary` (one sample);
`metrics`, `calibration` and `bootstrap` (all of them); `answering`, `evaluator`, `cluster` and `results` (running it);
`predictions` (scoring another's masks); `report` and `commands`.
"""
