"""`rsagent view`: records as one HTML page, to see what the agent saw, thought and did. Needs no ROS."""

from __future__ import annotations

import argparse
import logging
import sys
import webbrowser
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from rsagent_ros.records.reader import read_records
from rsagent_ros.records.record import Record, Verdict, newest
from rsagent_ros.viewer.page import Shown, render

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

log = logging.getLogger(__name__)

MOST = 50
"""Goals on one page: each brings its pictures along, about a megabyte."""

PAGE = "records.html"
"""Name of the page, in the folder of the records."""

DONE, FAILED, SKIPPED = 0, 1, 3
"""Exit codes; 2 is bad usage."""


def add_command(commands: Commands) -> None:
    """Add `view` to the subcommands of `rsagent`."""
    parser = commands.add_parser(
        "view",
        help="show records as one HTML page",
        description="Write records as one HTML file that opens from anywhere and needs no network: every turn with "
        "its picture, thought, call and result. Exit codes: 0; 3 some file could not be read (named on stderr); "
        "1 none could.",
    )
    parser.add_argument("records", type=Path, metavar="RECORDS", help="one record, a day, or the folder of all days")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help=f"default: {PAGE} in the folder, or ID.html beside the one record"
    )
    parser.add_argument("--goal", metavar="ID", help="only the goal of this id")
    parser.add_argument("--most", type=int, default=MOST, metavar="N", help="goals on the page (default: %(default)d)")
    parser.add_argument("--open", action="store_true", help="open it in the browser")
    parser.set_defaults(command=_run, parser=parser)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.most < 1:
        arguments.parser.error(f"--most is {arguments.most}; it must be 1 or more")
    problems: list[str] = []
    try:
        records = (
            record
            for record in read_records(arguments.records, problems.append)
            if arguments.goal in (None, record.goal_id)
        )
        shown = [shown_record(record) for record in islice(records, arguments.most)]
        more = "; there are more (--most)" if next(records, None) is not None else ""
    except FileNotFoundError as error:
        arguments.parser.error(str(error))
    for problem in problems:
        log.warning("%s", problem)
    if not shown:
        wanted = "" if arguments.goal is None else f" of goal {arguments.goal!r}"
        log.error("%s: there is no record%s that could be read", arguments.records, wanted)
        return FAILED
    title = shown[0].trace.instruction if len(shown) == 1 else f"{len(shown)} goals of {arguments.records}"
    out = arguments.out or _page_of(arguments.records)
    try:
        out.write_text(render(shown, title), encoding="utf-8")
    except OSError as error:
        log.error("%s can't be written (%s); name another file with --out", out, error.strerror)
        return FAILED
    sys.stdout.write(f"{out}: {len(shown)} goal(s){more}\n")
    if arguments.open:
        webbrowser.open(out.resolve().as_uri())
    return SKIPPED if problems else DONE


def _page_of(records: Path) -> Path:
    """The page of records where none is named: beside them, whatever folder the command is given in."""
    return records / PAGE if records.is_dir() else records.with_suffix(".html")


def shown_record(record: Record) -> Shown:
    """A record as the page shows it, with its camera and the verdicts about it."""
    facts = {"camera": record.camera} if record.camera else {}
    facts |= {"redacted": record.redaction} if record.redaction != "none" else {}
    facts |= {f"verdict {number}": _described(verdict) for number, verdict in enumerate(record.verdicts, 1)}
    counts = newest(record.verdicts)
    return Shown(record.trace, record.image, facts, right=None if counts is None else counts.accepted)


def _described(verdict: Verdict) -> str:
    words = ["accepted" if verdict.accepted else "rejected"]
    words += ["absent"] if verdict.absent else []
    if verdict.mask is not None:
        words.append(f"{len(verdict.instances)} other masks" if len(verdict.instances) > 1 else "another mask")
    note = f": {verdict.note}" if verdict.note else ""
    return f"{', '.join(words)} by {verdict.annotator or verdict.source}{note}"
