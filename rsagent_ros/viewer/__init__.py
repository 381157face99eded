"""Traces to look at: one self-contained HTML page (`page`), and the folder of files that a run leaves (`folder`)."""
