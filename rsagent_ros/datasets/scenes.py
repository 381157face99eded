"""Folders of examples in the project's own format (`rsagent_ros.data.folder`), such as the simulator writes."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from rsagent_ros.data.folder import examples_file, line_id, read_example
from rsagent_ros.data.ref import ExampleRef, Loader, Skipped
from rsagent_ros.data.text import text_lines


def list_scenes(folder: Path) -> Loader:
    """The examples of a folder, in its order.

    Raises:
        FileNotFoundError: There is no scenes.jsonl in it.
    """
    rows = examples_file(folder)
    for number, _, line in text_lines(rows):
        where = f"{rows}, line {number}"
        try:
            name = line_id(line)
        except ValueError as error:
            yield Skipped("", where, str(error))
        else:
            yield ExampleRef(name, where, partial(read_example, line, folder))
