"""A fresh colcon workspace, from `colcon build` to a simulated robot that answers, by what was installed alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ros_support import PATIENCE, ROOT

COLCON = Path(sys.executable).parent / "colcon"
CAMERA = ("-r", "image:=camera/image", "-r", "camera_info:=camera/camera_info", "-r", "depth:=camera/depth")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workspace, built. Takes a minute or more."""
    workspace = tmp_path_factory.mktemp("workspace")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            copy = workspace / "src/rsagent_ros" / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy)
    wheels = workspace / "src/rsagent_ros/environment/wheel_includes.cmake"
    colcon(
        workspace,
        *("build", "--packages-select", "rsagent_ros", "--cmake-args", f"-DCMAKE_PROJECT_INCLUDE={wheels}"),
        f"-DPython3_EXECUTABLE={sys.executable}",
        AMENT_PREFIX_PATH=sys.prefix,
        CMAKE_PREFIX_PATH=sys.prefix,
        PYTHONPATH="",
    )
    return workspace


def colcon(workspace: Path, *arguments: str, **environment: str) -> str:
    """What it printed."""
    environment = os.environ | {"PATH": f"{COLCON.parent}{os.pathsep}{os.environ['PATH']}"} | environment
    done = subprocess.run(
        [COLCON, *arguments], cwd=workspace, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def sourced(workspace: Path) -> dict[str, str]:
    """The environment of a shell where the workspace is sourced; the checkout is not on any path of it."""
    installed, site = workspace / "install/rsagent_ros", sysconfig.get_path("purelib")
    modules = installed / Path(site).relative_to(sys.prefix)
    return os.environ | {
        "AMENT_PREFIX_PATH": f"{installed}{os.pathsep}{sys.prefix}",
        "PYTHONPATH": f"{modules}{os.pathsep}{site}",
        "LD_LIBRARY_PATH": f"{installed / 'lib'}{os.pathsep}{os.environ['LD_LIBRARY_PATH']}",
    }


@contextmanager
def running(workspace: Path, domain: int, program: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """An installed program. Without the module `site`, which would put the checkout on the path."""
    process = subprocess.Popen(
        [sys.executable, "-S", workspace / "install/rsagent_ros/lib/rsagent_ros" / program, *arguments],
        env=sourced(workspace) | {"ROS_DOMAIN_ID": str(domain)},
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        sys.stdout.write(process.communicate(timeout=PATIENCE)[0])


@pytest.mark.timeout(1500)
def test_a_simulated_robot_answers(workspace: Path, domain: int) -> None:
    pytest.importorskip("mujoco", reason="the simulated camera needs it: environment/sim.txt")
    with (
        running(workspace, domain, "sim_camera.py"),
        running(workspace, domain, "agent_node", "--ros-args", *CAMERA),
        running(workspace, domain, "ask", "the green ball", "--time-budget", "60") as ask,
    ):
        told, _ = ask.communicate(timeout=5 * PATIENCE)
    assert ask.returncode == 0, told
    assert ") m in camera_optical_frame" in told


@pytest.mark.timeout(1500)
def test_colcon_tests_what_it_built(workspace: Path) -> None:
    colcon(workspace, "test", "--packages-select", "rsagent_ros", **sourced(workspace))
    counted = colcon(workspace, "test-result")
    assert "0 errors, 0 failures" in counted
    assert not counted.startswith("Summary: 0 tests")
