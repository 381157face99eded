"""The cameras of the node, and which of them a goal means."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.ros.camera.camera import Camera
from rsagent_ros.ros.parameters import NodeParameters

ALL = "*"
"""Name, as the camera of a goal, of all cameras: looked through one after the other until the thing is found."""


class Cameras:
    """One camera without a name, or several with names of their own."""

    def __init__(self, node: Node, parameters: Callable[[], NodeParameters]) -> None:
        """Prepare; nothing is subscribed yet.

        Args:
            node: Whose topics are meant.
            parameters: Gives the node's parameters as they are now; `cameras` is read once.
        """
        names = parameters().camera_names or ("",)
        self._cameras = {name: Camera(node, parameters, name) for name in names}

    @property
    def all(self) -> tuple[Camera, ...]:
        """All cameras, the default one first."""
        return tuple(self._cameras.values())

    def open(self) -> None:
        """Open each camera; see `Camera.open`."""
        for camera in self.all:
            camera.open()

    def close(self) -> None:
        """Close each camera; see `Camera.close`."""
        for camera in self.all:
            camera.close()

    def meant(self, name: str) -> tuple[Camera, ...]:
        """Cameras to look through, in order: the default one for an empty name, all of them for `*`.

        Raises:
            RunFailed: UNKNOWN_CAMERA.
        """
        if name == ALL:
            return self.all
        camera = self._cameras.get(name) if name else self.all[0]
        if camera is not None:
            return (camera,)
        known = [repr(one) for one in self._cameras if one]
        there_is = f"there are {', '.join(known)}" if known else f"leave it empty for the camera on {self.all[0].topic}"
        raise RunFailed(ErrorCode.UNKNOWN_CAMERA, f"there is no camera {name!r}: {there_is}")
