"""Follow an object with OpenCV alone: optical flow inside the mask, its edge drawn again by the classical segmenter.

For processors without a GPU. It knows no objects: what has the colours of the object and moves with it is the object.

Reading order: `track` (a step), `motion` (where the patch went), `appearance` (is it still the object, and what hides
it), `edge` (against drift).
"""

from rsagent_ros.baseline.tracker.track import ClassicalConfig, ClassicalTracker

__all__ = ["ClassicalConfig", "ClassicalTracker"]
