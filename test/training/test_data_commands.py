"""The flags of collect, questions and synthesize are there without what only their work needs."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "transformers", "tqdm", "mujoco", "ray", "openai", "rsagent_training.expert")


def test_flags_need_nothing_heavy() -> None:
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({HEAVY}))\n"
        "import argparse\n"
        "from rsagent_training.data_commands import add_collect, add_questions, add_split, add_synthesize\n"
        "commands = argparse.ArgumentParser().add_subparsers()\n"
        "for add in (add_collect, add_questions, add_split, add_synthesize): add(commands)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
