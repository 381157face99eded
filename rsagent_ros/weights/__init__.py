"""Weights on disk: fetching real ones beforehand, and making tiny random ones for tests and dry runs."""
