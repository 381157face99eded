"""What `/diagnostics` says about the node: its goals, its camera, its models."""

from __future__ import annotations

from collections.abc import Mapping

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.backends import Models
from rsagent_ros.policies.fallback import FallbackPolicy
from rsagent_ros.ros.frames import Camera
from rsagent_ros.ros.goals import Run
from rsagent_ros.ros.recording import Recorder
from rsagent_ros.ros.verdicts import Verdicts

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def goals_status(
    name: str, running: Run | None, outcomes: Mapping[Outcome, int], verdicts: Verdicts
) -> DiagnosticStatus:
    """What it is doing, and how goals ended since it started."""
    message = "idle" if running is None else f"running goal {running.request.id!r}"
    counts = {f"goals {outcome}": outcomes.get(outcome, 0) for outcome in Outcome}
    return _status(
        f"{name}: goals",
        OK,
        message,
        counts | {"verdicts accepted": verdicts.accepted, "verdicts refused": verdicts.refused},
    )


def camera_status(name: str, camera: Camera, mode: str, *, active: bool) -> DiagnosticStatus:
    """Whether somebody publishes, and what is kept."""
    publishers = camera.publishers
    frames, seconds, megabytes = camera.buffered
    level, message = OK, f"{publishers} publisher(s) on {camera.topic}"
    if active and not publishers:
        level, message = WARN, f"no publisher on {camera.topic}"
    elif active and mode == "always" and not frames:
        level, message = WARN, f"no frame on {camera.topic} yet"
    return _status(
        f"{name}: camera",
        level,
        message,
        {
            "mode": mode,
            "topic": camera.topic,
            "publishers": publishers,
            "frames received": camera.received,
            "frames buffered": frames,
            "seconds buffered": f"{seconds:.2f}",
            "megabytes buffered": f"{megabytes:.1f}",
        },
    )


def models_status(name: str, state: str, models: Models | None, problem: str, overdue: float) -> DiagnosticStatus:
    """Whether policy and segmenter are loaded, and come back.

    Args:
        name: Of the node.
        state: Of the lifecycle.
        models: Policy and segmenter; None while they are not loaded.
        problem: Why they are not loaded; empty if nothing went wrong.
        overdue: Seconds that they have hung since their goal ended; 0 when they do not.
    """
    level, message = OK, "ready" if models else "not loaded"
    if problem:
        level, message = ERROR, problem
    elif overdue:
        level, message = ERROR, f"hung for {overdue:.1f} s; goals are refused"
    elif lost := models.lost if models else "":
        level, message = WARN, f"degraded: {lost}"
    values: dict[str, object] = {"state": state, "hung": f"{overdue:.1f}"}
    if models is not None:
        values |= {"policy": models.policy.name, "segmenter": models.segmenter.name}
        if isinstance(models.policy, FallbackPolicy):
            values["degraded replies"] = models.policy.status.degraded_replies
    return _status(f"{name}: models", level, message, values)


def records_status(name: str, recorder: Recorder) -> DiagnosticStatus:
    """Whether goals are stored, and where."""
    level, message = OK, f"recording to {recorder.folder}" if recorder.folder else "not recording"
    if recorder.problem:
        level, message = ERROR, recorder.problem
    values = {
        "folder": recorder.folder,
        "goals stored": recorder.goals,
        "verdicts stored": recorder.verdicts,
        "not stored": recorder.lost,
        "megabytes": f"{recorder.megabytes:.1f}",
    }
    return _status(f"{name}: records", level, message, values)


def _status(name: str, level: bytes, message: str, values: Mapping[str, object]) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(name=name, level=level, message=message, values=pairs)
