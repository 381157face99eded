"""The tracker on SAM 2's memory: the same answers as transformers' own session, in memory that does not grow."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from moving_pictures import Film  # noqa: E402
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession  # noqa: E402

from rsagent_ros.agent.errors import RunFailed  # noqa: E402
from rsagent_ros.agent.mask import Mask  # noqa: E402
from rsagent_ros.agent.outcome import ErrorCode  # noqa: E402
from rsagent_ros.segmenters.sam2_config import Sam2Config  # noqa: E402
from rsagent_ros.segmenters.sam2_tensors import to_masks, to_pixels  # noqa: E402
from rsagent_ros.trackers import LostReason, TrackedMask  # noqa: E402
from rsagent_ros.trackers.lost import LostLimits  # noqa: E402
from rsagent_ros.trackers.sam2_video import Sam2VideoTracker, open_sam2_tracker  # noqa: E402
from rsagent_ros.weights.tiny_sam2 import save_tiny_sam2, save_tiny_sam2_video  # noqa: E402

FILM = Film(pan=(1.0, 0.5))
LENIENT = LostLimits(min_score=0.0, max_area_ratio=1e9)
FRAMES = 20  # more than the 16 that the network looks back


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("checkpoint") / "tiny"
    save_tiny_sam2_video(folder)
    return folder


@pytest.fixture(scope="module")
def tracker(checkpoint: Path) -> Sam2VideoTracker:
    return open_sam2_tracker(Sam2Config(str(checkpoint), device="cpu"), LENIENT)


def test_answers_are_those_of_the_stock_session_that_forgets_nothing(tracker: Sam2VideoTracker) -> None:
    picture, mask = FILM.frame(0)
    session = Sam2VideoInferenceSession(video_height=240, video_width=320, dtype=torch.float32)
    side = tracker.input_format.image_size
    given = torch.nn.functional.interpolate(
        torch.from_numpy(mask)[None, None].float(), size=(side, side), mode="bilinear", antialias=True
    )
    session.add_mask_inputs(session.obj_id_to_idx(1), 0, (given >= 0.5).float())
    session.obj_with_new_inputs = [1]
    tracker.model(session, frame=to_pixels(picture, tracker.input_format, torch.device("cpu")))

    track = tracker.start(picture, mask, 0)
    followed = 0
    for index in range(1, FRAMES):
        frame = FILM.frame(index)[0]
        stock = tracker.model(session, frame=to_pixels(frame, tracker.input_format, torch.device("cpu")))
        ours = track.step(frame, index)
        appears = float(stock.object_score_logits.sigmoid().max())
        assert ours.lost == (appears < 0.5), index
        if not ours.lost:
            followed += 1
            assert np.array_equal(ours.mask, to_masks(stock.pred_masks[:, 0].float(), (240, 320))[0])
            assert 0 < ours.score <= appears
    assert 0 < followed < FRAMES - 1  # both kinds of answers were compared


def test_memory_does_not_grow_with_frames(tracker: Sam2VideoTracker) -> None:
    picture, mask = FILM.frame(0)
    track = tracker.start(picture, mask, 0)
    sizes = []
    for index in range(1, 30):
        track.step(FILM.frame(index)[0], index)
        sizes.append(track.nbytes)
    assert sizes[0] < sizes[5]  # it does remember
    assert len(set(sizes[16:])) == 1
    track.close()
    track.close()
    assert track.nbytes == 0
    with pytest.raises(ValueError, match="closed"):
        track.step(picture, 100)


def test_tracks_of_one_network_do_not_mix(tracker: Sam2VideoTracker) -> None:
    first, second = FILM, Film(pan=(-2.0, 0.0), colour=(30, 60, 200))
    alone = [tracker.start(*film.frame(0), 0).step(film.frame(1)[0], 1) for film in (first, second)]
    tracks = [tracker.start(*film.frame(0), 0) for film in (first, second)]
    together = [track.step(film.frame(1)[0], 1) for track, film in zip(tracks, (first, second), strict=True)]
    for one, other in zip(alone, together, strict=True):
        assert (one.score, one.lost_reason) == (other.score, other.lost_reason)
        assert np.array_equal(one.mask, other.mask)


@pytest.fixture
def logits(tracker: Sam2VideoTracker, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Logits that the network has given since, one entry for each frame."""
    seen: list[Any] = []
    original = type(tracker.model).forward

    def forward(*arguments: object, **named: object) -> Any:
        answer = original(*arguments, **named)
        seen.append(answer.pred_masks)
        return answer

    monkeypatch.setattr(type(tracker.model), "forward", forward)
    return seen


