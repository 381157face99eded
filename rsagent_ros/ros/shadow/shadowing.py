"""The node's shadow: a candidate plays the day's judged goals while the node is idle, and may be promoted.

This is when it plays, and what a promotion is for the node; the contest itself is `rsagent_ros.shadow`, and who decides
is `deciding`.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.node import Node

from rsagent_ros.agent.errors import describe
from rsagent_ros.atomic_write import atomic_write
from rsagent_ros.ros.parameters import NodeParameters
from rsagent_ros.ros.shadow.deciding import own, remember, remembered, shadow_folder
from rsagent_ros.shadow.candidate import Candidate, read_candidate
from rsagent_ros.shadow.paired_result import Standing
from rsagent_ros.shadow.process import ShadowProcess
from rsagent_ros.shadow.promotion import By
from rsagent_ros.srv import Promotion

TICK = 0.2
"""Seconds between two looks at whether the node is idle. A goal does not wait for one: it pauses the contest itself."""

RETRY = 1.0
"""Seconds between two tries of the node to promote by itself, at least."""

Switch = Callable[[Sequence[Candidate], bool], str]
"""Makes the node load the first of these that can be loaded; only when it is idle, or in any case. Says why not."""


class _RefusedError(Exception):
    """There is no promotion; the message says why."""


class _BusyError(_RefusedError):
    """Not now."""


class Shadowing:
    """Who decides in this node, and the contest about who should. Thread-safe."""

    def __init__(
        self, log: RcutilsLogger, parameters: Callable[[], NodeParameters], busy: Callable[[], bool], switch: Switch
    ) -> None:
        """Nothing is read or started yet.

        Args:
            log: Of the node.
            parameters: Its newest values.
            busy: Whether it has anything to do.
            switch: Changes who decides, see Switch; blocks while models load.
        """
        self._log = log
        self._parameters = parameters
        self._busy = busy
        self._switch = switch
        self._lock = threading.Lock()
        self._disturbed = time.monotonic()
        self._shadow: ShadowProcess | None = None
        self._candidate: Candidate | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._deciding: Candidate | None = None
        self._over_what = Candidate()
        """Whom the parameters chose when the models were loaded."""
        self._tried: set[tuple[str, ...]] = set()
        self._again = 0.0
        self._undecided = ""
        """Why who was promoted does not decide."""
        self._unplayed = ""
        """Why there is no contest though there is a candidate."""

    def serve(self, node: Node) -> None:
        """Answer `~/promote` and `~/rollback`, in a thread of the executor that nothing else needs."""

        def answer(
            do: Callable[[], tuple[bool, str]], request: Promotion.Request, response: Promotion.Response
        ) -> Promotion.Response:
            response.success, response.message = do()
            return response

        group = MutuallyExclusiveCallbackGroup()
        node.create_service(Promotion, "~/promote", partial(answer, self.promote), callback_group=group)
        node.create_service(Promotion, "~/rollback", partial(answer, self.rollback), callback_group=group)

    # Who decides -----------------------------------------------------------------------------------------------------

    def choices(self, parameters: NodeParameters, switched: Sequence[Candidate] = ()) -> Sequence[Candidate]:
        """Who is to be loaded, best first: who was promoted, then whom the parameters choose.

        Args:
            parameters: As they are now.
            switched: Of a switch under way: it is up to that, then.
        """
        self._undecided = ""
        if switched:
            return switched
        mine = own(parameters)
        try:
            promoted = remembered(parameters).deciding(mine)
        except (ValueError, OSError) as error:
            self._undecided = self._complained(_sentence(error))
            return [mine]
        return [mine] if promoted == mine else [promoted, mine]

    def decides(self, candidate: Candidate, parameters: NodeParameters, because: str) -> None:
        """Take note of who was loaded, and why somebody else was not (empty: nobody else was tried)."""
        self._deciding, self._over_what = candidate, own(parameters)
        if because:
            self._undecided = self._complained(f"{because}; {candidate.name} decides instead")
        elif candidate != own(parameters):
            self._log.info(f"{candidate.name} decides: it was promoted, see {shadow_folder(parameters)}")

    # The contest -----------------------------------------------------------------------------------------------------

    def open(self, parameters: NodeParameters) -> None:
        """Play while the node is idle from now on, where there is a candidate. What hinders it is told, not raised."""
        self._unplayed = ""
        if not parameters.candidate or self._deciding is None:
            return
        try:
            folder = shadow_folder(parameters)
            if not parameters.record_dir or folder is None:
                raise ValueError("there is a candidate, but no record_dir: without records there is nothing to play")
            candidate = read_candidate(Path(parameters.candidate).expanduser())
            if candidate.fingerprint == self._deciding.fingerprint:
                self._log.info(f"no contest: the candidate, {candidate.name}, decides already")
                return
            command = _command(parameters, folder, self._deciding, candidate)
        except (ValueError, OSError, RuntimeError) as error:  # the last for the home of an unknown user
            self._unplayed = self._complained(_sentence(error))
            return
        self._candidate = candidate
        self._shadow = ShadowProcess(command, folder)
        self._over = threading.Event()
        self.disturb()
        self._thread = threading.Thread(
            target=self._watch, args=(self._shadow, candidate, self._over), name="shadowing", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop playing. Blocks for about a second at most."""
        self._over.set()
        thread, self._thread = self._thread, None
        shadow, self._shadow = self._shadow, None
        self._candidate = None
        if shadow is not None:
            shadow.close()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def disturb(self) -> None:
        """The node has something to do: the contest pauses at once. Does not block."""
        with self._lock:
            self._disturbed = time.monotonic()
            if self._shadow is not None:
                self._shadow.pause()

    def facts(self) -> dict[str, object]:
        """For /diagnostics."""
        shadow, candidate = self._shadow, self._candidate
        facts: dict[str, object] = {"decides": "" if self._deciding is None else self._deciding.name}
        if shadow is None or candidate is None:
            return facts
        facts |= {"candidate": candidate.name, "contest": shadow.state, "processes started": shadow.starts}
        standing = shadow.standing
        if standing is not None:
            facts |= {
                "goals": f"{standing.goals} of {standing.judged} judged, {standing.needed} needed",
                "incumbent gIoU": f"{standing.incumbent:.3f}",
                "candidate gIoU": f"{standing.candidate:.3f}",
                "gain": f"{standing.gain:+.3f} ({standing.low:+.3f} to {standing.high:+.3f})",
                "promotable": standing.promotable,
            }
        return facts

    @property
    def trouble(self) -> str:
        """What is wrong with the contest or with who decides; empty if nothing is."""
        shadow = self._shadow
        return self._undecided or self._unplayed or ("" if shadow is None else shadow.problem)

    def _watch(self, shadow: ShadowProcess, candidate: Candidate, over: threading.Event) -> None:
        """Let the contest go on whenever the node has been idle for long enough."""
        while not over.wait(TICK):
            if self._busy():
                self.disturb()
                continue
            parameters = self._parameters()
            with self._lock:  # else a goal could come between the look at the clock and the word to go
                idle = time.monotonic() - self._disturbed >= parameters.shadow_idle
                if idle:
                    shadow.go()
            standing = shadow.standing
            if idle and parameters.promote_by_itself and standing is not None and standing.cleared:
                self._by_itself(standing, candidate, over, parameters)

    def _by_itself(
        self, standing: Standing, candidate: Candidate, over: threading.Event, parameters: NodeParameters
    ) -> None:
        """Promote the candidate without being asked, where it is better and that can be done; else perhaps later."""
        contest = (*standing.sides, own(parameters).fingerprint)
        if not standing.promotable or contest in self._tried or time.monotonic() < self._again:
            return
        try:
            self._told(True, self._promote("itself"))
        except _BusyError as refusal:  # nothing was changed, because a goal came just then: once more, later
            self._told(False, str(refusal))
            self.disturb()
        except _RefusedError as refusal:
            if over.is_set():  # it was loaded, or could not be: once is enough
                self._tried.add(contest)
            if (*contest, str(refusal)) not in self._tried:
                self._told(False, str(refusal))
            self._tried.add((*contest, str(refusal)))  # as often as it is tried, this is said once
            self._again = time.monotonic() + max(RETRY, parameters.shadow_idle)

    # Promotion -------------------------------------------------------------------------------------------------------

    def promote(self, by: By = "service") -> tuple[bool, str]:
        """Let the candidate decide from now on; blocks while its models load.

        Returns:
            Whether it does, and a sentence.
        """
        try:
            return self._told(True, self._promote(by))
        except _RefusedError as refusal:
            return self._told(False, str(refusal))

    def _promote(self, by: By) -> str:
        """Do it, and say so.

        Raises:
            _BusyError: A goal runs or waits; nothing was changed.
            _RefusedError: It can't be done, or was undone.
        """
        parameters, shadow, candidate, before = self._parameters(), self._shadow, self._candidate, self._deciding
        mine = own(parameters)
        if shadow is None or candidate is None or before is None:
            why = self._undecided or self._unplayed or "there is no contest under way"
            raise _RefusedError(f"nothing to promote: {why}")
        standing = shadow.standing
        if standing is None:
            why = f": {shadow.problem}" if shadow.problem else f"; shadow_idle is {parameters.shadow_idle:g} s"
            raise _RefusedError(f"not promoted: the contest has not begun yet{why}")
        if shadow.problem:  # a goal that takes the process down would never count
            raise _RefusedError(f"not promoted: the contest has failed, and not gone on since: {shadow.problem}")
        self._check_taken_over(mine)
        try:
            state = remembered(parameters)
            if by == "itself" and state.was_rolled_back(candidate.fingerprint):
                raise ValueError(f"{candidate.name} is not promoted: somebody has rolled it back")
            if state.deciding(mine) != before:
                raise ValueError(
                    f"not promoted: {state.deciding(mine).name} was promoted before and can't be loaded; call "
                    "~/rollback first"
                )
            after = state.promote(candidate, mine, standing, by)
        except (ValueError, OSError) as error:
            raise _RefusedError(_sentence(error)) from error
        refusal = self._switch([candidate, before], True)
        if refusal:
            raise _BusyError(f"not promoted: {refusal}")
        if self._deciding != candidate:
            raise _RefusedError(f"not promoted: {self._undecided}")
        # Only now: a robot that loses power while it tries a candidate comes back with who decided before.
        try:
            remember(parameters, after)
        except OSError as error:
            self._switch([before], False)
            raise _RefusedError(f"not promoted, because it can't be written down: {_sentence(error)}") from error
        return f"promoted {candidate.name}: {standing}"

    def rollback(self) -> tuple[bool, str]:
        """Let whoever decided before the last promotion decide again; blocks while models load.

        Unlike a promotion it does not wait for the goal that runs, which ends as SHUTDOWN.

        Returns:
            Whether he does, and a sentence.
        """
        parameters = self._parameters()
        mine = own(parameters)
        try:
            self._check_taken_over(mine)
            state = remembered(parameters)
            after = state.rollback(mine)
        except _RefusedError as refusal:
            return self._told(False, str(refusal))
        except (ValueError, OSError) as error:
            return self._told(False, _sentence(error))
        before, target = state.deciding(mine), after.deciding(mine)
        unswitched = self._switch([target, before], False)
        if unswitched:
            return self._told(False, f"not rolled back: {unswitched}")
        if self._deciding != target:
            return self._told(False, f"not rolled back: {self._undecided}")
        try:
            remember(parameters, after)
        except OSError as error:
            warning = f"but {before.name} will after a restart, because it can't be written down: {_sentence(error)}"
            return self._told(True, f"rolled back: {target.name} decides, {warning}")
        return self._told(True, f"rolled back: {target.name} decides")

    def _told(self, done: bool, sentence: str) -> tuple[bool, str]:
        if done:
            self._log.info(sentence)
        else:
            self._log.warning(sentence)
        return done, sentence

    def _check_taken_over(self, mine: Candidate) -> None:
        """That the parameters are still those that the models were loaded by.

        Raises:
            _RefusedError: They are not.
        """
        if self._deciding is not None and mine != self._over_what:
            raise _RefusedError(
                "the parameters choose others than those that were loaded: deactivate, clean up and configure the "
                "node first"
            )

    def _complained(self, sentence: str) -> str:
        self._log.error(sentence)
        return sentence


def _command(parameters: NodeParameters, folder: Path, incumbent: Candidate, candidate: Candidate) -> list[str]:
    """The worker's command; what its sides are is written down, so that it can be repeated by hand."""
    sides = {"incumbent": incumbent, "candidate": candidate}
    folder.mkdir(parents=True, exist_ok=True)
    for name, side in sides.items():
        atomic_write(folder / f"{name}.yaml", side.text().encode())
    options = {
        **{f"--{name}": folder / f"{name}.yaml" for name in sides},
        "--out": folder,
        "--goals": parameters.shadow_goals,
        "--budget": parameters.time_budget,
        "--max-turns": parameters.max_turns,
        "--max-reply-tokens": parameters.max_reply_tokens,
        "--max-tokens": parameters.max_tokens,
    }
    words = [str(word) for pair in options.items() for word in pair]
    words += ["--second-look"] if parameters.second_look else []
    # -P: what lies in the working directory is not imported.
    records = str(Path(parameters.record_dir).expanduser())
    return [sys.executable, "-P", "-m", "rsagent_ros.shadow", records, *words]


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, ValueError) else describe(error)
