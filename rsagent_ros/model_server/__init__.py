"""Runs a model server beside the robot: a recipe says which, `vllm serve` runs in its own process and environment.

`recipe` is what a user writes, `memory` computes what fits beside the segmenter, `command` is the command line, and
`supervisor` keeps it up. Nothing here imports vLLM: it pins a torch and a transformers of its own.
"""
