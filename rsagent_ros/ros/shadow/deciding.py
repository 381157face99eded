"""Who decides in a node: its parameters, or who was promoted over them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rsagent_ros.backends import DEFAULTS, SETTINGS
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.shadow.candidate import Candidate
from rsagent_ros.shadow.promotion import Promotions, read_promotions, write_promotions


def own(parameters: NodeParameters) -> Candidate:
    """Who decides as far as the parameters are concerned."""
    return Candidate(parameters.choice, parameters.calibration)


def decided_by(candidate: Candidate, parameters: NodeParameters) -> NodeParameters:
    """The parameters with the candidate in the place of what they choose."""
    if candidate == own(parameters):
        return parameters
    choice = candidate.choice
    backends = {**DEFAULTS, **choice.settings}
    if choice.segmenter != "sam2":  # then only the tracker uses what is set about sam2, and that is not up to it
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
    """Where answers and promotions are; None where nothing is kept."""
    if parameters.shadow_dir:
        return Path(parameters.shadow_dir).expanduser()
    return Path(parameters.record_dir).expanduser() / "shadow" if parameters.record_dir else None


def remembered(parameters: NodeParameters) -> Promotions:
    """Who was promoted, as far as is written down.

    Raises:
        ValueError: The file is damaged.
        OSError: It can't be read.
    """
    folder = shadow_folder(parameters)
    return Promotions() if folder is None else read_promotions(folder)


def remember(parameters: NodeParameters, promotions: Promotions) -> None:
    """Write that down.

    Raises:
        OSError: It can't be written, or there is no folder for it any more.
    """
    folder = shadow_folder(parameters)
    if folder is None:
        raise OSError("neither shadow_dir nor record_dir is set any more")
    write_promotions(folder, promotions)
