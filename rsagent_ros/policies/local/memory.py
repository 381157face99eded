"""Telling the errors that mean full memory from all others."""

from __future__ import annotations

import torch

SIGNS = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""Of the driver, of the CPU's allocator, of cuBLAS: they raise a plain RuntimeError, not torch's own class."""


def is_full(error: Exception) -> bool:
    """Whether the error means that memory of the device, or of the process, could not be had."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)
