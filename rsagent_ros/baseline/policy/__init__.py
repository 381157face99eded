"""The embedded default: a policy that needs no weights and understands colours, simple shapes, sizes and places.

Reading order: `policy` (the protocol), `search` (the conduct of an episode), `drawing` (prompt, inspect, correct);
then what they rest on: `language` and `vocabulary` (words to a phrase), `perception` (a picture to things; from
`patches`, `background`, `figures` and `touching`), `colours` and `outlines` (what a thing looks like), `grounding` and
`places` (which things a phrase means), `inspection` (what an overlay shows), `prompts` and `wording`.
"""

from rsagent_ros.baseline.policy.policy import ReferencePolicy

__all__ = ["ReferencePolicy"]
