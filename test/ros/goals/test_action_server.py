"""The action's goal handles: what rclpy does when a cancel comes at the wrong moment."""

from __future__ import annotations

from collections.abc import Iterator

from rclpy.action.server import ServerGoalHandle

from rsagent_ros.ros.goals.action_server import _execute


class Handle:
    """Is canceled between the look at its state and the change of it."""

    def __init__(self) -> None:
        self.answers: Iterator[bool] = iter((False, True))
        self.executed = False

    def execute(self) -> None:
        if not next(self.answers):
            raise RuntimeError("Failed to update goal state: goal_handle attempted invalid transition")
        self.executed = True


def test_a_cancel_in_the_middle_of_the_beginning_is_no_error() -> None:
    handle = Handle()
    _execute(handle)  # type: ignore[arg-type]
    assert handle.executed


def test_that_is_how_rclpy_does_it() -> None:
    """A canceled handle may be executed: it skips the transition and calls the callback."""
    told = []

    class Server:
        def notify_execute(self, handle: object, callback: object) -> None:
            told.append(handle)

    class Canceling(ServerGoalHandle):
        def __init__(self) -> None:
            self._action_server = Server()

        @property
        def is_cancel_requested(self) -> bool:
            return True

    handle = Canceling()
    _execute(handle)
    assert told == [handle]
