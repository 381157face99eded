"""Goals with random faults for as long as one likes, against one node: nothing may leak, and every goal must end.

    make soak                                  10,000 goals; minutes to an hour, as fast as the machine is
    python benchmarks/soak.py --seconds 30     what CI runs
    python benchmarks/soak.py --goals 500 --seed 7

Goals come by action and topic, with images of their own and for a camera; faults are those of test/faults, chosen at
random from a seed: models that hang, raise or talk nonsense, cancels at any time, hostile text, broken images, budgets
nobody can keep, changed parameters, transitions. Every goal must end exactly once and in a way that its fault allows.
The node records all the while, and its records are bounded.

The node runs with two settings of glibc's allocator, so that what grows is what the node itself keeps, and not what
malloc has kept. MALLOC_ARENA_MAX=1: else new threads get arenas of their own, and what was freed stays in them.
MALLOC_MMAP_THRESHOLD_=65536: else large blocks are taken from the heap once the first of them was freed, and leave
holes in it; so they go back to the system.

`out/soak.json` gets the figures; the exit code is 1 where a bound is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

# The faults are those of the tests.
sys.path.extend(str(Path(__file__).resolve().parents[1] / "test" / part) for part in ("", "support"))

import psutil
from faults.camera import broken
from faults.goal import Goal
from faults.goals import HOSTILE
from faults.matrix import Setup
from faults.stage import Stage, square

OUT = Path(__file__).resolve().parents[1] / "out/soak.json"
GROWTH = 0.02
"""Largest growth of the node's resident memory after the warm-up."""

FILLING = ("a thing [policy=endless]",) * 40 + ("one of them [policy=ambiguous]",) * 210
"""Goals that fill what the node keeps up to its bounds, first of all: DDS holds the last 100 turns and 10 results in
buffers that never shrink, and the node the last 200 questions. With random goals that would take thousands of them."""

WARM_UP = 0.4
"""Share of the batches. The heap levels off slowly, as rare sizes of messages and pictures find their places in it."""

BATCH = 50
TOGETHER = 4
"""Goals under way at most; one more waits for the oldest."""

ALLOCATOR = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": "65536"}
SOAK = Setup(
    "soak",
    (
        "queue_policy:=queue",
        "hang_grace:=1.0",
        "frame_timeout:=1.0",
        "result_timeout:=1",
        "record_megabytes:=2.0",
        "diagnostics_period:=0.2",
    ),
)
SPENT, NO_TURNS = "GAVE_UP TIME_SPENT", "GAVE_UP TURNS_SPENT"


@dataclass(frozen=True)
class Kind:
    """One kind of goal.

    Attributes:
        words: The instruction, with the fault of the models.
        ends: How it may end.
        weight: How often it comes.
        budget: Seconds.
        canceled: At a random moment.
        camera: It looks through the camera.
        image: `broken`, for one that is.
    """

    words: str
    ends: tuple[str, ...]
    weight: float = 1.0
    budget: float = 10.0
    canceled: bool = False
    camera: bool = False
    image: str = ""


