"""The one judge of an answer: scores of one example, metrics of many, intervals and calibration measures."""
