"""`python -m rsagent_ros.model_server RECIPE`, and `rsagent serve RECIPE`: serve a model until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import logging
import shlex
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rsagent_ros.model_server.command import command, environment
from rsagent_ros.model_server.engine_probe import EngineProbe
from rsagent_ros.model_server.recipe import load
from rsagent_ros.model_server.supervisor import Supervisor

READY = "model server is healthy at"
"""Beginning of the line on stdout each time the server has become healthy; launch files wait for it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; blocks until SIGINT or SIGTERM.

    Returns:
        The exit code: 0, 1 when the server failed too often, 2 for a bad recipe.
    """
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.INFO)
    parser = argparse.ArgumentParser(prog="python -m rsagent_ros.model_server", description="Serve a model with vLLM.")
    _add_arguments(parser)
    return _serve(parser.parse_args(argv))


def add_command(commands: Any) -> None:
    """Add `serve` to the subcommands of `rsagent`."""
    parser = commands.add_parser("serve", help="serve a model with vLLM", description="Serve a model with vLLM.")
    _add_arguments(parser)
    parser.set_defaults(command=_serve)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", type=Path, metavar="RECIPE", help="such as config/serve/desktop_24gb.yaml")
    parser.add_argument("--model", metavar="FOLDER", help="instead of the recipe's")
    parser.add_argument("--port", type=int, metavar="PORT", help="instead of the recipe's")
    parser.add_argument("--executable", metavar="VLLM", help="the vllm of its own environment")
    parser.add_argument(
        "--adapter", action="append", default=[], metavar="NAME=FOLDER", help="a LoRA adapter; may be repeated"
    )
    parser.add_argument("--show", action="store_true", help="print the command and the memory budget, and run nothing")


def _serve(arguments: argparse.Namespace) -> int:
    changes = {name: getattr(arguments, name) for name in ("model", "port", "executable") if getattr(arguments, name)}
    try:
        if arguments.adapter:
            changes["adapters"] = dict(map(_named_folder, arguments.adapter))
        recipe = load(arguments.recipe, **changes)
        words, variables = command(recipe), environment(recipe)
    except ValueError as error:
        sys.stderr.write(f"rsagent serve: {error}\n")
        return 2
    if arguments.show:
        sys.stdout.write(f"{shlex.join(words)}\n# {recipe.share()}\n")
        return 0
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    probe = EngineProbe(recipe.root, recipe.served_name or recipe.model, variables.get("VLLM_API_KEY", ""))
    supervisor = Supervisor(
        words, variables, recipe.root, on_healthy=lambda: _tell(f"{READY} {recipe.root}/v1"), works=probe
    )
    return supervisor.run(stop)


def _named_folder(text: str) -> tuple[str, str]:
    name, _, folder = text.partition("=")
    if not name or not folder:
        raise ValueError(f"--adapter {text}: write it as NAME=FOLDER")
    return name, folder


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
