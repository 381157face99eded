"""The models that a node's parameters choose, those of a candidate in their place, and the file of promotions."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rsagent_ros.backends import DEFAULTS, SETTINGS
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.shadow.candidate import CandidateModels
from rsagent_ros.shadow.promotion import Promotions, read_promotions, write_promotions


def chosen_by(parameters: NodeParameters) -> CandidateModels:
    """The models that the parameters choose."""
    return CandidateModels(parameters.choice, parameters.calibration)


def with_models(candidate: CandidateModels, parameters: NodeParameters) -> NodeParameters:
    """The parameters with a candidate's models in the place of their own."""
    if candidate == chosen_by(parameters):
        return parameters
    choice = candidate.choice
    backends = {**DEFAULTS, **choice.settings}
    if choice.segmenter != "sam2":  # then only the tracker uses the settings of sam2, and a candidate has no say in it
        backends |= {name: value for name, value in parameters.backends.items() if name.startswith("sam2.")}
    return replace(
        parameters,
        policy=choice.policy,
        segmenter=choice.segmenter,
        fallback_policy=choice.fallback_policy,
        view_side=choice.view_side,
        calibration=candidate.calibration,
        backends={name: backends[name] for name in SETTINGS},
    )


def shadow_folder(parameters: NodeParameters) -> Path | None:
    """Folder of answers and promotions; None where nothing is kept."""
    if parameters.shadow_dir:
        return Path(parameters.shadow_dir).expanduser()
    return Path(parameters.record_dir).expanduser() / "shadow" if parameters.record_dir else None


def stored_promotions(parameters: NodeParameters) -> Promotions:
    """The promotions that are written down; none where there is no file.

    Raises:
        ValueError: The file is damaged.
        OSError: It can't be read.
    """
    folder = shadow_folder(parameters)
    return Promotions() if folder is None else read_promotions(folder)


def store_promotions(parameters: NodeParameters, promotions: Promotions) -> None:
    """Write promotions down; they are on the disk when this returns.

    Raises:
        OSError: They can't be written, or there is no folder for them any more.
    """
    folder = shadow_folder(parameters)
    if folder is None:
        raise OSError("neither shadow_dir nor record_dir is set any more")
    write_promotions(folder, promotions)
