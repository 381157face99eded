"""Collect these tests where `make test-vllm` asks for them: each file starts a real server, which takes minutes."""

from __future__ import annotations

import os

collect_ignore_glob = [] if "RSAGENT_VLLM" in os.environ else ["test_*.py"]