def test_half_precision_gives_a_similar_answer(checkpoint: Path, tracker: Sam2VideoTracker, logits: list[Any]) -> None:
    half = open_sam2_tracker(Sam2Config(str(checkpoint), device="cpu", dtype="bfloat16"), LENIENT)
    assert half.dtype is torch.bfloat16
    picture, mask = FILM.frame(0)
    for track in [one.start(picture, mask, 0) for one in (tracker, half)]:
        track.step(FILM.frame(1)[0], 1)
    pair = [part.float().clamp(-32, 32) for part in logits[-2:]]
    correlation = torch.corrcoef(torch.stack([part.flatten() for part in pair]))[0, 1]
    assert correlation > 0.98 or torch.equal(*pair)


def squares(side: int, level: float = 8.0) -> Any:
    """Logits (1, 1, 64, 64) of a square in the middle."""
    logits = torch.full((1, 1, 64, 64), -8.0)
    low = 32 - side // 2
    logits[:, :, low : low + side, low : low + side] = level
    return logits


@pytest.fixture
def scripted(tracker: Sam2VideoTracker, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[TrackedMask]]:
    """Follow a film with a network that gives the logits and probabilities of a script."""
    original = type(tracker.model).forward

    def follow(first: Mask, *script: tuple[Any, float]) -> list[TrackedMask]:
        strict = Sam2VideoTracker(
            tracker.model, tracker.input_format, Sam2Config("x", device="cpu"), "tiny", LostLimits()
        )
        answers = iter([(squares(20), 0.98), *script])

        def forward(*arguments: object, **named: object) -> SimpleNamespace:
            original(*arguments, **named)
            logits, appears = next(answers)
            return SimpleNamespace(pred_masks=logits, object_score_logits=torch.logit(torch.tensor([appears])))

        monkeypatch.setattr(type(tracker.model), "forward", forward)
        track = strict.start(FILM.frame(0)[0], first, 0)
        return [track.step(FILM.frame(index)[0], index) for index in range(1, len(script) + 1)]

    return follow


WHOLE = np.zeros((240, 320), np.bool_)
WHOLE[82:158, 110:210] = True  # as large as a square of 20 logits a side
GOOD, HIDDEN = (squares(20), 0.98), (squares(20), 0.1)


def test_what_is_lost_and_why(scripted: Callable[..., list[TrackedMask]]) -> None:
    nothing = (torch.full((1, 1, 64, 64), float("nan")), 0.9)
    vague = (torch.maximum(squares(20), squares(40, 0.1)), 0.6)
    good, low, broken, hidden = scripted(WHOLE, GOOD, vague, nothing, HIDDEN)
    assert (good.lost, good.lost_reason, good.mask.any()) == (False, LostReason.NONE, True)
    assert good.score == pytest.approx(0.98, abs=0.05)
    assert [answer.lost_reason for answer in (low, broken)] == [LostReason.LOW_SCORE] * 2
    assert hidden.lost_reason is LostReason.HIDDEN
    border = WHOLE.copy()
    border[:, :210] = True
    assert scripted(border, HIDDEN)[0].lost_reason is LostReason.LEFT_VIEW


@pytest.mark.parametrize("jump", [(squares(56), 0.98), (squares(8), 0.98)], ids=["larger", "smaller"])
def test_a_jump_is_lost_until_the_area_comes_back(jump: Any, scripted: Callable[..., list[TrackedMask]]) -> None:
    answers = scripted(WHOLE, GOOD, jump, jump, jump, HIDDEN, jump, GOOD, GOOD)
    jumped = LostReason.AREA_JUMP
    assert [answer.lost_reason for answer in answers] == [
        *(LostReason.NONE, jumped, jumped, jumped, LostReason.HIDDEN, jumped, LostReason.NONE, LostReason.NONE)
    ]
    assert not any(answer.mask.any() for answer in answers if answer.lost)


def test_the_first_answer_is_held_against_the_mask_that_the_agent_found(
    scripted: Callable[..., list[TrackedMask]],
) -> None:
    jumped, good = scripted(WHOLE, (squares(56), 0.98), GOOD)
    assert jumped.lost_reason is LostReason.AREA_JUMP
    assert not good.lost


def test_what_was_hidden_comes_back_in_parts_but_not_much_larger(scripted: Callable[..., list[TrackedMask]]) -> None:
    shrinking = [(squares(side), 0.98) for side in (20, 16, 12, 10)]
    answers = scripted(WHOLE, *shrinking, HIDDEN, (squares(4), 0.98), (squares(12), 0.98), GOOD, (squares(56), 0.98))
    assert [answer.lost for answer in answers] == [False] * 4 + [True] + [False] * 3 + [True]
    assert scripted(WHOLE, GOOD, HIDDEN, (squares(56), 0.98))[-1].lost_reason is LostReason.AREA_JUMP


