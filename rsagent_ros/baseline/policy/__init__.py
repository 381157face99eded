"""The reference policy: colours, simple shapes, sizes and places, without weights.

Reading order:
`policy` (the protocol), `chat` (messages to observations), `search` (the conduct of an episode), `drawing` (prompt,
inspect, correct) with `prompts`, `observed_view` and `overlay`; `verification` (the second look);
from words to meaning: `vocabulary`, `language`, `grounding`, `spatial`, and back: `wording`;
from pixels to objects: `superpixels`, `foreground`, `touching`, `shape_models`, `shapes`, `colours`, `objects`.
"""

from rsagent_ros.baseline.policy.policy import ReferencePolicy

__all__ = ["ReferencePolicy"]
