"""Draws masks with OpenCV alone: GrabCut on colours from which most light and shade is taken out.

For set-up checks, continuous integration and simple scenes: things that differ in colour from what is around them. It
knows nothing of objects; transparent, camouflaged or finely structured things need a trained model.

Reading order: `segmenter` (encode and prompt), `window` (where a prompt is answered), `cut` (inside from outside),
`score` (how good a candidate looks).
"""

from rsagent_ros.baseline.segmenter.segmenter import ClassicalSegmenter

__all__ = ["ClassicalSegmenter"]
