"""Guard of a run: a loss or gradient that is not finite ends it before it reaches the weights, or a checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from rsagent_training.trainer.run_folder import CURVE, TrainingStopped, newest_whole, write_json

BETWEEN_CURVES = 10.0
"""Seconds: the curve is written whole each time, the first step's at once."""


class FiniteGuard(TrainerCallback):
    """Guard that keeps the curve on disk, and stops before a gradient that is not finite reaches the weights."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._written = -math.inf
        self.batch: list[str] = []
        """Names in the optimizer step under way; `check_loss` collects them."""

    def check_loss(self, loss: torch.Tensor, names: Iterable[str], step: int) -> None:
        """Refuse a loss that is not finite.

        Raises:
            TrainingStopped: It is not; the message names the batch and the checkpoint that is kept.
        """
        self.batch += names
        if not torch.isfinite(loss.detach()).all():
            raise self._stopped("loss", step)

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Forget the names of the step before."""
        self.batch = []

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any
    ) -> None:
        """Refuse gradients that are not finite."""
        gradients = (weight.grad for weight in given["model"].parameters() if weight.grad is not None)
        if not all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            raise self._stopped("gradient", state.global_step)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Have the step logged before it is saved, so that `on_log` sees it first."""
        control.should_log = control.should_log or control.should_save

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Refuse a norm of gradients that is not finite, before anything is saved, and write the curve.

        DeepSpeed makes its step inside the backward pass and hides the gradients: there the weights are lost, but no
        checkpoint takes them.
        """
        norm = (logs or {}).get("grad_norm", 0.0)
        if not math.isfinite(float(norm)):
            raise self._stopped("gradient", state.global_step - 1)
        now = time.monotonic()
        if now - self._written > BETWEEN_CURVES:
            self._written = now
            self.on_save(args, state, control)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Write the curve."""
        if state.is_world_process_zero:
            write_json(self._out / CURVE, state.log_history)

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **given: Any) -> None:
        """Write the curve."""
        self.on_save(args, state, control, **given)

    def _stopped(self, what: str, step: int) -> TrainingStopped:
        kept = newest_whole(self._out)
        where = f"the last good weights are in {kept}" if kept else "no checkpoint was written before"
        return TrainingStopped(
            f"the {what} of step {step + 1} is not a finite number, on {', '.join(self.batch)}; {where}; look at these "
            "samples, or lower the learning rate"
        )
