"""`rsagent label`: serve the page on which a person goes through a robot's goals. Needs no ROS."""

from __future__ import annotations

import argparse
import os
import sys
import threading
import webbrowser
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rsagent_ros.backends import NO_FALLBACK, Choice, add_arguments, chosen, open_models

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

MAX_PORT = 65_535


def add_command(commands: Commands) -> None:
    """Add `label` to the subcommands of `rsagent`."""
    parser = commands.add_parser(
        "label",
        help="review a robot's goals in the browser",
        description="Serve a page on loopback on which you go through recorded goals: accept, reject, correct the mask "
        "by clicks, write what was meant. Each verdict is stored beside its record at once; nothing is ever rewritten. "
        "Ctrl-C ends it. Of the models only the segmenter is used.",
    )
    parser.add_argument("records", type=Path, metavar="RECORDS", help="a record, a day, or the folder of all days")
    parser.add_argument("--port", type=int, metavar="N", help="of 127.0.0.1 (always the same for the same records)")
    parser.add_argument("--no-browser", action="store_true", help="only print the address")
    add_arguments(parser)
    parser.set_defaults(command=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    from rsagent_ros.label.address import address_of, user_secret
    from rsagent_ros.label.click_masks import ClickSegmenter
    from rsagent_ros.label.goal_store import GoalStore
    from rsagent_ros.label.server import LabelServer

    if arguments.port is not None and not 0 <= arguments.port <= MAX_PORT:
        parser.error(f"--port {arguments.port}: use 1 to {MAX_PORT}, or 0 for any that is free")
    try:
        goals = GoalStore(arguments.records)
        # Nobody decides here but the person: only the segmenter is wanted of what the flags can name.
        choice = replace(chosen(arguments), policy=Choice.policy, fallback_policy=NO_FALLBACK)
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))
    address = address_of(goals.path, user_secret())
    if arguments.port is not None:
        address = replace(address, port=arguments.port)
    with open_models(choice) as models, LabelServer(goals, ClickSegmenter(models.segmenter), address) as server:
        sys.stdout.write(f"{server.address.url}\nCtrl-C ends it; every verdict is stored when it is given.\n")
        sys.stdout.flush()
        if not arguments.no_browser and _has_screen():
            threading.Thread(target=webbrowser.open, args=(server.address.url,), daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.stdout.write("\n")
    return 0


def _has_screen() -> bool:
    """Without one, a browser in text would take the terminal over."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
