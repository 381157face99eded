"""The Fast DDS profile takes effect in the node's process, by whichever of the two variables its release reads."""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest
from ros_support import PROFILE, PROFILE_VARIABLES, ROOT, AgentProcess


def segment_bytes() -> int:
    """Size of the shared memory in the profile."""
    root = ElementTree.parse(PROFILE).getroot()
    (size,) = (element.text for element in root.iter() if element.tag.endswith("}segment_size"))
    return int(size or 0)


def largest_shared_memory(process: psutil.Process) -> int:
    """Bytes of the largest file in /dev/shm that a process maps."""
    files = [Path(part.path) for part in process.memory_maps() if "/dev/shm/" in part.path]
    return max((file.stat().st_size for file in files), default=0)


@pytest.mark.parametrize("with_profile", [True, False])
def test_the_shared_memory_is_as_large_as_the_profile_says(
    domain: int, with_profile: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PROFILE_VARIABLES:
        if with_profile:
            monkeypatch.setenv(name, str(PROFILE))
        else:
            monkeypatch.delenv(name, raising=False)
    with AgentProcess(domain, "-p", "warm_up:=false") as agent:
        agent.ready()
        size = largest_shared_memory(psutil.Process(agent.process.pid))
    assert (size >= segment_bytes()) == with_profile


def test_the_shell_of_the_checkout_sets_both_variables() -> None:
    script = f"source {ROOT / 'environment/activate'} && echo ${PROFILE_VARIABLES[0]} ${PROFILE_VARIABLES[1]}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert [Path(word) for word in done.stdout.split()] == [PROFILE, PROFILE]
