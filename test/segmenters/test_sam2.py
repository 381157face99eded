"""The SAM segmenter over a tiny random network from disk: prompts, batches, bounds, faults, threads, episodes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch", reason="the extra [models] is not installed")
pytest.importorskip("transformers", reason="the extra [models] is not installed")

import torch
from fakes import ABSENT, FINISH, SEGMENT, ZOOM, FakePolicy
from sam2_cases import BOX, NEGATIVE, POINT, POSITIVE, picture

from rsagent_ros.agent.actions import Combine, ResetView, Segment, render
from rsagent_ros.agent.budget import Budget
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed, ToolFailed
from rsagent_ros.agent.geometry import Box, Point
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt
from rsagent_ros.segmenters.encodings import Features
from rsagent_ros.segmenters.sam2 import PROMPTS_AT_ONCE, Sam2Segmenter, open_sam2
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.segmenters.sam2_network import Sam2Network
from rsagent_ros.segmenters.sam2_tensors import LOGIT_LIMIT, PromptTensors
from rsagent_ros.segmenters.transformers_sam2 import TransformersSam2
from rsagent_ros.weights.tiny_sam2 import save_tiny_sam2


def on_cpu(checkpoint: Path, **options: Any) -> Sam2Config:
    return Sam2Config(str(checkpoint), device="cpu", **options)


SINGLE = [
    MaskPrompt.of(box=BOX),
    MaskPrompt.of(positive=POSITIVE),
    MaskPrompt.of(positive=(POINT,), negative=NEGATIVE),
    MaskPrompt.of(box=BOX, positive=POSITIVE, negative=NEGATIVE),
    MaskPrompt.of(mask_input=np.full((64, 64), 3.0, dtype=np.float32)),
    MaskPrompt.of(positive=(POINT,), mask_input=np.full((37, 91), -3.0, dtype=np.float32)),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save_tiny_sam2(folder)
    return folder


@pytest.fixture(scope="module")
def segmenter(checkpoint: Path) -> Sam2Segmenter:
    return open_sam2(on_cpu(checkpoint))


class Watched:
    """A network that counts its calls, and into whose calls tests can put faults."""

    def __init__(self, network: Sam2Network) -> None:
        self._network = network
        self.name = network.name
        self.input_format = network.input_format
        self.device = network.device
        self.dtype = network.dtype
        self.embedded = 0
        self.decoded: list[int] = []
        self.before_embed: Callable[[], None] = lambda: None
        self.after_decode: Callable[[torch.Tensor, torch.Tensor], None] = lambda logits, scores: None
        self._busy = threading.Lock()

    def embed(self, pixels: torch.Tensor) -> Features:
        assert self._busy.acquire(blocking=False), "two threads are in the network"
        try:
            self.before_embed()
            self.embedded += 1
            return self._network.embed(pixels)
        finally:
            self._busy.release()

    def decode(self, features: Features, prompts: PromptTensors) -> tuple[torch.Tensor, torch.Tensor]:
        assert self._busy.acquire(blocking=False), "two threads are in the network"
        try:
            self.decoded.append(prompts.point_coords.shape[0])
            logits, scores = self._network.decode(features, prompts)
            self.after_decode(logits, scores)
            return logits, scores
        finally:
            self._busy.release()


@pytest.fixture
def watched(checkpoint: Path) -> Watched:
    return Watched(TransformersSam2.load(on_cpu(checkpoint)))


def same(one: Candidate, other: Candidate) -> bool:
    """Equal but for the order of sums in a batch."""
    return (
        np.allclose(one.logits, other.logits, atol=1e-4)
        and abs(one.score - other.score) < 1e-5
        and np.mean(one.mask != other.mask) < 1e-3
    )


def iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float(np.sum(one & other) / np.sum(one | other))


def test_a_single_point_gets_three_candidates(segmenter: Sam2Segmenter) -> None:
    candidates = segmenter.masks(segmenter.encode(picture()), MaskPrompt.of(positive=(POINT,)))
    assert len(candidates) == 3
    for candidate in candidates:
        assert candidate.mask.shape == (150, 260)
        assert candidate.mask.dtype == np.bool_
        assert candidate.logits.shape == (64, 64)
        assert candidate.logits.dtype == np.float32
        assert np.abs(candidate.logits).max() <= LOGIT_LIMIT
        assert 0.0 <= candidate.score <= 1.0
    assert not np.array_equal(candidates[0].mask, candidates[1].mask)


@pytest.mark.parametrize("prompt", SINGLE)
def test_any_other_prompt_gets_one(segmenter: Sam2Segmenter, prompt: MaskPrompt) -> None:
    (candidate,) = segmenter.masks(segmenter.encode(picture()), prompt)
    assert candidate.mask.shape == (150, 260)
    assert 0 < candidate.mask.mean() < 1


@pytest.mark.parametrize("size", [(1, 1), (32, 700), (701, 33), (256, 256)])
def test_images_of_any_shape(segmenter: Sam2Segmenter, size: tuple[int, int]) -> None:
    height, width = size
    image = np.resize(picture(), (height, width, 3))
    (candidate,) = segmenter.masks(segmenter.encode(image), MaskPrompt.of(box=Box(0.0, 0.0, width, height)))
    assert candidate.mask.shape == size


def test_where_a_prompt_points_matters(segmenter: Sam2Segmenter) -> None:
    encoding = segmenter.encode(picture())
    (red,) = segmenter.masks(encoding, MaskPrompt.of(box=BOX))
    (blue,) = segmenter.masks(encoding, MaskPrompt.of(box=Box(165.0, 55.0, 235.0, 125.0)))
    assert not np.array_equal(red.logits, blue.logits)


def test_a_mask_input_moves_the_answer_towards_itself(segmenter: Sam2Segmenter) -> None:
    encoding = segmenter.encode(picture())
    (plain,) = segmenter.masks(encoding, MaskPrompt.of(box=BOX))
    (refined,) = segmenter.masks(encoding, MaskPrompt.of(box=BOX, mask_input=plain.logits))
    (elsewhere,) = segmenter.masks(encoding, MaskPrompt.of(box=BOX, mask_input=-plain.logits))
    assert not np.array_equal(refined.logits, plain.logits)
    assert not np.array_equal(refined.logits, elsewhere.logits)


def test_a_batch_answers_each_prompt_as_alone_and_in_order(watched: Watched) -> None:
    segmenter = Sam2Segmenter(watched)
    encoding = segmenter.encode(picture())
    boxes = [MaskPrompt.of(box=Box(x, 20.0, x + 60.0, 110.0)) for x in np.linspace(0, 190, PROMPTS_AT_ONCE + 3)]
    points = [MaskPrompt.of(positive=(Point(x, 70.0),)) for x in (10.0, 200.0)]
    mixed = [boxes[0], points[0], *SINGLE, *boxes[1:], points[1]]
    together = segmenter.masks_batch(encoding, mixed)
    assert max(watched.decoded) == PROMPTS_AT_ONCE
    assert len(watched.decoded) < len(mixed)
    for prompt, candidates in zip(mixed, together, strict=True):
        alone = segmenter.masks(encoding, prompt)
        assert len(alone) == len(candidates)
        assert all(same(one, other) for one, other in zip(alone, candidates, strict=True))
    assert watched.embedded == 1
    assert segmenter.masks_batch(encoding, []) == []


def test_the_same_frame_is_encoded_once_whoever_asks(watched: Watched) -> None:
    segmenter = Sam2Segmenter(watched)
    first, second = segmenter.encode(picture()), segmenter.encode(picture().copy())
    assert watched.embedded == 1
    assert same(segmenter.masks(first, MaskPrompt.of(box=BOX))[0], segmenter.masks(second, MaskPrompt.of(box=BOX))[0])
    segmenter.encode(picture().reshape(260, 150, 3))  # the same bytes, another shape
    segmenter.encode(picture()[:, ::-1])
    assert watched.embedded == 3


def test_encodings_stay_within_their_bytes_and_a_dropped_one_still_answers(watched: Watched) -> None:
    one = 262_144  # bytes of this network's features in float32
    segmenter = Sam2Segmenter(watched, encodings_megabytes=3.5 * one / 1e6)
    images = [np.roll(picture(), shift, axis=1) for shift in range(8)]
    encodings = []
    for image in images:
        encodings.append(segmenter.encode(image))
        assert segmenter.encoding_bytes <= 3.5 * one
    assert segmenter.encoding_bytes == 3 * one
    assert watched.embedded == 8
    segmenter.masks(encodings[7], MaskPrompt.of(box=BOX))
    assert watched.embedded == 8
    (again,) = segmenter.masks(encodings[0], MaskPrompt.of(box=BOX))
    assert watched.embedded == 9
    (fresh,) = Sam2Segmenter(watched).masks(encodings[0], MaskPrompt.of(box=BOX))
    assert np.array_equal(again.mask, fresh.mask)
    assert segmenter.encoding_bytes == 3 * one


def test_a_full_memory_is_freed_and_the_call_done_again_with_one_warning(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    segmenter = Sam2Segmenter(watched)
    kept = segmenter.encode(picture())
    faults = [torch.OutOfMemoryError("injected")]

    def fault() -> None:
        if faults:
            raise faults.pop()

    watched.before_embed = fault
    segmenter.encode(picture()[::-1])
    assert segmenter.encoding_bytes == 262_144, "what was kept before had to go"
    assert segmenter.masks(kept, MaskPrompt.of(box=BOX))
    faults.append(torch.OutOfMemoryError("injected"))
    segmenter.encode(picture()[:, ::-1])
    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert segmenter.name in warning.getMessage()


def test_a_memory_that_stays_full_ends_the_goal(watched: Watched) -> None:
    segmenter = Sam2Segmenter(watched)
    watched.before_embed = lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("injected"))
    with pytest.raises(RunFailed, match="memory of cpu is full") as failure:
        segmenter.encode(picture())
    assert failure.value.code is ErrorCode.OUT_OF_MEMORY
    watched.before_embed = lambda: None
    assert segmenter.masks(segmenter.encode(picture()), MaskPrompt.of(box=BOX))


@pytest.mark.parametrize("error", [RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), MemoryError()], ids=repr)
def test_a_full_memory_is_known_by_its_words_too(watched: Watched, error: Exception) -> None:
    segmenter = Sam2Segmenter(watched)
    faults = [error]

    def fault() -> None:
        if faults:
            raise faults.pop()

    watched.before_embed = fault
    assert segmenter.masks(segmenter.encode(picture()), MaskPrompt.of(box=BOX))
    faults += [error, error]
    with pytest.raises(RunFailed, match="memory of cpu is full") as failure:
        segmenter.encode(picture()[::-1])
    assert failure.value.code is ErrorCode.OUT_OF_MEMORY
    assert faults == [], "it was tried twice"


def test_another_error_is_not_taken_for_a_full_memory(watched: Watched) -> None:
    segmenter = Sam2Segmenter(watched)
    faults = [RuntimeError("CUDA error: an illegal memory access was encountered")] * 2
    watched.before_embed = lambda: (_ for _ in ()).throw(faults.pop())
    with pytest.raises(RuntimeError, match="illegal memory access"):
        segmenter.encode(picture())
    assert len(faults) == 1, "it was tried once"


def test_each_candidate_has_its_own_score(watched: Watched) -> None:
    def mark(logits: torch.Tensor, scores: torch.Tensor) -> None:
        """Give each candidate a score that its logits show."""
        scores.copy_(torch.tensor([[0.2, 0.9, 0.5]]))
        logits.copy_(scores[..., None, None].expand_as(logits))

    segmenter = Sam2Segmenter(watched)
    watched.after_decode = mark
    candidates = segmenter.masks(segmenter.encode(picture()), MaskPrompt.of(positive=(POINT,)))
    assert [candidate.score for candidate in candidates] == pytest.approx([0.2, 0.9, 0.5])
    assert [candidate.logits.mean() for candidate in candidates] == pytest.approx([0.2, 0.9, 0.5])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("which", [0, 1])
def test_an_answer_that_is_no_number_is_a_failed_tool(watched: Watched, bad: float, which: int) -> None:
    segmenter = Sam2Segmenter(watched)
    watched.after_decode = lambda *tensors: tensors[which].view(-1)[-1:].fill_(bad)
    with pytest.raises(ToolFailed, match="not a number"):
        segmenter.masks(segmenter.encode(picture()), MaskPrompt.of(box=BOX))


def test_threads_wait_for_one_another_and_get_their_own_answers(watched: Watched) -> None:
    segmenter = Sam2Segmenter(watched, encodings_megabytes=0.6)  # room for two: some have to be encoded again
    images = [np.roll(picture(), shift, axis=0) for shift in range(4)]
    alone = [segmenter.masks(segmenter.encode(image), MaskPrompt.of(box=BOX))[0] for image in images]

    def work(number: int) -> list[Candidate]:
        encoding = segmenter.encode(images[number % 4])
        return [segmenter.masks(encoding, MaskPrompt.of(box=BOX))[0] for _ in range(3)]

    with ThreadPoolExecutor(8) as pool:
        for number, candidates in enumerate(pool.map(work, range(16))):
            assert all(np.array_equal(candidate.mask, alone[number % 4].mask) for candidate in candidates)


def test_half_precision_is_what_autocast_gives_at_half_the_weights(checkpoint: Path) -> None:
    full = TransformersSam2.load(on_cpu(checkpoint))
    half = TransformersSam2.load(on_cpu(checkpoint, dtype="bfloat16"))
    pixels = torch.randn(1, 3, 256, 256, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        expected, given = full.embed(pixels), half.embed(pixels)
    assert all(torch.equal(one, other) for one, other in zip(expected, given, strict=True))

    precise, rounded = Sam2Segmenter(full), Sam2Segmenter(half)
    (one,) = precise.masks(precise.encode(picture()), MaskPrompt.of(box=BOX))
    (other,) = rounded.masks(rounded.encode(picture()), MaskPrompt.of(box=BOX))
    assert 0.9 < iou(one.mask, other.mask) < 1.0
    assert rounded.encoding_bytes < precise.encoding_bytes


def test_compile_changes_no_mask(checkpoint: Path, segmenter: Sam2Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = []
    stock: Any = torch.compile

    def eager(part: object, **options: object) -> Any:
        compiled.append(part)
        return stock(part, **{**options, "backend": "eager"})  # the same tracing, without minutes of a C++ compiler

    monkeypatch.setattr(torch, "compile", eager)
    traced = open_sam2(on_cpu(checkpoint, compile=True))
    (one,) = traced.masks(traced.encode(picture()), MaskPrompt.of(box=BOX))
    assert len(compiled) == 1
    (other,) = segmenter.masks(segmenter.encode(picture()), MaskPrompt.of(box=BOX))
    assert np.array_equal(one.mask, other.mask)


def test_warm_up_runs_both_ways_and_leaves_nothing(watched: Watched) -> None:
    segmenter = Sam2Segmenter(watched)
    segmenter.warm_up()
    assert watched.embedded == 1
    assert len(watched.decoded) == 2
    assert segmenter.encoding_bytes == 0


def test_names_say_which_checkpoint(segmenter: Sam2Segmenter) -> None:
    assert segmenter.name == "sam2:tiny"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"checkpoint": ""}, "checkpoint is empty; name a folder"),
        ({"dtype": "int8"}, "dtype is 'int8'; allowed: auto, float32"),
        ({"encodings_megabytes": 0.0}, "encodings_megabytes is 0.0; allowed: 0.001 to"),
        ({"encodings_megabytes": float("nan")}, "encodings_megabytes is nan"),
    ],
)
def test_a_configuration_that_can_not_be(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Sam2Config(**{"checkpoint": "tiny", **wrong})


REFINE = "<think>Better.</think>" + render(Segment(positive=(Point(500, 500),), negative=(Point(1, 1),), refine=1))
COMBINE = "<think>Both.</think>" + render(Combine((1, 2), ()))


@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ([SEGMENT, FINISH], Outcome.FOUND),
        ([SEGMENT, ZOOM, REFINE, COMBINE, render(ResetView()), "nonsense", FINISH], Outcome.FOUND),
        ([SEGMENT], Outcome.GAVE_UP),
        ([ABSENT], Outcome.NOT_IN_VIEW),
    ],
)
def test_episodes_over_random_weights_end_cleanly(watched: Watched, script: list[str], outcome: Outcome) -> None:
    policy = FakePolicy(script)
    episode = Episode(picture(), "the red box", Sam2Segmenter(watched), Budget(seconds=60.0))
    result = drive(episode, policy)
    assert (result.outcome, result.error_code in (ErrorCode.NONE, ErrorCode.TURNS_SPENT)) == (outcome, True)
    assert watched.embedded == len(
        {turn.view for turn in episode.trace.turns if turn.mask_id is not None and turn.tool == "segment"}
    )
    if outcome is Outcome.FOUND:
        mask = result.mask()
        assert mask is not None
        assert mask.shape == (150, 260)


def test_a_full_memory_ends_an_episode_with_its_code(watched: Watched) -> None:
    watched.before_embed = lambda: (_ for _ in ()).throw(torch.OutOfMemoryError("injected"))
    result = drive(Episode(picture(), "the red box", Sam2Segmenter(watched)), FakePolicy([SEGMENT]))
    assert (result.outcome, result.error_code) == (Outcome.FAILED, ErrorCode.OUT_OF_MEMORY)
