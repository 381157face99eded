"""Who was promoted, when, on which evidence, and who decided before: one file that survives the robot.

    promoted.yaml
      parameters: {policy: ..., ...}      what the node's parameters chose when the first of them was promoted
      promoted:                           in order; the last one decides
        - {candidate: {...}, fingerprint: ..., evidence: {...}, when: ...}
      history:                            everything that was done, oldest first
        - {what: promoted, ...}
        - {what: rolled back, ...}

A promotion holds over the parameters that it was decided over. Who changes what they choose has decided since, and is
heeded; with the old values the promotion is in force again.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec
import yaml

from rsagent_ros.atomic_write import atomic_write
from rsagent_ros.shadow.candidate import Candidate, of_data, to_data
from rsagent_ros.shadow.paired_result import Standing

FILE = "promoted.yaml"
MAX_BYTES = 1_000_000
MAX_HISTORY = 200

By = Literal["service", "itself"]


@dataclass(frozen=True)
class Promoted:
    """Somebody who was promoted.

    Attributes:
        candidate: Who.
        fingerprint: The candidate's at that time.
        evidence: The contest's standing.
        when: UTC, ISO 8601.
        by: A service call, or the node itself.
    """

    candidate: Candidate
    fingerprint: str
    evidence: dict[str, Any]
    when: str
    by: str


@dataclass(frozen=True)
class Promotions:
    """What the file holds.

    Attributes:
        parameters: What the node's parameters chose when the first of `promoted` was promoted; None where nobody is.
        promoted: In order; the last one decides.
        history: All that was done, oldest first.
    """

    parameters: Candidate | None = None
    promoted: tuple[Promoted, ...] = ()
    history: tuple[dict[str, Any], ...] = field(default=())

    def deciding(self, parameters: Candidate) -> Candidate:
        """Who decides, with the node's parameters as they are now."""
        return self.promoted[-1].candidate if self.promoted and self.parameters == parameters else parameters

    def before(self, parameters: Candidate) -> Candidate | None:
        """Who would decide after a rollback; None where nobody is promoted."""
        if not self.promoted or self.parameters != parameters:
            return None
        return self.promoted[-2].candidate if len(self.promoted) > 1 else parameters

    def was_rolled_back(self, fingerprint: str) -> bool:
        """Whether somebody has rolled back that very one: the node does not promote it by itself again."""
        done = [entry for entry in self.history if entry.get("fingerprint") == fingerprint]
        return bool(done) and done[-1].get("what") == "rolled back"

    def promote(self, candidate: Candidate, parameters: Candidate, standing: Standing, by: By) -> Promotions:
        """With the candidate promoted.

        Args:
            candidate: Who is to decide.
            parameters: What the node's parameters choose.
            standing: Of its contest against who decides now.
            by: Who asks.

        Raises:
            ValueError: The evidence is not there, or not enough, or of another contest; one sentence.
        """
        here = (self.deciding(parameters).fingerprint, candidate.fingerprint)
        if here[0] == here[1]:
            raise ValueError(f"{candidate.name} decides already")
        if standing.sides != here:
            raise ValueError("models, adapters or parameters have changed since the contest: let it be played again")
        if not standing.promotable:
            raise ValueError(f"not promoted: {standing}")
        new = Promoted(candidate, candidate.fingerprint, _evidence(standing), _now(), by)
        # Those promoted over other parameters have lost their ground.
        before = self.promoted if self.parameters == parameters else ()
        return replace(
            self,
            parameters=parameters,
            promoted=(*before, new),
            history=self._and("promoted", new, by),
        )

    def rollback(self, parameters: Candidate) -> Promotions:
        """With the last one that was promoted no longer so.

        Raises:
            ValueError: Nobody is promoted, over these parameters.
        """
        if self.before(parameters) is None:
            raise ValueError("nothing to roll back: the parameters' own choice decides")
        rest = self.promoted[:-1]
        history = self._and("rolled back", self.promoted[-1], "service")
        return replace(self, parameters=self.parameters if rest else None, promoted=rest, history=history)

    def _and(self, what: str, who: Promoted, by: By) -> tuple[dict[str, Any], ...]:
        entry = {
            "what": what,
            "when": _now(),
            "by": by,
            "who": who.candidate.name,
            "fingerprint": who.fingerprint,
            "evidence": who.evidence,
        }
        return (*self.history, entry)[-MAX_HISTORY:]


def read_promotions(folder: Path) -> Promotions:
    """What is remembered in a folder; nothing where there is no file.

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
            f"{path} is damaged ({' '.join(str(error).split())[:300]}): the parameters' own choice decides; mend the "
            "file, or move it away"
        ) from error


def write_promotions(folder: Path, promotions: Promotions) -> None:
    """Remember; it is on the disk when this returns.

    Raises:
        OSError: It can't be written; what was remembered before still is.
    """
    data = {
        "parameters": None if promotions.parameters is None else to_data(promotions.parameters),
        "promoted": [{**asdict(each), "candidate": to_data(each.candidate)} for each in promotions.promoted],
        "history": list(promotions.history),
    }
    text = "# Written by the node: who decides in place of its parameters. docs/shadow.md says more.\n"
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


def _evidence(standing: Standing) -> dict[str, Any]:
    figures = {name: value for name, value in asdict(standing).items() if name not in ("sides", "cleared")}
    return {name: round(value, 6) if isinstance(value, float) else value for name, value in figures.items()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
