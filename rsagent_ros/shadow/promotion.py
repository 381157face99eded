"""Promotions: which models, when and on which evidence, and which were active before; one file that survives the robot.

    promoted.yaml
      parameters: {policy: ..., ...}      what the node's parameters chose when the first of them was promoted
      promoted:                           in order; the last one is active
        - {candidate: {...}, fingerprint: ..., evidence: {...}, when: ...}
      history:                            everything that was done, oldest first
        - {what: promoted, ...}
        - {what: rolled back, ...}

A promotion holds over the parameters that it was made over. A later change of what they choose counts more; with the
old values the promotion is in force again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import yaml

from rsagent_ros.atomic_write import atomic_write
from rsagent_ros.shadow.candidate import CandidateModels, of_data, to_data
from rsagent_ros.shadow.paired_result import PairedResult

FILE = "promoted.yaml"
MAX_BYTES = 1_000_000
MAX_HISTORY = 200

_BY = "service"


@dataclass(frozen=True)
class Promoted:
    """A promotion in force.

    Attributes:
        candidate: The models.
        fingerprint: Fingerprint of the models at that time.
        evidence: Figures of the comparison.
        when: UTC, ISO 8601.
        by: `service`; in files of release 0.1.0 also `itself`.
    """

    candidate: CandidateModels
    fingerprint: str
    evidence: dict[str, Any]
    when: str
    by: str


@dataclass(frozen=True)
class Promotions:
    """The content of the file.

    Attributes:
        parameters: The choice of the node's parameters when the first of `promoted` was promoted; None where none is.
        promoted: In order; the last one is active.
        history: All that was done, oldest first.
    """

    parameters: CandidateModels | None = None
    promoted: tuple[Promoted, ...] = ()
    history: tuple[dict[str, Any], ...] = field(default=())

    def active(self, parameters: CandidateModels) -> CandidateModels:
        """The models to load, with the node's parameters as they are now."""
        return self.promoted[-1].candidate if self.promoted and self.parameters == parameters else parameters

    def before(self, parameters: CandidateModels) -> CandidateModels | None:
        """The models to load after a rollback; None where nothing is promoted."""
        if not self.promoted or self.parameters != parameters:
            return None
        return self.promoted[-2].candidate if len(self.promoted) > 1 else parameters

    def promote(self, candidate: CandidateModels, parameters: CandidateModels, result: PairedResult) -> Promotions:
        """The promotions with the candidate's among them.

        Args:
            candidate: The models to promote.
            parameters: The choice of the node's parameters.
            result: Of the candidate's comparison with the active models.

        Raises:
            ValueError: The evidence is not there, or not enough, or of another comparison; one sentence.
        """
        arms = (self.active(parameters).fingerprint, candidate.fingerprint)
        if arms[0] == arms[1]:
            raise ValueError(f"{candidate.name} is active already")
        if result.arms != arms:
            raise ValueError("models, adapters or parameters have changed since the comparison: let it run again")
        if not result.promotable:
            raise ValueError(f"not promoted: {result}")
        new = Promoted(candidate, candidate.fingerprint, _evidence(result), _now(), _BY)
        # Those promoted over other parameters have lost their ground.
        before = self.promoted if self.parameters == parameters else ()
        return replace(self, parameters=parameters, promoted=(*before, new), history=self._extended("promoted", new))

    def rollback(self, parameters: CandidateModels) -> Promotions:
        """The promotions without the last one.

        Raises:
            ValueError: Nothing is promoted, over these parameters.
        """
        if self.before(parameters) is None:
            raise ValueError("nothing to roll back: the parameters' own choice is active")
        rest = self.promoted[:-1]
        history = self._extended("rolled back", self.promoted[-1])
        return replace(self, parameters=self.parameters if rest else None, promoted=rest, history=history)

    def _extended(self, what: str, promoted: Promoted) -> tuple[dict[str, Any], ...]:
        entry = {
            "what": what,
            "when": _now(),
            "by": _BY,
            "who": promoted.candidate.name,
            "fingerprint": promoted.fingerprint,
            "evidence": promoted.evidence,
        }
        return (*self.history, entry)[-MAX_HISTORY:]


def read_promotions(folder: Path) -> Promotions:
    """The promotions that are written down in a folder; none where there is no file.

    Raises:
        ValueError: The file is damaged; the sentence names it and says what to do.
        OSError: It can't be read.
    """
    path = folder / FILE
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return Promotions()
    try:
        if len(text) > MAX_BYTES:
            raise ValueError(f"it is larger than {MAX_BYTES} bytes")
        data = msgspec.convert(yaml.safe_load(text), _File)
        parameters = None if data.parameters is None else of_data(data.parameters)
        promoted = tuple(
            Promoted(of_data(each.candidate), each.fingerprint, each.evidence, each.when, each.by)
            for each in data.promoted
        )
        return Promotions(parameters, promoted, tuple(data.history))
    except (ValueError, msgspec.ValidationError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged ({' '.join(str(error).split())[:300]}): the parameters' own choice is active; mend the "
            "file, or move it away"
        ) from error


def write_promotions(folder: Path, promotions: Promotions) -> None:
    """Write promotions down; they are on the disk when this returns.

    Raises:
        OSError: It can't be written; those of before still are there.
    """
    data = {
        "parameters": None if promotions.parameters is None else to_data(promotions.parameters),
        "promoted": [{**asdict(each), "candidate": to_data(each.candidate)} for each in promotions.promoted],
        "history": list(promotions.history),
    }
    text = "# Written by the node: the models in place of those that its parameters choose. docs/shadow.md says more.\n"
    text += yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / FILE, text.encode())


class _Entry(msgspec.Struct):
    candidate: dict[str, Any]
    fingerprint: str
    evidence: dict[str, Any]
    when: str
    by: str


class _File(msgspec.Struct):
    parameters: dict[str, Any] | None = None
    promoted: list[_Entry] = []
    history: list[dict[str, Any]] = []


def _evidence(result: PairedResult) -> dict[str, Any]:
    figures = {name: value for name, value in asdict(result).items() if name not in ("arms", "no_worse")}
    figures["no_worse"] = [_rounded(asdict(one)) for one in result.no_worse]
    return _rounded(figures)


def _rounded(figures: dict[str, Any]) -> dict[str, Any]:
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in figures.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
