"""The statuses of `/diagnostics`: goals, cameras, models, records, tracking and shadow comparison."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from statistics import median

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.backends import Models
from rsagent_ros.policies.fallback import FallbackPolicy
from rsagent_ros.ros.camera.camera import Camera
from rsagent_ros.ros.goals.goal_queue import GoalQueue
from rsagent_ros.ros.goals.publishers import Publishers
from rsagent_ros.ros.goals.recorder import Recorder
from rsagent_ros.ros.goals.verdicts import Verdicts
from rsagent_ros.ros.poses.poses import Poses
from rsagent_ros.ros.shadow.model_selection import ModelSelection
from rsagent_ros.ros.shadow.shadow_comparison import ShadowComparison
from rsagent_ros.ros.tracking.tracking import Tracking

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


def goals_status(name: str, queue: GoalQueue, publishers: Publishers, verdicts: Verdicts) -> DiagnosticStatus:
    """The running goal, how goals ended since the node started, and how long the last ones took."""
    running = queue.running
    message = "idle" if running is None else f"running goal {running.request.id!r}"
    values: dict[str, object] = {f"goals {outcome}": publishers.outcomes.get(outcome, 0) for outcome in Outcome}
    values |= {"waiting": queue.waiting}
    seconds = sorted(publishers.seconds)
    if seconds:
        values |= {"median seconds": f"{median(seconds):.3f}", "slowest seconds": f"{seconds[-1]:.3f}"}
    values |= {"verdicts accepted": verdicts.accepted, "verdicts refused": verdicts.refused}
    return _status(f"{name}: goals", OK, message, values)


def camera_status(name: str, camera: Camera, max_frame_age: float, *, active: bool) -> DiagnosticStatus:
    """Whether somebody publishes, what is kept, and how old the newest of that is."""
    span, mode = camera.span, "on_demand" if camera.on_demand else "always"
    age = None if span is None else (camera.now() - span[1]) / 1e9
    publishers = camera.publishers
    frames, seconds, megabytes = camera.buffered
    level, message = OK, f"{publishers} publisher(s) on {camera.topic}"
    if active and not publishers:
        level, message = WARN, f"no publisher on {camera.topic}"
    elif active and mode == "always" and not frames:
        level, message = WARN, f"no frame on {camera.topic} yet"
    elif active and mode == "always" and age is not None and age > max_frame_age:
        level, message = WARN, f"the newest frame of {camera.topic} is {age:.2f} s old"
    return _status(
        f"{name}: camera {camera.name}".rstrip(),
        level,
        message,
        {
            "mode": mode,
            "topic": camera.topic,
            "publishers": publishers,
            "frames received": camera.received,
            "seconds since the last frame": "" if age is None else f"{age:.2f}",
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
        level, message = ERROR, f"hung for {overdue:.1f} s; goals wait for it within their time, and fail then"
    elif lost := models.lost if models else "":
        level, message = WARN, f"degraded: {lost}"
    values: dict[str, object] = {"state": state, "hung": f"{overdue:.1f}"}
    if models is not None:
        values |= {"policy": models.policy.name, "segmenter": models.segmenter.name}
        if isinstance(models.policy, FallbackPolicy):
            values["degraded replies"] = models.policy.status.degraded_replies
    values |= _gpu_memory()
    return _status(f"{name}: models", level, message, values)


def _gpu_memory() -> dict[str, object]:
    """Memory of this process and of the whole GPU; nothing where no backend has brought torch to a GPU."""
    torch = sys.modules.get("torch")
    if not hasattr(getattr(torch, "cuda", None), "mem_get_info"):  # not there, or still being imported
        return {}
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return {}
    free, total = torch.cuda.mem_get_info()
    return {
        "GPU megabytes, this node": f"{torch.cuda.memory_reserved() / 1e6:.0f}",
        "GPU megabytes, free": f"{free / 1e6:.0f} of {total / 1e6:.0f}",
    }


def records_status(name: str, recorder: Recorder) -> DiagnosticStatus:
    """Whether goals are stored, and where."""
    level, message = OK, f"recording to {recorder.folder}" if recorder.folder else "not recording"
    if recorder.problem:
        level, message = ERROR, recorder.problem
    values = {
        "folder": recorder.folder,
        "waiting for the disk": recorder.waiting,
        "goals stored": recorder.goals,
        "verdicts stored": recorder.verdicts,
        "not stored": recorder.lost,
        "megabytes": f"{recorder.megabytes:.1f}",
    }
    return _status(f"{name}: records", level, message, values)


def tracking_status(name: str, tracking: Tracking | None, poses: Poses) -> DiagnosticStatus:
    """The objects that are tracked and how fast, and why they have no pose."""
    facts = {} if tracking is None else tracking.facts()
    level, message = OK, f"following {facts['followed']}" if facts.get("followed") else "following nothing"
    if facts.get("lost"):
        level, message = WARN, f"{message}, {facts['lost']} of them lost"
    facts |= {"poses": poses.count, "no pose because": poses.problem, "not moved because": poses.transform_problem}
    return _status(f"{name}: tracking", level, message, facts)


def shadow_status(name: str, selection: ModelSelection, comparison: ShadowComparison) -> DiagnosticStatus:
    """The active models, and how a candidate does against them."""
    active, facts = selection.active, comparison.facts()
    level, message = OK, f"comparison {facts['comparison']}" if facts else "no comparison"
    if facts.get("promotable"):
        message = f"{message}: the candidate is better, and can be promoted"
    problem = selection.problem or comparison.problem
    if problem:
        level, message = WARN, problem
    return _status(f"{name}: shadow", level, message, {"active": "" if active is None else active.name} | facts)


def _status(name: str, level: bytes, message: str, values: Mapping[str, object]) -> DiagnosticStatus:
    pairs = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    return DiagnosticStatus(name=name, level=level, message=message, values=pairs)
