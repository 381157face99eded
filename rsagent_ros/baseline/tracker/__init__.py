"""Follows a thing with OpenCV alone: optical flow inside the mask, its edge drawn again by the classical segmenter.

For processors without a GPU. It knows no objects: what has the colours of the thing and moves with it is the thing.

Reading order: `track` (a step), `motion` (where the patch went), `appearance` (is it still the thing, and what hides
it), `edge` (against drift).
"""

from rsagent_ros.baseline.tracker.track import ClassicalConfig, ClassicalTracker

__all__ = ["ClassicalConfig", "ClassicalTracker"]
