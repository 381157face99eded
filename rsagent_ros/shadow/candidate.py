"""A candidate: a choice of models that may take over, as a user writes it into a YAML file.

    policy: local
    segmenter: sam2
    settings:
      local.checkpoint: /models/qwen2.5-vl-7b-instruct
      local.lora: /models/adapters/2026-11-21
      sam2.checkpoint: /models/sam2.1-hiera-large

The file says all of it: what it leaves out is at its default, whatever the node's parameters are. So it means the same
on every machine and on every day.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rsagent_ros.backends import CONFIGS, DEFAULTS, SETTINGS, Choice
from rsagent_ros.yaml_file import from_plain, read_yaml


@dataclass(frozen=True)
class CandidateModels:
    """A choice of models, and the calibration that goes with it.

    Attributes:
        choice: Policy, segmenter, and what is set about them.
        calibration: File of `rsagent calibrate` that was made from these models' answers; empty for none.
    """

    choice: Choice = field(default_factory=Choice)
    calibration: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "choice", _bare(self.choice))

    @property
    def name(self) -> str:
        """Name for people: policy, segmenter, and what most often makes the difference."""
        choice = self.choice
        about = choice.settings.get("local.lora") or choice.settings.get("chat_server.model")
        about = about or choice.settings.get("local.checkpoint") or ""
        words = f"{choice.policy} ({about})" if about else choice.policy
        size = "" if choice.view_side == Choice.view_side else f", {choice.view_side} pixels"
        return f"{words} and {choice.segmenter}{size}"

    @property
    def fingerprint(self) -> str:
        """16 digits of a hash of what is chosen and of which weights are in the files that it names.

        Of files, name, size and time of change count: an adapter that is trained again in the same place is another
        one. What a model server has loaded under a name can't be seen from here.
        """
        files = {name: _files(value) for name, value in self.choice.settings.items() if isinstance(value, str)}
        known = json.dumps([asdict(self), files], sort_keys=True)
        return hashlib.sha256(known.encode()).hexdigest()[:16]

    def text(self) -> str:
        """These models as YAML that `read_candidate` reads."""
        return yaml.safe_dump(to_data(self), sort_keys=False, allow_unicode=True)


def to_data(candidate: CandidateModels) -> dict[str, Any]:
    """The mapping that a candidate's file holds."""
    return {**asdict(candidate.choice), "calibration": candidate.calibration}


@dataclass(frozen=True)
class _File:
    """The content of a file, checked."""

    policy: str = Choice.policy
    segmenter: str = Choice.segmenter
    fallback_policy: str = Choice.fallback_policy
    view_side: int = Choice.view_side
    settings: dict[str, bool | int | float | str] = field(default_factory=dict)
    calibration: str = ""

    def __post_init__(self) -> None:
        self.candidate()

    def candidate(self) -> CandidateModels:
        settings = {name: _value(name, value) for name, value in self.settings.items()}
        return CandidateModels(
            Choice(self.policy, self.segmenter, self.fallback_policy, self.view_side, settings), self.calibration
        )


def of_data(data: object) -> CandidateModels:
    """The candidate of such a mapping.

    Raises:
        ValueError: It holds what can't be; one clause that says what.
    """
    return from_plain(data, _File).candidate()


def read_candidate(path: Path) -> CandidateModels:
    """Read a candidate's file; the models that it names are not looked at.

    Raises:
        ValueError: It can't be read, or holds what can't be; one sentence with the file.
    """
    try:
        return read_yaml(path, _File).candidate()
    except ValueError as error:
        raise ValueError(f"candidate {error}; docs/shadow.md says what it holds") from error


def _value(name: str, value: bool | int | float | str) -> Any:
    """A setting's value in the type of its default: YAML writes 1 for 1.0."""
    if name not in SETTINGS:
        raise ValueError(f"there is no setting {name!r}; write it as in docs/parameters.md, such as local.lora")
    kind = type(DEFAULTS[name])
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(f"{name} is {value!r}; it must be of the kind of {DEFAULTS[name]!r}")
    return value


def _bare(choice: Choice) -> Choice:
    """The same choice without settings that are at their defaults, or of backends that are not chosen."""
    used = {choice.policy, choice.fallback_policy, choice.segmenter} & set(CONFIGS)
    settings: Mapping[str, Any] = {
        name: value
        for name, value in sorted(choice.settings.items())
        if name.partition(".")[0] in used and value != DEFAULTS[name]
    }
    return Choice(choice.policy, choice.segmenter, choice.fallback_policy, choice.view_side, settings)


def _files(value: str) -> list[tuple[str, int, int]]:
    """Names, sizes and times of change of the files at a path; none where the value is no path."""
    if not value:
        return []
    try:
        path = Path(value).expanduser()
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        stats = [(file.name, file.stat()) for file in files]
    except (OSError, ValueError, RuntimeError):  # the last for the home of an unknown user
        return []  # not a path, or not there (yet): who loads it says so
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
