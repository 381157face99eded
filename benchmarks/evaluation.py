"""Speed of the evaluation: metrics of many masks, two workers against one, and memory over ten thousand samples."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import psutil
from entry import Entry, at_most, not_here, reported

from rsagent_ros.agent.actions import Finish, Segment, render
from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import Mask, decode_rle, encode_rle
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.pictures import DEFAULT_PICTURES
from rsagent_ros.agent.policy import Conversation, Reply, ReplyLimits
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt
from rsagent_ros.backends import Choice, Models
from rsagent_ros.data.example import Example, blank_image
from rsagent_ros.data.folder import save_examples
from rsagent_ros.datasets import Dataset
from rsagent_ros.evaluation.answering import Answering, WorkItem
from rsagent_ros.evaluation.cluster import Workers
from rsagent_ros.evaluation.evaluator import Evaluated, EvaluationConfig, evaluate
from rsagent_ros.evaluation.report.summary import summarise
from rsagent_ros.evaluation.results import Measured, RunSettings
from rsagent_ros.scoring.prediction import Prediction
from rsagent_ros.scoring.score import score

HEIGHT, WIDTH = 480, 640
SAMPLES = 10_000
LIMIT_SECONDS = 60.0
LIMIT_GAIN = 1.7
LIMIT_SLOPE = 100.0
REPLY_SECONDS = 0.04
TURNS = (render(Segment(box=Box(200, 200, 700, 700))), render(Finish((1,))))


def run() -> list[Entry]:
    """Measure; about two minutes."""
    return [_metrics(), _bootstrap(), _memory(), *_workers()]


def _blob(seed: int) -> Mask:
    """A wavy thing somewhere in the frame, of any size, as COCO has them."""
    random = np.random.default_rng(seed)
    angles = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    radius = random.uniform(15, 160) * (1 + 0.2 * np.sin(random.integers(2, 9) * angles))
    centre = random.uniform((0, 0), (WIDTH, HEIGHT))
    points = centre + np.stack([radius * np.cos(angles), radius * np.sin(angles)], axis=1)
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.fillPoly(canvas, [points.astype(np.int32)], 1)
    return np.asarray(canvas > 0)


def _metrics() -> Entry:
    """From run lengths on both sides to all scores of a sample."""
    kinds = 100
    pairs = []
    for seed in range(kinds):
        blob = _blob(seed)
        given = np.asarray(cv2.dilate(blob.view(np.uint8), np.ones((5, 9), np.uint8)) > 0)
        pairs.append((encode_rle(blob), encode_rle(given)))
    before = time.perf_counter()
    for index in range(SAMPLES):
        right, predicted = pairs[index % kinds]
        example = Example("a", blank_image((HEIGHT, WIDTH)), "", Outcome.FOUND, (decode_rle(right),))
        score(Prediction(Outcome.FOUND, decode_rle(predicted), confidence=0.5), example)
    return at_most(
        f"metrics of {SAMPLES} samples of {WIDTH}x{HEIGHT}",
        time.perf_counter() - before,
        "s",
        LIMIT_SECONDS,
        "decode, IoU, boundary F; one thread",
    )


def _bootstrap() -> Entry:
    """The whole summary of as many rows."""
    mask = _blob(1)
    example = Example("a", blank_image((HEIGHT, WIDTH)), "", Outcome.FOUND, (mask,))
    made = score(Prediction(Outcome.FOUND, mask, confidence=0.5), example)
    found = Evaluated(RunSettings({}, {}), [made] * SAMPLES, [Measured(1.0)] * SAMPLES, [], [])
    before = time.perf_counter()
    summarise(found)
    return reported(f"summary of {SAMPLES} samples", time.perf_counter() - before, "s", "10,000 resamples of all rates")


class _Thinking:
    """A policy that is bound by its model: every reply takes a fixed time of waiting."""

    name = "thinking"
    pictures = DEFAULT_PICTURES

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def open(self) -> Conversation:
        return _Thought(self.seconds)


class _Thought:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._turn = 0

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        time.sleep(self._seconds)
        self._turn += 1
        return Reply(TURNS[self._turn - 1], seconds=self._seconds)

    def close(self) -> None:
        """Nothing to free."""


class _Boxes:
    """Masks the box."""

    name = "boxes"

    def encode(self, image: np.ndarray) -> tuple[int, int]:
        """Height and width."""
        return image.shape[0], image.shape[1]

    def masks(self, encoding: tuple[int, int], prompt: MaskPrompt) -> list[Candidate]:
        """One."""
        mask = np.zeros(encoding, np.bool_)
        if prompt.box is not None:
            x0, y0, x1, y1 = prompt.box.round().astype(int)
            mask[y0:y1, x0:x1] = True
        return [Candidate(mask, 0.9, np.where(mask, np.float32(8), np.float32(-8)).astype(np.float32))]


def open_fakes(seconds: float) -> Models:
    """Models for a worker to load."""
    return Models(_Thinking(seconds), _Boxes())


def _memory() -> Entry:
    """Resident memory while episodes run, after the first tenth."""
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    mask = np.zeros((120, 160), np.bool_)
    mask[30:90, 40:110] = True
    process = psutil.Process()
    taken: list[tuple[int, int]] = []
    with Answering(open_fakes(0.0), Budget(seconds=60.0), seed=0) as answering:
        for index in range(SAMPLES):
            answering.result(WorkItem(index, Example(f"s{index}", image.copy(), "the thing", Outcome.FOUND, (mask,))))
            if index % 500 == 0 and index >= SAMPLES // 10:
                taken.append((index, process.memory_info().rss))
    counts, sizes = np.array(taken, dtype=np.float64).T
    slope = float(np.polyfit(counts, sizes, 1)[0])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return at_most(
        "memory per sample", max(slope, 0.0), "B", LIMIT_SLOPE, f"over {SAMPLES} episodes; peak {peak:.0f} MB"
    )


def _workers() -> list[Entry]:
    if find_spec("ray") is None:
        return [not_here("two workers over one", "pip install -e '.[scale]'")]
    import ray

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    here = str(Path(__file__).parent)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": here}})
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _write_scenes(folder / "scenes", 150)
            models = partial(open_fakes, REPLY_SECONDS)
            rates = {count: _samples_per_second(folder, count, models) for count in (1, 2)}
    finally:
        ray.shutdown()
    gain = rates[2] / rates[1]
    note = f"{rates[1]:.1f} and {rates[2]:.1f} samples/s at {1000 * REPLY_SECONDS:.0f} ms a reply"
    return [Entry("two workers over one", round(gain, 3), "x", f">= {LIMIT_GAIN:g}", gain >= LIMIT_GAIN, note)]


def _samples_per_second(folder: Path, workers: int, models: Callable[[], Models]) -> float:
    """Between the first and the last result, so without the start of the workers."""
    times: list[float] = []
    plan = EvaluationConfig(
        Dataset("scenes", str(folder / "scenes")), Choice(), Budget(seconds=60.0), workers=Workers(workers)
    )
    evaluate(plan, folder / f"out{workers}", lambda score, total: times.append(time.perf_counter()), models)
    return (len(times) - 1) / (times[-1] - times[0])


def _write_scenes(folder: Path, count: int) -> None:
    image = np.asarray(
        cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8), (9, 9), 0)
    )
    masks = (_blob(3),)
    save_examples(
        (Example(f"s{n:04}", image.astype(np.uint8), "the thing", Outcome.FOUND, masks) for n in range(count)),
        folder,
    )
