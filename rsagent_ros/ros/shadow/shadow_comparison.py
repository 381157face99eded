"""`ShadowComparison`: while the node is idle, a candidate answers its judged goals, beside the active models.

The comparison runs in a process of its own (`rsagent_ros.shadow`); here is when it may run.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from rclpy.impl.rcutils_logger import RcutilsLogger

from rsagent_ros.agent.errors import describe
from rsagent_ros.atomic_write import atomic_write
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.shadow.model_choice import shadow_folder
from rsagent_ros.ros.tracking.tracking import Tracking
from rsagent_ros.shadow.candidate import CandidateModels, read_candidate
from rsagent_ros.shadow.paired_result import PairedResult
from rsagent_ros.shadow.process import ShadowProcess

TICK = 0.2
"""Seconds between two looks at whether the node is idle. A goal need not wait for one to pause the comparison."""

SHADOW = "shadow"
"""Name of the thread."""


class ShadowComparison:
    """Runs while no goal is under way and nothing is tracked, after `shadow_idle` seconds of that. Thread-safe."""

    def __init__(self, log: RcutilsLogger, parameters: Callable[[], NodeParameters]) -> None:
        """Prepare; nothing is read or started yet.

        Args:
            log: Of the node.
            parameters: Gives the node's parameters as they are now.
        """
        self._log = log
        self._parameters = parameters
        self._lock = threading.Lock()
        self._goals = 0
        self._busy_at = time.monotonic()
        self._process: ShadowProcess | None = None
        self._candidate: CandidateModels | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._hindered = ""

    @property
    def candidate(self) -> CandidateModels | None:
        """The candidate; None while nothing is compared."""
        return self._candidate

    @property
    def result(self) -> PairedResult | None:
        """The newest figures; None before the first."""
        process = self._process
        return None if process is None else process.result

    @property
    def problem(self) -> str:
        """The reason why there is no comparison though there is a candidate, or why it failed; empty if all is well."""
        process = self._process
        return self._hindered or ("" if process is None else process.problem)

    def open(self, parameters: NodeParameters, active: CandidateModels, tracking: Tracking) -> None:
        """Compare while the node is idle from now on, where there is a candidate. What hinders it is told, not raised.

        Args:
            parameters: Of the node.
            active: The models that are loaded.
            tracking: Of the node; while it tracks, the node is not idle.
        """
        self._hindered = ""
        if not parameters.candidate:
            return
        try:
            folder = shadow_folder(parameters)
            if not parameters.record_dir or folder is None:
                raise ValueError(
                    "there is a candidate, but no record_dir: without records there is nothing to compare on"
                )
            candidate = read_candidate(Path(parameters.candidate).expanduser())
            if candidate.fingerprint == active.fingerprint:
                self._log.info(f"no comparison: the candidate, {candidate.name}, is active already")
                return
            command = _command(parameters, folder, active, candidate)
        except (ValueError, OSError, RuntimeError) as error:  # the last for the home of an unknown user
            self._hindered = str(error) if isinstance(error, ValueError) else describe(error)
            self._log.error(self._hindered)
            return
        with self._lock:
            self._candidate = candidate
            self._process = ShadowProcess(command, folder)
            self._busy_at = time.monotonic()
        self._over = threading.Event()
        self._thread = threading.Thread(
            target=self._watch, args=(self._process, tracking, self._over), name=SHADOW, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """End the comparison. Blocks for about a second at most."""
        self._over.set()
        with self._lock:
            thread, self._thread = self._thread, None
            process, self._process = self._process, None
            self._candidate = None
        if process is not None:
            process.close()
        if thread is not None:
            thread.join()

    def goal_begun(self) -> None:
        """Pause, at once: there is a goal. Does not block; `goal_ended` follows."""
        with self._lock:
            self._goals += 1
            self._pause()

    def goal_ended(self) -> None:
        """Count the idle time from now on, unless there are other goals. Does not block."""
        with self._lock:
            self._goals -= 1
            self._busy_at = time.monotonic()

    def facts(self) -> dict[str, object]:
        """Values for /diagnostics."""
        with self._lock:
            process, candidate = self._process, self._candidate
        if process is None or candidate is None:
            return {}
        facts: dict[str, object] = {
            "candidate": candidate.name,
            "comparison": process.state,
            "processes started": process.starts,
        }
        result = process.result
        if result is not None:
            facts |= {
                "goals": f"{result.goals} of {result.judged} judged, {result.needed} needed",
                "incumbent value": f"{result.incumbent:.3f}",
                "candidate value": f"{result.candidate:.3f}",
                "gain": f"{result.gain:+.3f} ({result.low:+.3f} to {result.high:+.3f})",
                "promotable": result.promotable,
                "obstacles": "; ".join(result.obstacles),
            }
        return facts

    def _watch(self, process: ShadowProcess, tracking: Tracking, over: threading.Event) -> None:
        """Let the comparison go on whenever the node has been idle for long enough."""
        while not over.wait(TICK):
            tracks, idle = tracking.facts()["followed"], self._parameters().shadow_idle
            with self._lock:  # else a goal could come between the look at the clock and the word to go
                if self._goals or tracks:
                    self._pause()
                elif time.monotonic() - self._busy_at >= idle:
                    process.go()

    def _pause(self) -> None:
        """Have the process pause; the lock is held."""
        self._busy_at = time.monotonic()
        if self._process is not None:
            self._process.pause()


def _command(
    parameters: NodeParameters, folder: Path, active: CandidateModels, candidate: CandidateModels
) -> list[str]:
    """The command of the comparison; its two arms are written down, so that it can be repeated by hand."""
    arms = {"incumbent": active, "candidate": candidate}
    folder.mkdir(parents=True, exist_ok=True)
    for name, arm in arms.items():
        atomic_write(folder / f"{name}.yaml", arm.text().encode())
    options = {
        **{f"--{name}": folder / f"{name}.yaml" for name in arms},
        "--out": folder,
        "--goals": parameters.shadow_goals,
        "--budget": parameters.time_budget,
        "--max-turns": parameters.max_turns,
        "--max-reply-tokens": parameters.max_reply_tokens,
        "--max-tokens": parameters.max_tokens,
        "--second-look-below": parameters.second_look_below,
    }
    words = [str(word) for pair in options.items() for word in pair]
    words += ["--second-look"] if parameters.second_look else []
    words += ["--cross-check"] if parameters.cross_check else []
    # -P: what lies in the working directory is not imported.
    records = str(Path(parameters.record_dir).expanduser())
    return [sys.executable, "-P", "-m", "rsagent_ros.shadow", records, *words]
