"""Checkpoints on disk: getting real ones beforehand, and making tiny random ones for tests and dry runs."""
