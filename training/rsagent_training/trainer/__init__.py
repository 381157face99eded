"""Parts that supervised training and reinforcement learning share.

In reading order: `run_folder` (a run on disk), `policy_model` (the checkpoint that learns), `token_sequence` (an
episode as the tokens that carry loss), `finite_guard` (what stops a run that diverges), `mix` (scenes to practise on).
"""
