"""`rsagent mcp`: serve the agent's tools over stdio, or over HTTP on loopback."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.backends import add_arguments, chosen, open_models
from rsagent_ros.data.files import read_image
from rsagent_ros.mcp_server.picture_source import PictureSource

if TYPE_CHECKING:
    from rsagent_ros.mcp_server.source import Source

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

HOST = "127.0.0.1"
MAX_PORT = 65_535


def add_command(commands: Commands) -> None:
    """Add `mcp` to the subcommands of `rsagent`."""
    parser = commands.add_parser(
        "mcp",
        help="serve the agent to language models (Model Context Protocol)",
        description="Serve the tools ask, follow_up, status and last_seen to a client of the Model Context Protocol, "
        "over stdio unless --http is given. They ask a robot's node, or look at one picture without ROS. Nothing is "
        "changed unless --allow-writes is given.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--agent", default="/agent", metavar="NAME", help="the robot's node (%(default)s)")
    what.add_argument("--picture", type=Path, metavar="FILE", help="look at this picture instead; needs no ROS")
    parser.add_argument("--records", type=Path, metavar="DIR", help="folder that last_seen looks through")
    parser.add_argument("--http", type=int, metavar="PORT", help=f"serve http://{HOST}:PORT/mcp instead of stdio")
    parser.add_argument(
        "--allow-writes", action="store_true", help="offer judge too: verdicts are recorded and learned from"
    )
    add_arguments(parser)
    parser.set_defaults(command=partial(_run, parser))


def _run(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if arguments.http is not None and not 0 < arguments.http <= MAX_PORT:
        parser.error(f"--http {arguments.http}: use a port from 1 to {MAX_PORT}")
    if arguments.records is not None and not arguments.records.exists():
        parser.error(f"--records {arguments.records}: there is no such folder")
    try:
        from rsagent_ros.mcp_server.server import make_server
    except ImportError as error:
        sentence = f"the MCP server needs the package {error.name}; in the checkout: pip install -e '.[mcp]'"
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, sentence) from error
    source = _robot(arguments.agent) if arguments.picture is None else _picture(parser, arguments)
    try:
        server = make_server(source, arguments.records, allow_writes=arguments.allow_writes)
        if arguments.http is None:
            server.run("stdio")
        else:
            server.run("streamable-http", host=HOST, port=arguments.http)
    except KeyboardInterrupt:
        return 0
    finally:
        source.close()
    return 0


def _picture(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Source:
    try:
        image, choice = read_image(arguments.picture), chosen(arguments)
    except ValueError as error:
        parser.error(str(error))
    return PictureSource(arguments.picture, image, open_models(choice), Budget())


def _robot(agent: str) -> Source:
    try:
        from rsagent_ros.mcp_server.robot_source import RobotSource
    except ImportError as error:
        sentence = (
            f"a robot is asked through ROS, and {error.name} can't be imported: run this in a shell where ROS and this "
            "workspace are sourced, or name a picture with --picture FILE"
        )
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, sentence) from error
    return RobotSource(agent)
