"""The robot and the agent of one test, on a domain of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from domains import kept_domain, next_domain

try:
    from filming import FilmCamera, Shots, shots_of
    from moving_pictures import Film
    from ros_support import AgentProcess, Robot
except ImportError:  # test_environment.py says why in the report
    collect_ignore_glob = ["test_[!e]*.py"]
else:

    @pytest.fixture
    def domain() -> int:
        return next_domain()

    @pytest.fixture
    def robot(domain: int) -> Iterator[Robot]:
        with Robot(domain) as robot:
            yield robot

    @pytest.fixture(scope="module")
    def shared() -> Iterator[Robot]:
        """A robot beside an agent that answers at once, for tests that leave no trace."""
        with (
            kept_domain() as domain,
            Robot(domain) as robot,
            AgentProcess(domain, "-p", "warm_up:=false") as agent,
        ):
            agent.ready()
            yield robot

    @pytest.fixture
    def start(domain: int) -> Iterator[Callable[..., AgentProcess]]:
        """Starts an agent that ends with the test: `start("-p", "max_turns:=2", script="hang")`."""
        with ExitStack() as stack:

            def started(*ros_arguments: str, **options: Any) -> AgentProcess:
                warm_up = ("-p", "warm_up:=false")
                return stack.enter_context(AgentProcess(domain, *warm_up, *ros_arguments, **options)).ready()

            yield started

    @pytest.fixture
    def film(robot: Robot) -> Iterator[Callable[..., FilmCamera]]:
        """A camera that shows a film."""
        with ExitStack() as cameras:
            yield lambda shots, **options: cameras.enter_context(FilmCamera(robot.node, shots, **options))

    @pytest.fixture(scope="module")
    def moving() -> Shots:
        return shots_of(Film(pan=(1.5, 0.5)), 50)

    @pytest.fixture(scope="module")
    def still() -> Shots:
        return shots_of(Film(pan=(1.5, 0.5)), 1)
