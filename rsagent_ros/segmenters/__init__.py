"""Who draws masks: one module for each backend of the `Segmenter` protocol."""
