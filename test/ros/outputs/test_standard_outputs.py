"""Standard outputs as a process without this package's messages gets them: shapes, frames, stamps, QoS."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import interface_packages
import numpy as np
import pytest
from filming import FilmCamera, info_of, shots_of
from moving_pictures import Film
from numpy.typing import NDArray
from ros_support import ROOT, AgentProcess, Robot, image_of, picture, until
from rsagent_ros.msg import Result

Start = Callable[..., AgentProcess]
Message = dict[str, Any]

WIDTH, HEIGHT = 160, 120
TYPES = {
    "/agent/detections": "vision_msgs/Detection2DArray",
    "/agent/detections_3d": "vision_msgs/Detection3DArray",
    "/agent/label_info": "vision_msgs/LabelInfo",
    "/agent/label_image": "sensor_msgs/Image",
    "/agent/label_points": "sensor_msgs/PointCloud2",
    "/agent/markers": "visualization_msgs/MarkerArray",
    "/agent/mask_image": "sensor_msgs/Image",  # the last, see Subscriber
}
FRAMES = {"/tf": "tf2_msgs/TFMessage"}


class Subscriber:
    """The other process. Endpoints become known in the order that they are made in: who has the last topic has all."""

    def __init__(self, process: AgentProcess) -> None:
        self._process = process

    def messages(self, topic: str) -> list[Message]:
        lines = [json.loads(line) for line in self._process.log.splitlines() if line.startswith("{")]
        return [line["message"] for line in lines if line["topic"] == topic]

    def until(self, ask: Callable[[], object], *topics: str) -> None:
        """Ask until there are messages on all topics."""
        until(lambda: (ask(), all(self.messages(topic) for topic in topics))[1])


@pytest.fixture
def with_ros_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes have vision_msgs and tf2_msgs, as on a robot."""
    for name, value in interface_packages.environment().items():
        monkeypatch.setenv(name, value)


@contextmanager
def subscribed(domain: int, types: Mapping[str, str]) -> Iterator[Subscriber]:
    program = [str(ROOT / "test/ros/outputs/subscriber.py"), *(f"{topic}={kind}" for topic, kind in types.items())]
    with AgentProcess(domain, program=program) as process:
        yield Subscriber(process)


