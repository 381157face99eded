"""A policy of 0.7 million weights, trained from random ones by this repository, as proof that its training works.

It knows flat red, green, blue and yellow discs, bars and dots on grey ground, asked for as "the red bar", and nothing
else: a robot has no use for it. docs/training.md says how it was made, and how far it got.
"""

from __future__ import annotations

from pathlib import Path

from rsagent_ros.policies.local.config import LocalConfig

SIDE = 96
"""Longest side of its pictures, pixels."""

MINIATURE = LocalConfig(str(Path(__file__).parent / "miniature"), device="cpu", dtype="float32", side=SIDE)
