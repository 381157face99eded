"""Which device and type a name means, on machines with and without GPUs."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="the extra [models] is not installed")

import torch

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.devices import is_full, pick_device, pick_dtype


@pytest.mark.parametrize(
    ("gpus", "name", "device"),
    [
        (0, "auto", "cpu"),
        (0, "cpu", "cpu"),
        (2, "auto", "cuda:0"),
        (2, "cuda", "cuda:0"),
        (2, "cuda:1", "cuda:1"),
        (2, "cpu", "cpu"),
    ],
)
def test_the_device_of_a_name(monkeypatch: pytest.MonkeyPatch, gpus: int, name: str, device: str) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert str(pick_device(name)) == device


@pytest.mark.parametrize(
    ("gpus", "name", "sentence"),
    [
        (0, "cuda", "'cuda' is not there: torch .* sees 0 CUDA GPUs"),
        (1, "cuda:1", "'cuda:1' is not there: torch .* sees 1 CUDA GPUs"),
        (0, "gpu", "'gpu' is none that torch knows"),
        (0, "mps", "'mps' is not supported"),
    ],
)
def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch, gpus: int, name: str, sentence: str) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(RunFailed, match=sentence) as failure:
        pick_device(name)
    assert failure.value.code is ErrorCode.MODEL_UNAVAILABLE


def test_the_type_of_a_name() -> None:
    cpu = torch.device("cpu")
    assert pick_dtype("auto", cpu) is torch.float32
    assert pick_dtype("bfloat16", cpu) is torch.bfloat16


@pytest.mark.parametrize(("ampere", "dtype"), [(True, torch.bfloat16), (False, torch.float16)])
def test_half_precision_on_a_gpu_as_it_can(monkeypatch: pytest.MonkeyPatch, ampere: bool, dtype: torch.dtype) -> None:
    class Selected:
        def __init__(self, device: torch.device) -> None: ...
        def __enter__(self) -> None: ...
        def __exit__(self, *error: object) -> None: ...

    monkeypatch.setattr(torch.cuda, "device", Selected)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: ampere and not including_emulation)
    assert pick_dtype("auto", torch.device("cuda", 0)) is dtype


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (torch.OutOfMemoryError("no more"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to ..."), True),
        (RuntimeError("CUDA error: an illegal memory access was encountered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_which_errors_mean_full_memory(error: Exception, full: bool) -> None:
    assert is_full(error) is full
