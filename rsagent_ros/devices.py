"""Devices and floating-point types of models, and the errors that mean that memory is full."""

from __future__ import annotations

import torch

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import ErrorCode

_FULL = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""Words of the driver, of the CPU's allocator, of cuBLAS: they raise a plain RuntimeError, not torch's own class."""


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name, such as `cuda`, `cuda:1` or `cpu`; `auto` is the first GPU, else the CPU.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: there is no such device.
    """
    found = torch.cuda.device_count()
    if name == "auto":
        return torch.device("cuda", 0) if found else torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise _refused(f"the device {name!r} is none that torch knows ({describe(error)})") from error
    if device.type not in ("cpu", "cuda"):
        raise _refused(f"the device {name!r} is not supported")
    if device.type == "cuda" and (device.index or 0) >= found:
        raise _refused(f"the device {name!r} is not there: torch {torch.__version__} sees {found} CUDA GPUs")
    return torch.device("cuda", device.index or 0) if device.type == "cuda" else device


def pick_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type of that name: float32, bfloat16, float16; `auto` is float32 on the CPU, half precision on a GPU."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]
    if device.type == "cpu":
        return torch.float32
    # GPUs before Ampere emulate bfloat16, slowly.
    with torch.cuda.device(device):
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def is_full(error: Exception) -> bool:
    """Whether the error means that memory of the device, or of the process, could not be had."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _FULL)


def _refused(what: str) -> RunFailed:
    return RunFailed(ErrorCode.MODEL_UNAVAILABLE, f"{what}; use auto, cpu, or cuda:N of a GPU that is there")
