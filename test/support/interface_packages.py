"""Message packages that come with ROS from apt and are in no registry of Python packages, built for the tests.

test/interfaces has the names and fields of their messages: vision_msgs 4.1 and tf2_msgs as Jazzy has them.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DEFINITIONS = ROOT / "test/interfaces"
DEPENDENCIES = ("builtin_interfaces", "geometry_msgs", "std_msgs")

MANIFEST = """\
<package format="3">
  <name>{name}</name>
  <version>0.0.0</version>
  <description>Messages for tests.</description>
  <maintainer email="nobody@localhost.localdomain">nobody</maintainer>
  <license>Apache-2.0</license>
  <buildtool_depend>ament_cmake</buildtool_depend>
  <buildtool_depend>rosidl_default_generators</buildtool_depend>
  {depends}
  <member_of_group>rosidl_interface_packages</member_of_group>
  <export><build_type>ament_cmake</build_type></export>
</package>
"""
BUILD = """\
cmake_minimum_required(VERSION 3.20)
project({name})
find_package(ament_cmake REQUIRED)
find_package(rosidl_default_generators REQUIRED)
{finds}
rosidl_generate_interfaces({name} {files} DEPENDENCIES {dependencies})
ament_package()
"""


def environment() -> Mapping[str, str]:
    """The environment of a process that has these packages. Builds them first, once for each state of the definitions.

    Blocks for about a minute when it builds; another process that builds them is waited for.
    """
    files = sorted(DEFINITIONS.glob("*/*.msg"))
    state = hashlib.sha256(b"".join(file.name.encode() + file.read_bytes() for file in files))
    state.update(f"{sys.prefix} {sys.version}".encode())
    folder = ROOT / "build/test_interfaces" / state.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "ready").exists():
            _build(folder)
            (folder / "ready").touch()
    prefixes = [folder / "install" / file.name for file in DEFINITIONS.iterdir()]
    site = Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
    added = {
        "AMENT_PREFIX_PATH": prefixes,
        "PYTHONPATH": [prefix / site for prefix in prefixes],
        "LD_LIBRARY_PATH": [prefix / "lib" for prefix in prefixes],
    }
    return os.environ | {
        name: os.pathsep.join([*map(str, paths), os.environ.get(name, "")]) for name, paths in added.items()
    }


def _build(folder: Path) -> None:
    for definitions in DEFINITIONS.iterdir():
        package = folder / "src" / definitions.name
        (package / "msg").mkdir(parents=True, exist_ok=True)
        names = sorted(file.name for file in definitions.glob("*.msg"))
        for name in names:
            (package / "msg" / name).write_bytes((definitions / name).read_bytes())
        depends = "\n  ".join(f"<depend>{each}</depend>" for each in DEPENDENCIES)
        (package / "package.xml").write_text(MANIFEST.format(name=package.name, depends=depends))
        text = BUILD.format(
            name=package.name,
            finds="\n".join(f"find_package({each} REQUIRED)" for each in DEPENDENCIES),
            files=" ".join(f"msg/{name}" for name in names),
            dependencies=" ".join(DEPENDENCIES),
        )
        (package / "CMakeLists.txt").write_text(text)
    arguments = (
        f"-DCMAKE_PROJECT_INCLUDE={ROOT / 'environment/wheel_includes.cmake'}",
        f"-DPython3_EXECUTABLE={sys.executable}",
        "-DBUILD_TESTING=OFF",
    )
    colcon = Path(sys.executable).parent / "colcon"
    built = subprocess.run(
        [
            *(
                Path(sys.executable).parent / "colcon",
                "--log-base",
                folder / "log",
                "build",
                "--executor",
                "sequential",
            ),
            *("--base-paths", folder / "src", "--build-base", folder / "build", "--install-base", folder / "install"),
            *("--cmake-args", *arguments),
        ],
        cwd=folder,
        env=os.environ
        | {"AMENT_PREFIX_PATH": sys.prefix, "CMAKE_PREFIX_PATH": sys.prefix, "PYTHONPATH": ""}
        | {"PATH": f"{colcon.parent}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stdout + built.stderr
