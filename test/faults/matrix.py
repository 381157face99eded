"""The fault matrix: what is injected, how goals have to end, and what was seen, as one line of `out/faults.json`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from faults.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "out/faults.json"

AIM = 0.5
"""Seconds within which a goal should end after it was due: its budget was spent, or it was told to end."""

BOUND = 2.5
"""Seconds within which it has to for the test to pass: machines of CI stall for longer than the aim."""


@dataclass(frozen=True)
class Setup:
    """The agent that a row needs; rows with equal ones share it.

    Attributes:
        name: For the test's id.
        parameters: `name:=value` of the node.
        server: Real program, with a model server for its policy, instead of models that fail by request.
        simulated: The node's clock is a simulation's.
        killed: It will be: it must not use shared memory, which would stay behind.
    """

    name: str
    parameters: tuple[str, ...] = ()
    server: bool = False
    simulated: bool = False
    killed: bool = False


FAULTY = Setup("faulty", ("hang_grace:=0.3", "frame_timeout:=1.0", "diagnostics_period:=0.2"))


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        fault: In words.
        inject: Does it, with goals under way, and takes it back.
        ends: All the ways in which goals have to end meanwhile, each as `OUTCOME` or `OUTCOME ERROR_CODE`.
        may: Ways in which they may end, too.
        setup: The agent.
        records: `kept`: every goal that had an image is on the disk. `told`: it can't be, and /diagnostics says so.
            `one`: one at most is lost with each process that is killed, that had ended just before.
        note: For who reads the table.
    """

    fault: str
    inject: Callable[[Stage], None]
    ends: tuple[str, ...]
    may: tuple[str, ...] = ()
    setup: Setup = FAULTY
    records: Literal["kept", "told", "one"] = "kept"
    note: str = ""

    @property
    def expected(self) -> str:
        """The ways in words, as the table has them."""
        sure, possible = ", ".join(self.ends), ", ".join(self.may)
        return sure if not possible else f"{sure}; also {possible}" if sure else possible


@dataclass(frozen=True)
class Line:
    """What was seen of one row.

    Attributes:
        fault, expected: Of the row.
        ended: How many goals ended in which way.
        goals: How many were accepted.
        records: Of the row.
        late: Seconds from the moment the last one was due to its end, as the client saw it; negative: before it.
        next_goal: How the goal after the fault ended.
        with_image, recorded: Of the accepted goals, how many had an image, and how many of those are on the disk.
        ok: Whether all was as it should be.
    """

    fault: str
    expected: str
    ended: dict[str, int]
    goals: int
    records: str
    late: float
    next_goal: str
    with_image: int
    recorded: int
    ok: bool


def keep(line: Line) -> None:
    """Put a line in the file; it takes the place of an older one of the same fault."""
    lines = load()
    lines[line.fault] = line
    OUT.parent.mkdir(exist_ok=True)
    OUT.write_text(json.dumps([asdict(one) for one in lines.values()], indent=1) + "\n", encoding="utf-8")


def load() -> dict[str, Line]:
    """The lines of the file by fault; none where there is no file."""
    if not OUT.exists():
        return {}
    return {row["fault"]: Line(**row) for row in json.loads(OUT.read_text(encoding="utf-8"))}
