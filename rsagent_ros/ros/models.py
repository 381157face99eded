"""The node's policy, segmenter and tracker: loaded when it is configured, and tried before the first goal comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from pathlib import Path

import numpy as np

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.backends import Models, open_models
from rsagent_ros.baseline.tracker import ClassicalTracker
from rsagent_ros.confidence import Calibration, load
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.trackers import Tracker

LOADER = "loader"
"""Name of the thread that loads."""

WARM_UP_SECONDS = 120.0
"""The first turn of a large model may compile kernels."""


Load = Callable[[NodeParameters], Models]


def load_models(parameters: NodeParameters) -> Models:
    """Policy and segmenter as the parameters name them; blocks while they load."""
    return open_models(parameters.choice)


def open_tracker(parameters: NodeParameters) -> Tracker:
    """Load the tracker that the parameters name; blocks meanwhile. Its network serves all tracks.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: it can't be used; one sentence that says what to do. OUT_OF_MEMORY.
    """
    if parameters.tracker == "classical":
        return ClassicalTracker()
    config = parameters.choice.config(Sam2Config, "sam2")
    try:
        from rsagent_ros.trackers.sam2_video import open_sam2_tracker
    except ImportError as error:
        needed = f"the tracker sam2_video needs torch and transformers ({error})"
        sentence = f"{needed}; in the checkout: pip install -e '.[models]'"
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, sentence) from error
    tracker = open_sam2_tracker(config)
    if parameters.warm_up:
        tracker.warm_up()
    return tracker


def load_and_warm_up(make: Load, parameters: NodeParameters, stopping: Callable[[], bool]) -> Models:
    """Load, and take one turn where the parameters say so. Blocks until done, or until `stopping` says so.

    Raises:
        RunFailed: A model can't be used, or the wait was broken off.
        Exception: Whatever `make` raises.
    """
    loading: Future[Models] = Future()

    def work() -> None:
        try:
            models = make(parameters)
            try:
                models.tracker = open_tracker(parameters)
                if parameters.warm_up:
                    warm_up(models)
            except BaseException:  # what is loaded is freed, whatever ended the work
                models.close()
                raise
            loading.set_result(models)
        except BaseException as error:  # belongs to the thread that waits
            loading.set_exception(error)

    # In a thread that nobody has to wait for: the node can be stopped while a model hangs in its loading.
    threading.Thread(target=work, name=LOADER, daemon=True).start()
    while not wait([loading], timeout=0.1).done:
        if stopping():
            raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, "the node was stopped while its models were loaded")
    return loading.result()


def load_calibration(parameters: NodeParameters, models: Models) -> Calibration | None:
    """Load the calibration that the parameters name; None where they name none.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: the file is missing, broken, or of another policy or segmenter.
    """
    if not parameters.calibration:
        return None
    try:
        calibration = load(Path(parameters.calibration))
    except (OSError, ValueError) as error:
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, f"calibration: {error}") from error
    made_for, here = (calibration.policy, calibration.segmenter), (models.policy.name, models.segmenter.name)
    if made_for != here:
        raise RunFailed(
            ErrorCode.MODEL_UNAVAILABLE,
            f"calibration: {parameters.calibration} was made for {' and '.join(made_for)}, and these are "
            f"{' and '.join(here)}: evaluate with them, and run `rsagent calibrate` again",
        )
    return calibration


def warm_up(models: Models) -> None:
    """One turn on a grey image, so that faults show, and what is built at first use is built, before the first goal.

    Raises:
        RunFailed: A model can't be used.
    """
    grey = np.full((240, 320, 3), 128, dtype=np.uint8)
    budget = Budget(seconds=WARM_UP_SECONDS, max_turns=1)
    result = drive(
        Episode(
            grey, "warm-up", models.segmenter, budget, policy_name=models.policy.name, pictures=models.policy.pictures
        ),
        models.policy,
    )
    if result.outcome is Outcome.FAILED:
        raise RunFailed(result.error_code, result.error_msg)
