"""`~/markers`: box, label and arrow of the pose of each object, for RViz and Foxglove."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from geometry_msgs.msg import Vector3
from rclpy.node import Node
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from rsagent_ros.ros.outputs.found_object import FoundObject

DEPTH = 10

COLOURS = (
    (0.12, 0.47, 0.71),
    (1.00, 0.50, 0.05),
    (0.17, 0.63, 0.17),
    (0.84, 0.15, 0.16),
    (0.58, 0.40, 0.74),
    (0.55, 0.34, 0.29),
)
"""Red, green and blue of the objects, by their number, 0..1."""

LEAST_SIDE = 0.005
"""Thinnest side of a box, metres: RViz draws nothing that is flat."""

TEXT_HEIGHT = 0.03
"""Height of a label, metres."""


class Markers:
    """Publisher of markers. Each array takes the place of the one before."""

    def __init__(self, node: Node) -> None:
        """Create the publisher; the node's private topic is meant."""
        self._publisher = node.create_publisher(MarkerArray, "~/markers", DEPTH)

    @property
    def wanted(self) -> bool:
        """Whether somebody subscribes."""
        return bool(self._publisher.get_subscription_count())

    def publish(self, objects: Sequence[FoundObject], header: Header) -> None:
        """Publish the markers of the objects of one image, if somebody subscribes. Without a pose there are none."""
        if self.wanted:
            markers = [Marker(header=header, action=Marker.DELETEALL)]
            for one in objects:
                markers += _markers(one)
            self._publisher.publish(MarkerArray(markers=markers))


def _markers(one: FoundObject) -> Iterator[Marker]:
    pose = one.pose
    if pose is None:
        return
    red, green, blue = COLOURS[one.number % len(COLOURS)]
    sides = [max(LEAST_SIDE, side) for side in (one.size.x, one.size.y, one.size.z)]
    box = Marker(header=pose.header, ns="box", id=one.number, type=Marker.CUBE, pose=pose.pose)
    box.scale = Vector3(x=sides[0], y=sides[1], z=sides[2])
    box.color = ColorRGBA(r=red, g=green, b=blue, a=0.35)
    yield box
    arrow = Marker(header=pose.header, ns="axis", id=one.number, type=Marker.ARROW, pose=pose.pose)
    arrow.scale = Vector3(x=sides[0], y=0.1 * sides[0], z=0.15 * sides[0])
    arrow.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
    yield arrow
    label = Marker(header=pose.header, ns="label", id=one.number, type=Marker.TEXT_VIEW_FACING)
    label.pose.position = pose.pose.position
    label.scale.z = TEXT_HEIGHT
    label.color = ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0)
    label.text = f"{one.label} {one.confidence:.2f}"
    yield label