KINDS = (
    Kind("a thing", ("FOUND",), weight=30.0),
    Kind("a thing", ("FOUND",), weight=8.0, camera=True),
    Kind("nothing [policy=absent]", ("NOT_IN_VIEW",), weight=4.0),
    Kind("one of them [policy=ambiguous]", ("AMBIGUOUS",), weight=4.0),
    Kind("a thing [policy=malformed]", ("FOUND",), weight=2.0),
    Kind("a thing [policy=gibberish]", (NO_TURNS,), weight=2.0),
    Kind("a thing [policy=endless]", (NO_TURNS,), weight=0.5),
    Kind("a thing [policy=raises]", ("FAILED POLICY_FAILED",)),
    Kind("a thing [policy=ends_its_thread]", ("FAILED POLICY_FAILED",)),
    Kind("a thing [policy=out_of_memory]", ("FAILED OUT_OF_MEMORY",)),
    Kind("a thing [policy=memory_error]", ("FAILED OUT_OF_MEMORY",)),
    Kind("a thing [policy=breaks_off]", ("FAILED POLICY_FAILED",)),
    Kind("a thing [policy=hangs_briefly]", (SPENT, "FOUND"), budget=0.1),
    Kind("a thing [policy=slow]", (SPENT,), budget=0.1),
    Kind("a thing [policy=slow]", ("CANCELED",), weight=2.0, canceled=True),
    Kind("a thing", ("CANCELED", "FOUND"), weight=2.0, canceled=True, camera=True),
    Kind("a thing [segmenter=raises]", ("FAILED SEGMENTER_FAILED",)),
    Kind("a thing [segmenter=out_of_memory]", ("FAILED OUT_OF_MEMORY",)),
    Kind("a thing [segmenter=nan_score]", (NO_TURNS,)),
    Kind("a thing [segmenter=empty_mask]", (NO_TURNS,)),
    Kind("a thing [segmenter=wrong_shape]", ("FAILED SEGMENTER_FAILED",)),
    Kind(HOSTILE, ("FOUND",)),
    Kind("red mug " * 1000, ("FAILED INVALID_GOAL",)),
    Kind("", ("FAILED INVALID_GOAL",)),
    Kind("a thing", ("FAILED BAD_IMAGE",), image="broken"),
)
CHANGES = (
    ("jpeg_quality", (50, 90)),
    ("max_frame_age", (1.0, 2.0)),
    ("max_turns", (6, 8)),
    ("time_budget", (-1.0, 8.0)),
)


@dataclass(frozen=True)
class Sample:
    """The node between two batches, without a goal.

    Attributes:
        goals: So far.
        rss: Resident memory, bytes.
        own: Of that, what is the process's own: no files, and not the 32 MiB that DDS shares with other processes,
            which become resident page by page as they are first used.
        threads, files, endpoints: How many.
    """

    goals: int
    rss: int
    own: int
    threads: int
    files: int
    endpoints: int


@dataclass(frozen=True)
class Figures:
    """Content of `out/soak.json`.

    Attributes:
        goals: That have ended.
        seconds: From the first to the last.
        per_second: Goals.
        endings: How many ended in which way.
        own_mb, rss_mb: Memory of the node after the warm-up, and at the end; see Sample.
        growth: Of its resident memory, as a fraction.
        course_mb: Median of its own memory in each tenth of the run, warm-up included.
        threads, files, endpoints: After the warm-up, and at the end; endpoints are publishers and subscriptions.
        wrong: What was not as it should be.
    """

    goals: int
    seconds: float
    per_second: float
    seed: int
    endings: dict[str, int]
    own_mb: tuple[float, float]
    rss_mb: tuple[float, float]
    growth: float
    course_mb: list[float]
    threads: tuple[int, int]
    files: tuple[int, int]
    endpoints: tuple[int, int]
    wrong: list[str]


