"""The line that grows on the terminal while a run goes on."""

from __future__ import annotations

from tqdm import tqdm

from rsagent_ros.scoring.score import Row


class ProgressBar:
    """Samples done, time left, and the gIoU so far. A context manager."""

    def __init__(self, quiet: bool) -> None:
        self._bar = tqdm(unit=" samples", disable=quiet, mininterval=0.5, dynamic_ncols=True)
        self._sum = 0.0

    def __call__(self, row: Row, total: int | None) -> None:
        """One more."""
        self._sum += row.iou
        self._bar.total = total
        self._bar.update()
        self._bar.set_postfix_str(f"gIoU {self._sum / self._bar.n:.3f}" if self._bar.n else "", refresh=False)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
