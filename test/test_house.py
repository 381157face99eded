"""The house: what its files say of the package is true and of one version, and its parts import as agreed."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import grimp
import numpy as np
import pytest
from catkin_pkg.package import Package, parse_package
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

import rsagent_ros

ROOT = Path(__file__).resolve().parents[1]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
BASE = ""  # what is installed without any extra
GENERATED = re.compile(r"rsagent_ros\.(msg|action|srv)\b")  # from the interface files, beside a copy of the sources


@pytest.fixture(scope="module")
def package() -> Package:
    warnings: list[str] = []
    package = parse_package(ROOT / "package.xml", warnings=warnings)
    assert warnings == []
    return package


@pytest.fixture(scope="module")
def cmake() -> str:
    return (ROOT / "CMakeLists.txt").read_text()


def required(*extras: str) -> set[str]:
    """The distributions that pip installs with these extras, by their normalised names."""
    requirements = map(Requirement, distribution("rsagent").requires or [])
    return {
        canonicalize_name(requirement.name)
        for requirement in requirements
        if any(requirement.marker is None or requirement.marker.evaluate({"extra": extra}) for extra in extras)
    }


def importable(distributions: set[str]) -> set[str]:
    """The top-level modules that these distributions bring; of those not installed here, what they are called."""
    brought = packages_distributions().items()
    return distributions | {module for module, by in brought if distributions.intersection(map(canonicalize_name, by))}


def imports(*folders: Path) -> Iterator[tuple[Path, str]]:
    """Every module that the Python files of the folders import, as (file, dotted name)."""
    for path in (path for folder in folders for path in folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                yield from ((path, name.name) for name in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield from ((path, f"{node.module}.{name.name}") for name in node.names)


def test_one_version_everywhere(package: Package) -> None:
    newest_release = re.search(r"^## (\d\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    installed = re.search(r'version="(.+)"', (ROOT / "setup.py").read_text())
    assert newest_release is not None
    assert installed is not None
    assert {package.version, newest_release[1], installed[1]} == {rsagent_ros.__version__}


def test_manifest_is_valid_and_its_license_is_there(package: Package) -> None:
    package.validate()
    assert package.package_format == 3
    assert [(named, named.file) for named in package.licenses] == [("Apache-2.0", "LICENSE")]
    assert (ROOT / "LICENSE").read_text().lstrip().startswith("Apache License")
    assert package.get_build_type() == "ament_cmake"
    assert [group.name for group in package.member_of_groups] == ["rosidl_interface_packages"]


def test_manifest_names_what_the_build_finds(package: Package, cmake: str) -> None:
    found = set(re.findall(r"find_package\((\w+)", cmake))
    needed = [*package.buildtool_depends, *package.build_depends, *package.test_depends]
    declared = {dependency.name for dependency in needed if not dependency.name.startswith("python3-")}
    assert found == declared


def test_manifest_names_what_the_node_imports(package: Package) -> None:
    declared = {dependency.name for dependency in package.exec_depends}
    known = sys.stdlib_module_names | importable(required(BASE)) | declared | {"rsagent_ros", "rsagent_training"}
    folders = (ROOT / "rsagent_ros" / "ros", ROOT / "launch", ROOT / "examples")
    imported = {name.partition(".")[0] for _, name in imports(*folders)}
    neighbours = {path.stem for folder in folders for path in folder.glob("*.py")}
    assert imported - known - neighbours == set()


def test_every_interface_file_is_built(cmake: str) -> None:
    files = {f"{path.parent.name}/{path.name}" for kind in ("msg", "action", "srv") for path in ROOT.glob(f"{kind}/*")}
    assert set(re.findall(r"(?:msg|action|srv)/\w+\.\w+", cmake)) == files


def test_pip_installs_the_command_and_the_extras() -> None:
    installed = distribution("rsagent")
    extras = installed.metadata.get_all("Provides-Extra")
    assert extras is not None
    expected = "chat dev evaluation mcp models rerun ros-kilted-wheels ros-wheels scale serve sim training"
    assert sorted(extras) == expected.split()
    commands = {entry.name: entry.value for entry in installed.entry_points if entry.group == "console_scripts"}
    assert commands == {"rsagent": "rsagent_ros.cli:main"}


def test_what_errors_say_to_install_can_be_installed() -> None:
    """An extra of this checkout, not a name in the registry, which is not ours."""
    extras = set(distribution("rsagent").metadata.get_all("Provides-Extra") or [])
    files = [path for folder in ("rsagent_ros", "training", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    named = re.findall(r"pip install -e '\.\[(\w+)\]'", text)
    assert len(named) > 10
    assert set(named) <= extras
    assert "rsagent[" not in text


def test_every_ros_wheel_is_pinned() -> None:
    wheels = [Requirement(line) for line in distribution("rsagent").requires or [] if line.startswith("ros-")]
    assert wheels
    assert [wheel.name for wheel in wheels if [clause.operator for clause in wheel.specifier] != ["=="]] == []


@pytest.mark.parametrize(
    ("package_folder", "extras"),
    [
        ("rsagent_ros", (BASE, "chat", "evaluation", "mcp", "models", "rerun", "scale")),
        ("training/rsagent_training", (BASE, "scale", "sim", "training")),
    ],
)
def test_every_import_is_required(package_folder: str, extras: tuple[str, ...]) -> None:
    known = sys.stdlib_module_names | importable(required(*extras)) | {"rsagent_ros", "rsagent_training"}
    foreign = {
        (str(path.relative_to(ROOT)), name)
        for path, name in imports(ROOT / package_folder)
        if name.partition(".")[0] not in known and ROOT / "rsagent_ros" / "ros" not in path.parents
    }
    assert foreign == set()


def test_robots_get_every_requirement(package: Package) -> None:
    from_pip = set(re.findall(r"^([\w-]+)==", (ROOT / "environment/robot.txt").read_text(), re.MULTILINE))
    from_apt = {dependency.name.removeprefix("python3-") for dependency in package.exec_depends}
    assert required(BASE) - from_pip - from_apt == {"opencv-python-headless", "pyyaml"}  # python3-opencv, python3-yaml


def test_only_ros_modules_import_our_messages() -> None:
    users = {
        path.relative_to(ROOT).parts[:2]
        for path, name in imports(ROOT / "rsagent_ros", ROOT / "training")
        if GENERATED.match(name)
    }
    assert users <= {("rsagent_ros", "ros")}


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Holds the packages in a folder against the import contracts of pyproject.toml."""
    command = [str(LINT_IMPORTS), "--config", str(ROOT / "pyproject.toml"), "--no-cache", "--no-logo"]
    return subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the packages, to break."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "rsagent_ros", tmp_path / "rsagent_ros", ignore=ignore)
    shutil.copytree(ROOT / "training/rsagent_training", tmp_path / "rsagent_training", ignore=ignore)
    return tmp_path


