"""`rsagent export`: records in another program's format. Needs no ROS."""

from __future__ import annotations

import argparse
import logging
import sys
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from rsagent_ros.records.reader import read_records

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

log = logging.getLogger(__name__)

DONE, FAILED, SKIPPED = 0, 1, 3
"""Exit codes; 2 is bad usage."""


def add_command(commands: Commands) -> None:
    """Add `export` to the subcommands of `rsagent`."""
    parser = commands.add_parser(
        "export",
        help="write records for another program (Rerun)",
        description="Write records as one Rerun recording: frames, masks, thoughts as a text log, boxes and poses on "
        "one time line. Exit codes: 0; 3 some file could not be read (named on stderr); 1 none could.",
    )
    parser.add_argument("records", type=Path, metavar="RECORDS", help="one record, a day, or the folder of all days")
    parser.add_argument("--rerun", type=Path, required=True, metavar="FILE", help="such as day.rrd")
    parser.set_defaults(command=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    try:
        from rsagent_ros.records.rerun_export import export
    except ImportError as error:
        log.error("--rerun needs the package rerun-sdk (%s); in the checkout: pip install -e '.[rerun]'", error)
        return FAILED
    problems: list[str] = []
    records = read_records(arguments.records, problems.append)
    try:
        first = next(records, None)
    except FileNotFoundError as error:
        parser.error(str(error))
    count = 0
    if first is not None:
        try:
            count = export(chain([first], records), arguments.rerun)
        except OSError as error:
            log.error("%s can't be written (%s); name another file", arguments.rerun, error.strerror)
            return FAILED
    for problem in problems:
        log.warning("%s", problem)
    if not count:
        log.error("%s: there is no record that could be read", arguments.records)
        return FAILED
    sys.stdout.write(f"{arguments.rerun}: {count} goal(s); `rerun {arguments.rerun}` shows them\n")
    return SKIPPED if problems else DONE
