"""The fitted model, some numbers in a JSON file: evidence in, the probability that an answer is right out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.confidence.evidence import NAMES, Evidence

VERSION = 1
MAX_BYTES = 1_000_000

_GONE = "jitter"
_WEIGHTLESS = {"names": NAMES[-1], "usual": 0.0, "centre": 0.0, "scale": 1.0, "weights": 0.0}

Kind = Literal["platt", "isotonic"]


@dataclass(frozen=True)
class Calibration:
    """Map from evidence to a calibrated confidence.

    Attributes:
        kind: `platt`: a logistic function of all evidence; `isotonic`: steps of score times stability alone.
        names: The evidence it was fitted to, in order.
        usual: For each, what stands for an unknown one.
        centre, scale: For each, what it is brought to mean 0 and spread 1 with.
        weights, bias: `platt`: of the evidence so brought; 0s for `isotonic`.
        knots, levels: `isotonic`: confidence `levels[i]` at raw confidence `knots[i]`, linear between; else empty.
        count, right: Of the answers it was fitted to: how many, and the share that was right.
        policy, segmenter: Whose they were; another pair needs another calibration.
        version: Of this file.

    Raises:
        ValueError: Lengths do not fit, or a number is not finite.
    """

    kind: Kind
    names: tuple[str, ...]
    usual: tuple[float, ...]
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    knots: tuple[float, ...]
    levels: tuple[float, ...]
    count: int
    right: float
    policy: str = ""
    segmenter: str = ""
    version: int = VERSION

    def __post_init__(self) -> None:
        if self.names != NAMES:
            raise ValueError(f"the evidence is {list(self.names)}; this release knows {list(NAMES)}: calibrate again")
        columns = (self.usual, self.centre, self.scale, self.weights)
        if any(len(column) != len(NAMES) for column in columns) or len(self.knots) != len(self.levels):
            raise ValueError("its columns differ in length")
        numbers = (*self.usual, *self.centre, *self.scale, *self.weights, self.bias, *self.knots, *self.levels)
        if not np.isfinite(numbers).all() or min(self.scale) <= 0:
            raise ValueError("a number in it is not finite, or a scale is not positive")
        steps = np.diff(self.knots), np.diff(self.levels)
        if self.kind == "isotonic" and not (self.knots and (steps[0] > 0).all() and (steps[1] >= 0).all()):
            raise ValueError("the steps of an isotonic calibration must rise")

    def confidence(self, evidence: Evidence) -> float:
        """The probability that a mask with this evidence is right, 0..1."""
        return float(self.confidences(evidence.vector()[None])[0])

    def confidences(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n,) probabilities for (n, len(NAMES)) evidence; NaN in it is unknown."""
        known = np.where(np.isnan(evidence), self.usual, evidence)
        if self.kind == "isotonic":
            return np.asarray(np.interp(raw_confidence(known), self.knots, self.levels))
        logit = (known - self.centre) / self.scale @ np.asarray(self.weights) + self.bias
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -30, 30))))


def raw_confidence(evidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) confidences before any calibration, as the episode gives them: score times stability."""
    return np.asarray(evidence[:, NAMES.index("score")] * evidence[:, NAMES.index("stability")])


def save(calibration: Calibration, path: Path) -> None:
    """Write a new file.

    Raises:
        FileExistsError: It is there already; nothing is overwritten.
    """
    with path.open("xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(calibration), indent=1) + b"\n")


def load(path: Path) -> Calibration:
    """Read a file.

    Raises:
        FileNotFoundError: There is none.
        ValueError: It is no calibration of this version; the message says why.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; `rsagent calibrate` makes one from an evaluation")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB and so no calibration")
    try:
        version = msgspec.json.decode(path.read_bytes(), type=_Versioned).version
        if version != VERSION:
            raise ValueError(f"it is of version {version}; this release reads version {VERSION}")
        return msgspec.convert(_of_today(msgspec.json.decode(path.read_bytes())), Calibration)
    except (msgspec.DecodeError, UnicodeError, ValueError) as error:
        raise ValueError(f"{path} is no calibration: {error}") from error


def _of_today(data: dict[str, Any]) -> dict[str, Any]:
    """A calibration of before, in the evidence of today: what it was not fitted to has no weight, so nothing changes.

    Release 0.1.0 had room for `jitter`, which it never gathered, and none for `share`.
    """
    columns = {field: data[field] for field in _WEIGHTLESS if isinstance(data.get(field), list)}
    names = columns.get("names", [])
    if _GONE in names:
        at = names.index(_GONE)
        columns = {field: column[:at] + column[at + 1 :] for field, column in columns.items()}
    if columns.get("names") == [*NAMES[:-1]]:
        columns = {field: [*column, _WEIGHTLESS[field]] for field, column in columns.items()}
    return data | columns


@dataclass(frozen=True)
class _Versioned:
    version: int
