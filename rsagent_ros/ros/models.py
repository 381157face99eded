"""Policy and segmenter of the node: loaded when it is configured, and tried before the first goal comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait

import numpy as np

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.backends import Models, open_models
from rsagent_ros.ros.parameters import NodeParameters

LOADING = "loading"
"""Name of the thread that loads."""

WARM_UP_SECONDS = 120.0
"""The first turn of a large model may compile kernels."""


Load = Callable[[NodeParameters], Models]


def load_models(parameters: NodeParameters) -> Models:
    """Policy and segmenter as the parameters name them; blocks while they load."""
    return open_models(parameters.choice)


def load_and_warm_up(load: Load, parameters: NodeParameters, stopping: Callable[[], bool]) -> Models:
    """Load, and take one turn where the parameters say so. Blocks until done, or until `stopping` says so.

    Raises:
        RunFailed: A model can't be used, or the wait was broken off.
        Exception: Whatever `load` raises.
    """
    loading: Future[Models] = Future()

    def work() -> None:
        try:
            models = load(parameters)
            try:
                if parameters.warm_up:
                    warm_up(models)
            except BaseException:
                models.close()
                raise
            loading.set_result(models)
        except BaseException as error:
            loading.set_exception(error)

    # In a thread that nobody has to wait for: the node can be stopped while a model hangs in its loading.
    threading.Thread(target=work, name=LOADING, daemon=True).start()
    while not wait([loading], timeout=0.1).done:
        if stopping():
            raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, "the node was stopped while its models were loaded")
    return loading.result()


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