def test_a_mask_that_jumped_is_not_remembered(tracker: Sam2VideoTracker) -> None:
    unlikely = LostLimits(min_score=0.0, max_area_ratio=1.0 + 1e-9)
    wary = Sam2VideoTracker(tracker.model, tracker.input_format, Sam2Config("x", device="cpu"), "tiny", unlikely)
    tracks = [one.start(*FILM.frame(0), 0) for one in (wary, tracker)]
    sizes = [track.nbytes for track in tracks]
    answers = [track.step(FILM.frame(1)[0], 1) for track in tracks]
    assert [answer.lost_reason for answer in answers] == [LostReason.AREA_JUMP, LostReason.NONE]
    assert tracks[0].nbytes == sizes[0]
    assert tracks[1].nbytes > sizes[1]


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("a fault that was injected"), RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), MemoryError()],
    ids=repr,
)
def test_out_of_memory_is_tried_once_more_then_told(
    tracker: Sam2VideoTracker, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture, mask = FILM.frame(0)
    track = tracker.start(picture, mask, 0)
    original, calls = type(tracker.model).forward, 0

    def full(self: object, *arguments: object, **named: object) -> object:
        nonlocal calls
        calls += 1
        if calls <= 2:
            raise error
        return original(self, *arguments, **named)

    monkeypatch.setattr(type(tracker.model), "forward", full)
    with pytest.raises(RunFailed, match="memory of cpu is full") as caught:
        track.step(FILM.frame(1)[0], 1)
    assert caught.value.code is ErrorCode.OUT_OF_MEMORY
    assert calls == 2
    assert track.step(FILM.frame(1)[0], 1).stamp_ns == 1
    calls = 1
    assert track.step(FILM.frame(2)[0], 2).stamp_ns == 2, "a second try that works is enough"


def test_another_error_is_passed_on(tracker: Sam2VideoTracker, monkeypatch: pytest.MonkeyPatch) -> None:
    track = tracker.start(*FILM.frame(0), 0)
    calls = 0

    def broken(*arguments: object, **named: object) -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(type(tracker.model), "forward", broken)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        track.step(FILM.frame(1)[0], 1)
    assert calls == 1


def test_a_frame_after_one_that_did_not_fit_is_seen_itself(
    tracker: Sam2VideoTracker, logits: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = type(tracker.model)
    failing, steady = (tracker.start(*FILM.frame(0), 0) for _ in range(2))

    def full(*arguments: object, **named: object) -> None:
        raise torch.OutOfMemoryError("a fault that was injected, after the image was encoded")

    with monkeypatch.context() as fault:
        fault.setattr(kind, "_prepare_memory_conditioned_features", full)
        with pytest.raises(RunFailed, match="memory of cpu is full"):
            failing.step(FILM.frame(1)[0], 1)
    encode, encoded = kind.get_image_features, 0

    def counting(*arguments: object, **named: object) -> object:
        nonlocal encoded
        encoded += 1
        return encode(*arguments, **named)

    monkeypatch.setattr(kind, "get_image_features", counting)
    for track in (failing, steady):
        track.step(FILM.frame(9)[0], 9)
    assert encoded == 2
    assert torch.equal(*logits[-2:])


def test_frames_of_another_size_and_time_that_goes_back_are_refused(tracker: Sam2VideoTracker) -> None:
    picture, mask = FILM.frame(0)
    track = tracker.start(picture, mask, 5)
    with pytest.raises(ValueError, match="close the track and start a new one"):
        track.step(np.zeros((10, 10, 3), np.uint8), 6)
    with pytest.raises(ValueError, match="not later"):
        track.step(picture, 5)


def test_it_warms_up_and_has_a_name(tracker: Sam2VideoTracker) -> None:
    tracker.warm_up()
    assert tracker.name == "sam2_video:tiny"


def test_a_checkpoint_without_memory_is_refused(tmp_path: Path) -> None:
    save_tiny_sam2(tmp_path / "image")
    with pytest.raises(RunFailed, match="no memory for video; name a folder") as caught:
        open_sam2_tracker(Sam2Config(str(tmp_path / "image"), device="cpu"))
    assert caught.value.code is ErrorCode.MODEL_UNAVAILABLE


def test_a_checkpoint_with_nonsense_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    for path in checkpoint.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["memory_attention_num_layers"] = 3
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(RunFailed, match="weights are missing"):
        open_sam2_tracker(Sam2Config(str(tmp_path), device="cpu"))
