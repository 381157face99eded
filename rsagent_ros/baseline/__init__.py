"""The embedded default: a policy, a segmenter and a tracker that need no weights.

It is here so that everything runs on a fresh machine: set-up checks, demos, continuous integration. It knows colours,
simple shapes, sizes and places; a robot at work has a vision-language model and SAM 2 instead.

Reading order: `policy`, `segmenter`, `tracker`; each serves the same seam as the real models do.
"""