def plate() -> NDArray[np.float32]:
    """Depth of a plate in the middle of the picture, where the fake agent looks, and of a wall behind it."""
    depth = np.full((HEIGHT, WIDTH), 1.5, np.float32)
    depth[HEIGHT // 4 : 3 * HEIGHT // 4, WIDTH // 4 : 3 * WIDTH // 4] = 1.0
    return depth


def ask_about_plate(robot: Robot) -> Callable[[], Result]:
    given = {"camera_info": info_of(WIDTH, HEIGHT), "depth": image_of(plate(), "32FC1")}
    return lambda: robot.ask("the plate", image=picture(WIDTH, HEIGHT), **given)[1]


def pixels(message: Message) -> NDArray[np.uint8]:
    assert (message["encoding"], message["step"]) == ("mono8", message["width"])
    return np.frombuffer(bytes.fromhex(message["data"]), np.uint8).reshape(message["height"], message["width"])


def vector(message: Mapping[str, float]) -> list[float]:
    return [message[axis] for axis in "xyz"]


@pytest.mark.usefixtures("with_ros_packages")
def test_what_was_found_is_on_every_topic(domain: int, robot: Robot, start: Start) -> None:
    start()
    with subscribed(domain, TYPES) as other:
        results: list[Result] = []
        ask = ask_about_plate(robot)
        other.until(lambda: results.append(ask()), *TYPES)
        newest = {topic: other.messages(topic)[-1] for topic in TYPES}
    (found,) = results[-1].instances
    box, place, size = found.roi, found.pose.pose.position, found.size

    (flat,) = newest["/agent/detections"]["detections"]
    assert newest["/agent/detections"]["header"]["frame_id"] == flat["header"]["frame_id"] == "camera"
    centre = flat["bbox"]["center"]["position"]
    assert (centre["x"], centre["y"]) == (box.x_offset + box.width / 2, box.y_offset + box.height / 2)
    assert (flat["bbox"]["size_x"], flat["bbox"]["size_y"]) == (box.width, box.height)
    (hypothesis,) = flat["results"]
    assert hypothesis["hypothesis"] == {"class_id": "the plate", "score": pytest.approx(found.confidence)}
    assert flat["id"].endswith("/1")

    (solid,) = newest["/agent/detections_3d"]["detections"]
    assert newest["/agent/detections_3d"]["header"]["frame_id"] == "camera"
    assert vector(solid["bbox"]["center"]["position"]) == pytest.approx([place.x, place.y, place.z])
    assert vector(solid["bbox"]["size"]) == pytest.approx([size.x, size.y, size.z])
    assert vector(solid["results"][0]["pose"]["pose"]["position"]) == pytest.approx([place.x, place.y, place.z])
    assert solid["id"].endswith("/1")

    labels = pixels(newest["/agent/label_image"])
    inside = np.zeros((HEIGHT, WIDTH), np.bool_)
    inside[HEIGHT // 4 : 3 * HEIGHT // 4, WIDTH // 4 : 3 * WIDTH // 4] = True
    assert np.array_equal(labels, inside)
    assert np.array_equal(pixels(newest["/agent/mask_image"]), inside * np.uint8(255))
    classes = newest["/agent/label_info"]["class_map"]
    assert [one["class_id"] for one in classes] == list(range(1, 256))
    assert {one["class_name"] for one in classes} == {"target"}

    cloud = newest["/agent/label_points"]
    assert (cloud["height"], cloud["width"], cloud["point_step"]) == (HEIGHT, WIDTH, 12)
    points = np.frombuffer(bytes.fromhex(cloud["data"]), np.float32).reshape(HEIGHT, WIDTH, 3)
    assert np.isnan(points[~inside]).all()
    assert points[inside][:, 2] == pytest.approx(1.0)
    assert points[HEIGHT // 2, WIDTH // 2, :2] == pytest.approx(0.0, abs=0.01)

    cleared, *markers = newest["/agent/markers"]["markers"]
    assert cleared["action"] == 3
    assert {marker["ns"] for marker in markers} == {"box", "axis", "label"}
    assert {marker["header"]["frame_id"] for marker in markers} == {"camera"}
    assert vector(markers[0]["pose"]["position"]) == pytest.approx([place.x, place.y, place.z])
    assert vector(markers[0]["scale"]) == pytest.approx([max(0.005, side) for side in (size.x, size.y, size.z)])
    assert markers[2]["text"].startswith("the plate 0.")


@pytest.mark.usefixtures("with_ros_packages")
def test_of_what_is_not_there_the_arrays_are_empty(domain: int, robot: Robot, start: Start) -> None:
    start(script="absent")
    topics = {topic: kind for topic, kind in TYPES.items() if topic != "/agent/mask_image"}
    with subscribed(domain, topics) as other:
        other.until(ask_about_plate(robot), *topics)
        newest = {topic: other.messages(topic)[-1] for topic in topics}
    assert newest["/agent/detections"]["detections"] == newest["/agent/detections_3d"]["detections"] == []
    assert newest["/agent/detections"]["header"]["frame_id"] == "camera"
    assert not pixels(newest["/agent/label_image"]).any()
    assert len(newest["/agent/markers"]["markers"]) == 1


@pytest.mark.usefixtures("with_ros_packages")
def test_a_partial_answer_is_no_detection(domain: int, robot: Robot, start: Start) -> None:
    start(script="never_ends")
    with subscribed(domain, TYPES) as other:
        other.until(ask_about_plate(robot), "/agent/mask_image", "/agent/label_info")
        silent = TYPES.keys() - {"/agent/mask_image", "/agent/label_info"}
        assert {topic for topic in silent if other.messages(topic)} == set()


@pytest.mark.usefixtures("with_ros_packages")
def test_tracked_objects_keep_their_number_and_have_a_frame(domain: int, robot: Robot, start: Start) -> None:
    start("-p", "object_frames:=true", script="filmed")
    shots = shots_of(Film(pan=(1.5, 0.5)), 20)
    with subscribed(domain, TYPES | FRAMES) as other, FilmCamera(robot.node, shots, metres=(1.0, 1.5)) as camera:
        _, result = robot.ask("the box", track=True)
        camera.play()
        topics = ("/agent/detections", "/agent/detections_3d", "/agent/label_image", "/agent/label_points", "/tf")
        until(lambda: all(len(other.messages(topic)) >= 3 for topic in topics))
        track_id = result.instances[0].track_id
        detections = [one for message in other.messages("/agent/detections") for one in message["detections"]]
        frames = [one for message in other.messages("/tf") for one in message["transforms"]]
        labels = [pixels(message) for message in other.messages("/agent/label_image")]
        stamps = [
            {json.dumps(message["header"]["stamp"]) for message in other.messages(topic)}
            for topic in ("/agent/label_image", "/agent/label_points")
        ]
    assert {one["id"] for one in detections} == {f"track_{track_id}"}
    assert {(one["header"]["frame_id"], one["child_frame_id"]) for one in frames} == {
        ("camera", f"agent/track_{track_id}")
    }
    assert frames[-1]["transform"]["translation"]["z"] == pytest.approx(1.0, abs=0.3)
    assert {int(number) for image in labels for number in np.unique(image)} == {0, 1 + track_id % 255}
    assert stamps[0] & stamps[1]


def test_without_vision_msgs_the_node_says_so_once_and_publishes_the_rest(
    domain: int, robot: Robot, start: Start
) -> None:
    process = start("-p", "object_frames:=true")
    topics = {"/agent/label_image": "sensor_msgs/Image", "/agent/markers": "visualization_msgs/MarkerArray"}
    with subscribed(domain, topics) as other:
        other.until(ask_about_plate(robot), *topics)
    told = "~/detections, ~/detections_3d and ~/label_info are not published, as No module named 'vision_msgs'"
    assert process.log.count(told) == 1
    assert "object_frames: no frames are published, as No module named 'tf2_msgs'" in process.log


@pytest.mark.parametrize("definition", sorted((ROOT / "test/interfaces").glob("*/*.msg")), ids=lambda path: path.stem)
def test_definitions_for_tests_are_those_of_an_installed_package(definition: Path) -> None:
    """Where ROS has them from apt: what the tests assume of them is so."""
    module = pytest.importorskip(f"{definition.parent.name}.msg", reason="comes with ROS from apt")
    fields = getattr(module, definition.stem).get_fields_and_field_types()
    assumed = [line.split()[1] for line in definition.read_text().splitlines()]
    assert [*fields] == assumed
