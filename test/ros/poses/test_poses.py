"""Where found things are, over DDS: poses from depth, against the truth, and what happens where there is none."""

from __future__ import annotations

import array
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
import pytest
import tabletop
from diagnostic_msgs.msg import DiagnosticArray
from filming import FOCAL, FilmCamera, info_of, shots_of
from geometry_msgs.msg import PoseStamped, TransformStamped
from moving_pictures import Film
from numpy.typing import NDArray
from rclpy.node import Node
from ros_support import REAL_AGENT, AgentProcess, Robot, image_of, picture, until
from rsagent_ros.msg import Result, TrackedMask
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

from rsagent_ros.images import to_mask
from rsagent_ros.ros.poses.transforms import Transforms
from rsagent_ros.ros.stamps import nanoseconds

Start = Callable[..., AgentProcess]

WIDTH, HEIGHT = 160, 120


def plate(near: float = 1.0, far: float = 1.5) -> NDArray[np.float32]:
    """Depth of a plate that fills the middle of the picture, where the fake agent looks, and of a wall behind."""
    depth = np.full((HEIGHT, WIDTH), far, np.float32)
    depth[HEIGHT // 4 : 3 * HEIGHT // 4, WIDTH // 4 : 3 * WIDTH // 4] = near
    return depth


def holes(depth: NDArray[Any]) -> NDArray[Any]:
    """Every fifth pixel is unknown."""
    found = depth.copy()
    found.reshape(-1)[::5] = np.nan if depth.dtype == np.float32 else 0
    return found


def ask(robot: Robot, depth: Image | None, **fields: Any) -> Any:
    """Ask about the plate; returns what was found."""
    given = {"camera_info": info_of(WIDTH, HEIGHT)} | ({} if depth is None else {"depth": depth}) | fields
    _, result = robot.ask(image=picture(WIDTH, HEIGHT), **given)
    assert result.outcome == Result.FOUND, result.error_msg
    return result.instances[0]


# --- in the result


@pytest.mark.parametrize(
    "depth",
    [
        image_of(plate(), "32FC1"),
        image_of(holes(plate()), "32FC1"),
        image_of((plate() * 1000).astype(np.uint16), "16UC1"),
        image_of(holes((plate() * 1000).astype(np.uint16)), "16UC1"),
    ],
    ids=["metres", "NaN", "millimetres", "zeros"],
)
def test_a_plate_is_where_it_is(shared: Robot, depth: Image) -> None:
    found = ask(shared, depth)
    place, size = found.pose.pose.position, found.size
    assert found.has_pose
    assert found.pose.header.frame_id == "camera"
    # Its box reaches from what is seen to what is behind: for all that can be known, it stands there.
    assert (place.x, place.y) == pytest.approx((0.0, 0.0), abs=0.01)
    assert 1.0 - 0.01 <= place.z <= 1.25 + 0.01
    assert size.x == pytest.approx(WIDTH / 2 / FOCAL, abs=0.02)
    assert size.y == pytest.approx(HEIGHT / 2 / FOCAL, abs=0.02)
    turn = found.pose.pose.orientation
    assert np.linalg.norm([turn.x, turn.y, turn.z, turn.w]) == pytest.approx(1.0)


def test_things_of_the_simulator_are_where_it_has_put_them(domain: int) -> None:
    pytest.importorskip("rsagent_training.simulate", reason="no MuJoCo or no OpenGL library", exc_type=ImportError)
    from rsagent_training.simulate import demo_world

    with demo_world() as world:
        frame = world.render()
    camera = frame.camera
    given = {
        "image": image_of(frame.rgb, "rgb8"),
        "depth": image_of(frame.depth, "32FC1"),
        "camera_info": info_of(camera.width, camera.height, camera.fx),
    }
    items = {item.name: item for item in world.items}
    with Robot(domain) as robot, AgentProcess(domain, "-p", "warm_up:=false", program=[str(REAL_AGENT)]) as agent:
        agent.ready()
        for instruction, name, limit in (
            ("the small red box left of the blue cylinder", "box_1", 0.01),
            ("the large red box", "box_3", 0.01),
            ("the green ball", "ball_1", 0.02),  # its back can't be seen
        ):
            _, result = robot.ask(instruction, time_budget=30.0, **given)
            assert result.outcome == Result.FOUND, instruction
            place = result.instances[0].pose.pose.position
            vertices = items[name].vertices
            middle = (vertices.min(axis=0) + vertices.max(axis=0)) / 2.0
            truth = (middle - frame.pose[:3, 3]) @ frame.pose[:3, :3]
            off = np.linalg.norm(np.array([place.x, place.y, place.z]) - truth)
            assert off / np.linalg.norm(truth) <= limit, instruction  # metres at a metre's distance


@pytest.mark.parametrize(
    ("depth", "fields", "told"),
    [
        (None, {}, "there is no depth image"),
        (image_of(np.zeros((HEIGHT, WIDTH), np.uint16), "16UC1"), {}, "0% of the mask has depth"),
        (image_of(np.full((HEIGHT, WIDTH), np.nan, np.float32), "32FC1"), {}, "0% of the mask has depth"),
        (image_of(plate(), "32FC1"), {"camera_info": info_of(WIDTH, HEIGHT, 0.0)}, "the camera is not calibrated"),
        (image_of(plate(), "32FC1"), {"camera_info": info_of(WIDTH, HEIGHT, np.nan)}, "the camera is not calibrated"),
        (image_of(plate(), "32FC1"), {"camera_info": info_of(WIDTH, HEIGHT, np.inf)}, "the camera is not calibrated"),
    ],
    ids=["no depth", "zeros", "NaN", "no calibration", "calibration of NaN", "infinite calibration"],
)
def test_without_a_place_there_is_no_pose_and_diagnostics_say_why(
    shared: Robot, depth: Image | None, fields: dict[str, Any], told: str
) -> None:
    assert not ask(shared, depth, **fields).has_pose
    diagnostics = shared.listen(DiagnosticArray, "/diagnostics", 10)

    def tells(message: DiagnosticArray) -> bool:
        values = {pair.key: pair.value for status in message.status for pair in status.values}
        return told in values["no pose because"]

    diagnostics.wait(1, tells)


def test_depth_comes_compressed_too(robot: Robot, start: Start) -> None:
    start("-p", "depth_transport:=compressedDepth", "-p", "stamp_tolerance:=0.5")
    stored = cv2.imencode(".png", (plate() * 1000).astype(np.uint16))[1].tobytes()
    depth = CompressedImage(format="16UC1; compressedDepth png", data=array.array("B", bytes(12) + stored))
    robot.camera(depth, "/depth/compressedDepth")
    robot.camera(info_of(WIDTH, HEIGHT), "/camera_info")
    robot.camera(picture(WIDTH, HEIGHT))
    until(lambda: robot.ask()[1].instances[0].has_pose)


def test_candidates_have_poses_too(robot: Robot, start: Start) -> None:
    start(script="ambiguous")
    _, result = robot.ask(
        image=picture(WIDTH, HEIGHT), depth=image_of(plate(), "32FC1"), camera_info=info_of(WIDTH, HEIGHT)
    )
    assert (result.outcome, [one.has_pose for one in result.candidates]) == (Result.AMBIGUOUS, [True, True])


def test_points_come_to_who_listens(robot: Robot, start: Start) -> None:
    start()
    clouds = robot.listen(PointCloud2, "/agent/object_points", 10)
    found = ask(robot, image_of(plate(), "32FC1"))
    (cloud,) = clouds.wait(1)
    assert cloud.header == found.mask.header
    assert [(field.name, field.offset) for field in cloud.fields] == [("x", 0), ("y", 4), ("z", 8), ("rgb", 12)]
    assert (cloud.height, cloud.row_step, len(cloud.data)) == (1, 16 * cloud.width, 16 * cloud.width)
    points = np.frombuffer(cloud.data, np.dtype([("xyz", "f4", 3), ("rgb", "u4")]))
    assert len(points) > 1000
    assert np.allclose(points["xyz"][:, 2], 1.0, atol=0.001)
    assert set(points["rgb"].tolist()) == {90 << 16 | 90 << 8 | 90}


# --- on the way


def test_the_pose_moves_with_the_mask(robot: Robot, start: Start) -> None:
    start(script="filmed")
    masks, clouds = (
        robot.listen(kind, topic, 20)
        for kind, topic in ((TrackedMask, "/agent/tracked_mask"), (PointCloud2, "/agent/object_points"))
    )
    with FilmCamera(robot.node, shots_of(Film(pan=(1.5, 0.5)), 30), metres=(1.0, 1.05)) as camera:
        robot.connect()
        assert robot.ask(track=True)[1].outcome == Result.FOUND
        camera.play()
        masks.wait(20, lambda message: message.has_pose)
        clouds.wait(10)
        truth = dict(camera.truth)
    for message in [message for message in masks.messages if message.has_pose]:
        mask = truth[nanoseconds(message.header.stamp)]
        rows, columns = np.nonzero(mask)
        middle = np.array([(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2])
        expected = (middle - [(mask.shape[1] - 1) / 2, (mask.shape[0] - 1) / 2]) / FOCAL
        place = message.pose.pose.position
        assert (place.x, place.y) == pytest.approx(tuple(expected), abs=0.012)
        assert message.pose.header == message.header
        assert to_mask(message.image).any()


# --- in another frame


def test_without_tf2_poses_stay_in_the_cameras_frame(robot: Robot, start: Start) -> None:
    try:
        import tf2_ros  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("tf2_ros is installed")
    agent = start("-p", "output_frame:=map")
    agent.wait_for("output_frame is 'map', but tf2_ros can't be imported")
    found = ask(robot, image_of(plate(), "32FC1"))
    assert (found.has_pose, found.pose.header.frame_id) == (True, "camera")


class FakeTf2(SimpleNamespace):
    """What is used of tf2_ros, with one transform: from `camera` to `map`, at second 5."""

    class TransformException(Exception):
        pass

    def __init__(self) -> None:
        super().__init__()
        self.listeners: list[str] = []

    def Buffer(self) -> FakeTf2:  # noqa: N802
        return self

    def TransformListener(self, buffer: Any, node: Any) -> FakeTf2:  # noqa: N802
        assert buffer is self
        self.listeners.append("listening")
        return self

    def unregister(self) -> None:
        self.listeners.pop()

    def lookup_transform(self, target: str, source: str, time: Any) -> TransformStamped:
        if (target, source, time.nanoseconds) != ("map", "camera", 5_000_000_000):
            raise self.TransformException("it would be extrapolated")
        found = TransformStamped()
        found.header.frame_id = "map"
        found.transform.translation.x = 10.0
        # A quarter turn about z: x goes to y.
        found.transform.rotation.z = found.transform.rotation.w = float(np.sqrt(0.5))
        return found


def test_a_pose_is_moved_by_the_transform_of_its_own_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    tf2 = FakeTf2()
    monkeypatch.setitem(sys.modules, "tf2_ros", tf2)
    transforms = Transforms(cast(Node, None))
    transforms.open("map")
    pose = PoseStamped()
    pose.header.frame_id, pose.header.stamp.sec = "camera", 5
    pose.pose.position.x, pose.pose.position.z = 1.0, 2.0
    moved = transforms.transformed(pose)
    assert (moved.header.frame_id, moved.header.stamp.sec, transforms.problem) == ("map", 5, "")
    assert (moved.pose.position.x, moved.pose.position.y, moved.pose.position.z) == pytest.approx((10.0, 1.0, 2.0))
    turn = moved.pose.orientation
    assert (turn.x, turn.y, turn.z, turn.w) == pytest.approx((0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)))

    pose.header.stamp.sec = 6
    assert transforms.transformed(pose) is pose
    assert transforms.problem == "no transform from 'camera' to 'map': it would be extrapolated"
    transforms.close()
    assert tf2.listeners == []


# --- where to look for what is not there


def test_what_is_not_in_view_may_be_past_the_edge_where_the_table_goes_on(robot: Robot, start: Start) -> None:
    start(script="absent")
    info = info_of(tabletop.CAMERA.width, tabletop.CAMERA.height, tabletop.CAMERA.fx)

    def look(yaw: float, previous_id: str = "", **box: Any) -> Any:
        depth = image_of(tabletop.seen((-0.9, 0.9, 0.45, 0.9), yaw, **box), "32FC1")
        _, result = robot.ask(image=picture(160, 120), camera_info=info, depth=depth, previous_id=previous_id)
        assert result.outcome == Result.NOT_IN_VIEW
        return result

    first = look(0.0)
    assert first.has_view_direction
    assert first.hidden_by == ""
    towards = first.view_direction
    assert abs(towards.x) > 0.3
    # It turned as it was told, twice: there the table ends, and what is left is on the other side.
    yaw = float(np.arctan2(towards.x, towards.z))
    second = look(yaw, first.goal_id)
    assert second.view_direction.x * towards.x < 0
    assert not look(0.0, box=(-0.15, 0.15, 0.55, 0.65)).error_msg


def test_without_depth_nothing_is_hinted_at(robot: Robot, start: Start) -> None:
    start(script="absent")
    _, result = robot.ask(image=picture(160, 120))
    assert (result.outcome, result.has_view_direction) == (Result.NOT_IN_VIEW, False)


def test_what_hides_most_is_named(robot: Robot, start: Start) -> None:
    start(script="absent")
    depth = tabletop.seen((-0.35, 0.35, 0.4, 1.25), box=(-0.15, 0.15, 0.55, 0.65), tall=0.3)
    info = info_of(tabletop.CAMERA.width, tabletop.CAMERA.height, tabletop.CAMERA.fx)
    _, result = robot.ask(image=picture(160, 120), camera_info=info, depth=image_of(depth, "32FC1"))
    assert result.has_view_direction
    assert result.hidden_by.startswith("what is at pixel ")