class Soak:
    """Sends goals, and looks at the node between the batches."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._chance = random.Random(seed)
        self._weights = [kind.weight for kind in KINDS]
        self._process = psutil.Process(stage.agent.process.pid)
        self.endings: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.samples: list[Sample] = []

    @property
    def goals(self) -> int:
        """That have ended."""
        return self.endings.total()

    def fill(self) -> None:
        """Bring everything that is bounded to its bound."""
        for number, words in enumerate(FILLING):
            goal = self._stage.say(words) if number % 2 else self._stage.send(words)
            goal.wait()
        self._stage.forget()

    def batch(self) -> None:
        """BATCH goals, and something that happens to the node between them."""
        running: list[tuple[Kind, Goal]] = []
        for kind in self._chance.choices(KINDS, self._weights, k=BATCH):
            if len(running) == TOGETHER:
                self._ended(*running.pop(0))
            running.append((kind, self._send(kind)))
        for pair in running:
            self._ended(*pair)
        name, values = self._chance.choice(CHANGES)
        self._stage.robot.set_parameter(name, self._chance.choice(values))
        if self._chance.random() < 0.1:
            self._stage.activate_with()
        self._stage.forget()
        self.samples.append(self._sample())

    def _send(self, kind: Kind) -> Goal:
        fields = {"image": broken(step=1)} if kind.image else {}
        if not kind.canceled and self._chance.random() < 0.4:
            return self._stage.say(kind.words, kind.budget, camera=kind.camera, **fields)
        goal = self._stage.send(kind.words, kind.budget, camera=kind.camera, **fields)
        if kind.canceled:
            time.sleep(self._chance.uniform(0.0, 0.05))
            goal.cancel()
        return goal

    def _ended(self, kind: Kind, goal: Goal) -> None:
        goal.wait()
        self._stage.received(goal)
        self.endings[goal.ending] += 1
        self.wrong += goal.complaints()
        if goal.ending not in kind.ends and not (kind.budget < 1.0 and goal.ending == SPENT):
            self.wrong.append(f"{goal.id}: {kind.words[:60]!r} ended as {goal.ending}: {goal.result.error_msg}")

    def _sample(self) -> Sample:
        with self._process.oneshot():
            memory = self._process.memory_info()
            return Sample(
                goals=self.goals,
                rss=memory.rss,
                own=memory.rss - memory.shared,
                threads=self._process.num_threads(),
                files=self._process.num_fds(),
                endpoints=self._endpoints(),
            )

    def _endpoints(self) -> int:
        node = self._stage.robot.node
        topics = {name for name, _ in node.get_topic_names_and_types()}
        return sum(
            info.node_name == "agent"
            for topic in topics
            for info in (*node.get_publishers_info_by_topic(topic), *node.get_subscriptions_info_by_topic(topic))
        )

    def _tenths(self) -> list[list[int]]:
        """Memory of the samples, in ten parts or as many as there are samples."""
        parts = min(10, len(self.samples))
        bounds = [round(number * len(self.samples) / parts) for number in range(parts + 1)]
        return [[one.own for one in self.samples[low:high]] for low, high in pairwise(bounds)]

    def figures(self, seconds: float, seed: int) -> Figures:
        """Hold the end against the time after the warm-up."""
        settled = self.samples[int(len(self.samples) * WARM_UP) :]
        part = max(3, len(settled) // 10)
        first, last = settled[:part], settled[-part:]

        def both(name: str) -> tuple[int, int]:
            """The least of each part: what is only there for a moment, such as a thread that ends, is no leak."""
            return min(getattr(one, name) for one in first), min(getattr(one, name) for one in last)

        def medians(name: str) -> tuple[float, float]:
            """Megabytes of each part."""
            before, after = (statistics.median(getattr(one, name) for one in part) / 1e6 for part in (first, last))
            return round(before, 1), round(after, 1)

        own, rss = medians("own"), medians("rss")
        growth = rss[1] / rss[0] - 1
        wrong = [*self.wrong]
        if growth > GROWTH:
            wrong.append(f"resident memory has grown by {growth:.1%}")
        for name in ("threads", "files", "endpoints"):
            begin, end = both(name)
            if end > begin:
                wrong.append(f"{name}: {begin} after the warm-up, {end} at the end")
        return Figures(
            goals=self.goals,
            seconds=round(seconds, 1),
            per_second=round(self.goals / seconds, 1),
            seed=seed,
            endings=dict(self.endings.most_common()),
            own_mb=own,
            rss_mb=rss,
            growth=round(growth, 4),
            course_mb=[round(statistics.median(tenth) / 1e6, 1) for tenth in self._tenths()],
            threads=both("threads"),
            files=both("files"),
            endpoints=both("endpoints"),
            wrong=wrong,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(description="Goals with random faults; nothing may leak.")
    parser.add_argument("--goals", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, help="instead of a number of goals")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args(argv)
    os.environ |= ALLOCATOR
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(SOAK, Path(folder))
        try:
            stage.film(square())
            soak = Soak(stage, options.seed)
            soak.fill()
            begun = reported_at = time.monotonic()
            over = begun
            while (over - begun < options.seconds) if options.seconds else (soak.goals < options.goals):
                soak.batch()
                over = time.monotonic()
                if over - reported_at > 10:
                    reported_at = over
                    print(f"{soak.goals} goals, {soak.goals / (over - begun):.1f}/s, {soak.samples[-1]}", flush=True)
            figures = soak.figures(over - begun, options.seed)
        finally:
            stage.close()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(asdict(figures), indent=1) + "\n", encoding="utf-8")
    print(json.dumps(asdict(figures), indent=1))
    return 1 if figures.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
