"""A model server beside the robot: a recipe names the model, `vllm serve` runs in its own process and environment.

`recipe` is the user's file, `memory` computes what fits beside the segmenter, `command` builds the command line,
`supervisor` keeps the server running, `engine_probe` sees when its engine hangs, and `program` is `rsagent serve`.
Nothing here imports vLLM, which pins a torch and a transformers of its own.
"""
