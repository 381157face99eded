"""Figures over data sets: the evaluator, its results, reports and the comparison of two runs.

Reading order: `answering`, `evaluator`, `cluster` and `results` (running it); `predictions` (scoring another system's
masks); `report` and `commands`. Examples are in `rsagent_ros.data` and `datasets`, scores in `rsagent_ros.scoring`.
"""
