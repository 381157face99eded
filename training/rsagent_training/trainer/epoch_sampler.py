"""The order in which scenes are practised on."""

from __future__ import annotations

import numpy as np
from trl.trainer.utils import RepeatSampler


class EpochSampler(RepeatSampler):
    """TRL's sampler, but the order of an epoch depends on its number alone: a run that is resumed has the same."""

    def set_epoch(self, epoch: int) -> None:
        """Seed the order; the trainer calls this before each epoch."""
        seed = np.random.SeedSequence((self.seed or 0, epoch)).generate_state(1, np.uint64)
        self.generator.manual_seed(int(seed[0]))
