"""The agent's node with models that fail as each goal asks them to: `faulty_agent.py [ROS arguments]`.

    "the mug"                      both models do their work
    "the mug [policy=hang]"        the policy follows that script
    "the mug [segmenter=raises]"   the segmenter has that fault

One process can so go through all faults, and the goal after a fault meets the node that the fault has left behind.
SIGUSR1 releases what hangs now. SIGUSR2 makes the disk of the records slow, or as it was.
"""

from __future__ import annotations

import re
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from fakes import (
    FINISH,
    MALFORMED,
    POLICY_SCRIPTS,
    SEGMENT,
    SEGMENTER_FAULTS,
    FakeConversation,
    FakePolicy,
    FakeSegmenter,
    Hang,
    Slow,
    Step,
)

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.pictures import DEFAULT_PICTURES
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.backends import Models
from rsagent_ros.records.record import Record
from rsagent_ros.records.writer import RecordWriter
from rsagent_ros.ros.program import run

SCRIPTS: Mapping[str, Sequence[Step]] = {
    **POLICY_SCRIPTS,
    "gibberish": (MALFORMED, "<tool_call>{", "\x00\x1b[2J", '{"name": "finish"}'),
    "endless": ("blah " * 200_000,),
    "ends_its_thread": (SystemExit(1),),
    "thinks": (SEGMENT, Slow(0.5, FINISH)),
    "hangs_briefly": (SEGMENT, Hang(0.15)),
}
ASKED = re.compile(r"\[(policy|segmenter)=(\w+)\]")


class AskedPolicy:
    """Follows the script that the instruction names."""

    name = "fake_policy"
    pictures = DEFAULT_PICTURES

    def __init__(self, segmenter: FakeSegmenter) -> None:
        """Fail by request.

        Args:
            segmenter: What fails by request too.
        """
        self.segmenter = segmenter
        self.scripted = {name: FakePolicy(script, remember=False) for name, script in SCRIPTS.items()}

    def open(self) -> AskedConversation:
        return AskedConversation(self)

    def release(self) -> None:
        """End what hangs now; what hangs later is not concerned."""
        models: list[FakePolicy | FakeSegmenter] = [*self.scripted.values(), self.segmenter]
        for model in models:
            model.release.set()
            model.release = threading.Event()


class AskedConversation:
    """A conversation that begins when it has read the instruction."""

    def __init__(self, policy: AskedPolicy) -> None:
        self._policy = policy
        self._scripted: FakeConversation | None = None

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        if self._scripted is None:
            asked: dict[str, str] = dict(ASKED.findall(new_messages[-1].text))
            fault = asked.get("segmenter", "none")
            self._policy.segmenter.fault = SEGMENTER_FAULTS[SEGMENTER_FAULTS.index(fault)]
            self._scripted = self._policy.scripted[asked.get("policy", "instant")].open()
        return self._scripted.reply(new_messages, limits=limits, cancel=cancel)

    def close(self) -> None:
        if self._scripted is not None:
            self._scripted.close()


class SlowDisk:
    """A disk that takes its time for each record, once it is told to."""

    SECONDS = 0.06
    """For a record, which is longer than the goal took."""

    def __init__(self) -> None:
        self.slow = False
        write = RecordWriter.write

        def written(writer: RecordWriter, record: Record) -> Path:
            if self.slow:
                time.sleep(self.SECONDS)
            return write(writer, record)

        RecordWriter.write = written  # type: ignore[assignment, method-assign]

    def toggle(self, *_: object) -> None:
        self.slow = not self.slow


def main(*ros_arguments: str) -> int:
    segmenter = FakeSegmenter(remember=False)
    policy = AskedPolicy(segmenter)
    signal.signal(signal.SIGUSR1, lambda *_: policy.release())
    signal.signal(signal.SIGUSR2, SlowDisk().toggle)
    return run(ros_arguments, load=lambda parameters: Models(policy, segmenter))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
