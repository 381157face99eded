"""config/sros2/policy.xml allows what the nodes have on the graph, and nothing else; and it is enough under Enforce."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np
import pytest
import rclpy
from domains import next_domain
from lifecycle_msgs.msg import Transition
from rclpy.action import get_action_client_names_and_types_by_node, get_action_server_names_and_types_by_node
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from ros_support import ROOT, AgentProcess, Robot, until

from rsagent_ros.ros.client import Agent, AgentUnavailable

Start = Callable[..., AgentProcess]
Access = set[tuple[str, str, str]]
"""What is accessed, how, and the full name: ("topic", "publish", "/agent/mask")."""

POLICY = ROOT / "config/sros2/policy.xml"
CHILDREN = {
    "policy": {"contexts"},
    "contexts": {"context"},
    "context": {"profiles"},
    "profiles": {"profile"},
    "profile": {"topics", "services", "actions"},
    "topics": {"topic"},
    "services": {"service"},
    "actions": {"action"},
    "topic": set(),
    "service": set(),
    "action": set(),
}  # fmt: skip
ATTRIBUTES = {
    "policy": {"version"},
    "context": {"path"},
    "profile": {"ns", "node"},
    "topics": {"publish", "subscribe"},
    "services": {"request", "reply"},
    "actions": {"call", "execute"},
}
NEEDS = {
    "/tf": "tf2_ros",
    "/tf_static": "tf2_ros",
    "/agent/detections": "vision_msgs",
    "/agent/detections_3d": "vision_msgs",
    "/agent/label_info": "vision_msgs",
}
"""Topics that a node has only where a package from apt is installed."""

CAMERA = [
    word
    for name, topic in (("image", "camera/image"), ("camera_info", "camera/camera_info"), ("depth", "camera/depth"))
    for word in ("-r", f"{name}:={topic}")
]
CAMERA += ["-r", "image/compressed:=camera/image/compressed"]


def full(name: str, namespace: str, node: str) -> str:
    """A name as the graph has it."""
    if name.startswith("~"):
        return f"{namespace.rstrip('/')}/{node}/{name[1:]}"
    return name if name.startswith("/") else f"{namespace.rstrip('/')}/{name}"


def allowed(context: str) -> Access:
    """What the policy allows in a context."""
    (profile,) = ElementTree.parse(POLICY).getroot().findall(f"contexts/context[@path='{context}']/profiles/profile")
    return {
        (rule.tag.removesuffix("s"), how, full(item.text or "", profile.get("ns", ""), profile.get("node", "")))
        for rule in profile
        for how in rule.attrib
        for item in rule
    }


def done(watcher: Node, name: str) -> Access:
    """What a node has on the graph; nothing while it is not known yet. Parts of actions count as the action."""
    found: Access = set()
    if (name, "/") not in watcher.get_node_names_and_namespaces():
        return found
    for kind, how, named in (
        ("topic", "publish", watcher.get_publisher_names_and_types_by_node(name, "/")),
        ("topic", "subscribe", watcher.get_subscriber_names_and_types_by_node(name, "/")),
        ("service", "reply", watcher.get_service_names_and_types_by_node(name, "/")),
        ("service", "request", watcher.get_client_names_and_types_by_node(name, "/")),
        ("action", "execute", get_action_server_names_and_types_by_node(watcher, name, "/")),
        ("action", "call", get_action_client_names_and_types_by_node(watcher, name, "/")),
    ):
        found |= {(kind, how, one) for one, _ in named if "/_action/" not in one}
    return found


def there(access: Access) -> Access:
    """Without what needs a package that is not installed here."""
    return {one for one in access if one[2] not in NEEDS or find_spec(NEEDS[one[2]])}


@contextmanager
def planner(domain: int, *ros_arguments: str) -> Iterator[Node]:
    """A node of that name, that somebody spins."""
    context = Context()
    rclpy.init(args=["--ros-args", *ros_arguments], context=context, domain_id=domain)
    node = Node("planner", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    over = threading.Event()

    def spin() -> None:
        while not over.is_set():
            executor.spin_once(0.1)

    thread = threading.Thread(target=spin)
    thread.start()
    yield node
    over.set()
    thread.join()
    executor.shutdown()
    node.destroy_node()
    context.try_shutdown()


def test_the_policy_has_the_form_that_sros2_reads() -> None:
    def check(element: Element) -> None:
        assert set(element.attrib) <= ATTRIBUTES.get(element.tag, set())
        assert {child.tag for child in element} <= CHILDREN[element.tag]
        assert bool(len(element)) == bool(CHILDREN[element.tag])
        if element.tag in ("topics", "services", "actions"):
            assert set(element.attrib.values()) == {"ALLOW"}
            assert len(element.attrib) == 1
        for child in element:
            check(child)

    root = ElementTree.parse(POLICY).getroot()
    assert (root.tag, root.get("version")) == ("policy", "0.2.0")
    check(root)


def test_it_allows_what_the_agent_does_and_nothing_else(domain: int, robot: Robot, start: Start) -> None:
    frame = ["-p", "output_frame:=map", "-p", "object_frames:=true"] if find_spec("tf2_ros") else []
    start(*CAMERA, "-p", "camera_mode:=always", "-p", "use_sim_time:=true", *frame)
    robot.connect()
    seen: Access = set()

    def look(*expected: tuple[str, str, str]) -> bool:
        seen.update(done(robot.node, "agent"))
        return seen >= set(expected)

    until(lambda: look(*(("topic", "subscribe", f"/camera/{name}") for name in ("image", "camera_info", "depth"))))
    assert robot.set_parameter("image_transport", "compressed").successful
    assert robot.set_parameter("depth_transport", "compressedDepth").successful
    for transition in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
        assert robot.change_state(transition)
    until(lambda: look(*there(allowed("/rsagent/agent"))))
    assert seen == there(allowed("/rsagent/agent"))


def test_it_allows_what_a_planner_does_and_nothing_else(domain: int, robot: Robot, start: Start) -> None:
    start()
    with planner(domain) as node, Agent(node=node) as client:
        answer = client.segment("a thing", image=np.full((48, 64, 3), 90, np.uint8))
        client.judge(answer.goal_id, True)
        client.stop_tracking()
        assert list(client.tracked(seconds=0.1)) == []
        until(lambda: done(robot.node, "planner") == there(allowed("/rsagent/planner")))


def test_it_allows_what_the_camera_does_and_nothing_else(domain: int, robot: Robot) -> None:
    if find_spec("mujoco") is None:  # not imported here: whoever renders chooses its OpenGL platform first
        pytest.skip("the simulated camera needs mujoco")
    camera = [str(ROOT / "examples/sim_camera.py")]
    size = ("-p", "width:=160", "-p", "height:=120", "-p", "compressed:=true")
    with AgentProcess(domain, *size, program=camera):
        until(lambda: "sim_camera" in robot.node.get_node_names())
        until(lambda: done(robot.node, "sim_camera") == allowed("/rsagent/camera"))


def test_agent_and_planner_work_under_enforce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As SECURITY.md says it is done. A planner that has another's enclave can't send a goal."""
    if shutil.which("ros2") is None or find_spec("sros2") is None:
        pytest.skip("there are no tools to make keys with: install ros-jazzy-sros2 from apt")
    libraries = [file for folder in os.environ["LD_LIBRARY_PATH"].split(os.pathsep)
                 for file in Path(folder).glob("libfastrtps.so*")]  # fmt: skip
    if not any(b"DDS:Auth:PKI-DH" in library.read_bytes() for library in libraries):
        pytest.skip("Fast DDS was built without its security plugins")
    keys = tmp_path / "keys"
    subprocess.run(["ros2", "security", "generate_artifacts", "-k", str(keys), "-p", str(POLICY)], check=True)
    monkeypatch.setenv("ROS_SECURITY_KEYSTORE", str(keys))
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    monkeypatch.setenv("ROS_SECURITY_STRATEGY", "Enforce")
    domain, image = next_domain(), np.full((48, 64, 3), 90, np.uint8)
    with AgentProcess(domain, "-p", "warm_up:=false", "--enclave", "/rsagent/agent") as agent:
        agent.ready()
        with planner(domain, "--enclave", "/rsagent/planner") as node, Agent(node=node) as client:
            assert client.segment("a thing", image=image).outcome == "found"
        with planner(domain, "--enclave", "/rsagent/camera") as node, Agent(node=node, wait=3.0) as client:  # noqa: SIM117
            with pytest.raises(AgentUnavailable):
                client.segment("a thing", image=image)
