"""The program `ask`: arguments, exit codes, and what is waited for before the goal."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.ros.ask.lines import state_line
from rsagent_ros.ros.ask.session import AskSession, Options
from rsagent_ros.ros.client import Agent, AgentUnavailable
from rsagent_ros.ros.client.goal_images import GoalImages
from rsagent_ros.ros.client.own_node import own_node

EXIT_CODES = {
    Outcome.FOUND: 0,
    Outcome.FAILED: 1,
    Outcome.NOT_IN_VIEW: 3,
    Outcome.AMBIGUOUS: 4,
    Outcome.GAVE_UP: 5,
    Outcome.PREEMPTED: 7,
    Outcome.SHUTDOWN: 7,
    Outcome.CANCELED: 130,
}
EXIT_UNAVAILABLE, EXIT_CTRL_C = 6, EXIT_CODES[Outcome.CANCELED]

LOAD_SECONDS = 300.0
"""Default time for an agent to start and load its models."""

EPILOG = """\
exit codes: 0 found, 1 failed, 2 bad usage, 3 not in view, 4 ambiguous, 5 gave up, 6 no agent, 7 pre-empted or shut
down, 130 canceled with Ctrl-C
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Ask an agent that runs; returns the exit code."""
    arguments = _parser().parse_args(argv)
    if not arguments.instruction.strip():
        arguments.parser.error("the instruction is empty; say what to look for")
    if arguments.save is not None and arguments.save.exists() and not arguments.save.is_dir():
        arguments.parser.error(f"--save {arguments.save} is a file; name a folder")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it for what it starts in the background
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        sys.stderr.write("ask: canceled\n")
        return EXIT_CTRL_C
    except AgentUnavailable as error:
        sys.stderr.write(f"ask: {error}\n")
        return EXIT_UNAVAILABLE
    except OSError as error:
        sys.stderr.write(f"ask: {error}\n")
        return EXIT_CODES[Outcome.FAILED]


def _run(arguments: argparse.Namespace) -> int:
    options = Options(
        camera=arguments.camera,
        time_budget=arguments.time_budget,
        track=arguments.track,
        folder=arguments.save,
        follow=arguments.follow,
    )
    with ExitStack() as stack:
        node = own_node(stack)
        images = None if arguments.save is None else GoalImages(node, arguments.agent)
        agent = stack.enter_context(Agent(arguments.agent, node=node))

        def tell(state: str) -> None:
            sys.stdout.write(f"{state_line(arguments.agent, state)}\n")
            sys.stdout.flush()

        agent.wait_until_active(arguments.wait, on_state=tell)
        answer = AskSession(agent, images, options).run(arguments.instruction, arguments.follows)
    return EXIT_CODES[answer.outcome]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ask",
        description="Ask an agent that runs to look for something; print its thoughts, then its answer.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("instruction", metavar="INSTRUCTION", help='what to look for, such as "the green ball"')
    parser.add_argument("--agent", default="/agent", metavar="NAME", help="the agent's node (%(default)s)")
    parser.add_argument("--camera", default="", metavar="NAME", help="camera to look through; `*`: all of them")
    parser.add_argument("--track", action="store_true", help="then print where it is, until Ctrl-C")
    parser.add_argument(
        "--save", type=Path, metavar="DIR", help="write overlay.png, mask.png, trace.json, result.json and index.html"
    )
    parser.add_argument("--follow", action="store_true", help="answer the agent's question on standard input")
    parser.add_argument("--follows", default="", metavar="ID", help="goal whose question INSTRUCTION answers")
    parser.add_argument("--time-budget", type=float, default=0.0, metavar="SECONDS", help="default: the node's")
    parser.add_argument(
        "--wait", type=float, default=LOAD_SECONDS, metavar="SECONDS", help="for the agent to start (%(default)g)"
    )
    parser.set_defaults(parser=parser)
    return parser
