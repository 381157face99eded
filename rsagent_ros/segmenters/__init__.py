"""Segmentation models: the backends of the `Segmenter` protocol that have weights."""
