"""Draws masks with OpenCV alone: GrabCut on colours from which most light and shade is taken out.

For set-up checks, continuous integration and simple scenes: objects that differ in colour from their surroundings. It
knows nothing of objects; transparent, camouflaged or finely structured ones need a trained model.

Reading order: `segmenter` (encode and prompt), `crop` (the part that answers a prompt), `cut` (inside from outside),
`score` (how good a candidate looks).
"""

from rsagent_ros.baseline.segmenter.segmenter import ClassicalSegmenter

__all__ = ["ClassicalSegmenter"]
