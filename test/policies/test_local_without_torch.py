"""Where torch is not installed, the local policy says what to install; the rest does not need it."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys
sys.modules[sys.argv[1]] = None
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.policies.local import LocalConfig, load_local_policy
try:
    load_local_policy(LocalConfig("models/some"))
except RunFailed as failed:
    print(failed.code.name, failed.message)
"""


def test_what_is_missing_is_told_with_what_to_install() -> None:
    for package in ("torch", "transformers"):
        done = subprocess.run([sys.executable, "-c", PROGRAM, package], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("MODEL_UNAVAILABLE the policy local needs torch and transformers (")
        assert done.stdout.strip().endswith("pip install -e '.[models]'")