def test_import_contracts_are_kept(sources: Path) -> None:
    run = lint_imports(sources)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("module", "line", "told"),
    [
        ("rsagent_ros/agent/bad.py", "import rsagent_ros.segmenters", "Dependencies point one way BROKEN"),
        ("rsagent_ros/homeless.py", "", "homeless"),
        ("rsagent_ros/agent/bad.py", "import torch", "The agent's core knows neither ROS nor neural networks BROKEN"),
        ("rsagent_ros/viewer/bad.py", "from sensor_msgs.msg import Image", "Only rsagent_ros.ros knows ROS BROKEN"),
        ("rsagent_training/bad.py", "import rsagent_ros.ros", "Only rsagent_ros.ros knows ROS BROKEN"),
        (
            "rsagent_ros/ros/bad.py",
            "import rsagent_training",
            "What runs on the robot imports nothing of training BROKEN",
        ),
    ],
)
def test_broken_import_contracts_are_told(sources: Path, module: str, line: str, told: str) -> None:
    (sources / module).write_text(line + "\n")
    run = lint_imports(sources)
    assert run.returncode != 0
    assert told in " ".join((run.stdout + run.stderr).split())


def import_circles(*packages: str) -> list[list[str]]:
    """Modules that import each other, over whatever way; an import counts wherever in a module it stands."""
    graph = grimp.build_graph(*packages, cache_dir=None)
    modules = sorted(module for module in graph.modules if not GENERATED.match(module))
    place = {module: number for number, module in enumerate(modules)}
    imported = {module: place.keys() & graph.find_modules_directly_imported_by(module) for module in modules}
    pairs = [(place[one], place[other]) for one in modules for other in imported[one]]
    matrix = coo_array((np.ones(len(pairs)), np.array(pairs, dtype=int).reshape(-1, 2).T), shape=(len(modules),) * 2)
    count, labels = connected_components(matrix, connection="strong")
    members: list[list[str]] = [[] for _ in range(count)]
    for module, label in zip(modules, labels, strict=True):
        members[label].append(module)
    return [circle for circle in members if len(circle) > 1]


def test_no_modules_import_each_other() -> None:
    assert import_circles("rsagent_ros", "rsagent_training") == []


def test_a_circle_of_late_imports_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "circle_of_imports"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "above.py").write_text("from circle_of_imports import first\n")
    (package / "first.py").write_text("def late():\n    from circle_of_imports import second\n")
    (package / "second.py").write_text(
        "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from circle_of_imports.first import late\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert import_circles(package.name) == [["circle_of_imports.first", "circle_of_imports.second"]]
