"""What a film does to a thing, and what the classical tracker says of it."""

from __future__ import annotations

import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest
from moving_pictures import Film
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask, area, iou
from rsagent_ros.baseline.tracker import ClassicalConfig, ClassicalTracker
from rsagent_ros.trackers import LostReason, TrackedMask
from rsagent_ros.trackers.lost import LostLimits

SECOND = 15


def followed(film: Film, frames: int, tracker: ClassicalTracker | None = None, stride: int = 1) -> list[TrackedMask]:
    """The answers for every stride-th frame from the first on."""
    picture, mask = film.frame(0)
    track = (tracker or ClassicalTracker()).start(picture, mask, 0)
    return [track.step(film.frame(index)[0], index) for index in range(stride, frames, stride)]


def enlarged(film: Film, index: int) -> tuple[NDArray[np.uint8], Mask]:
    """A frame and its mask at six times the size."""
    picture, mask = film.frame(index)
    return picture.repeat(6, axis=0).repeat(6, axis=1), mask.repeat(6, axis=0).repeat(6, axis=1)


@pytest.mark.parametrize(
    "film",
    [
        Film(),
        Film(pan=(-3.0, 1.0), zoom=1.01, turn=0.7),
        Film(zoom=0.985, turn=-1.0),
        Film(textured=False),
        Film(textured=False, zoom=1.01, turn=0.5),
        Film(drift=(-1.5, 0.5)),
        Film(textured=False, drift=(-1.0, 0.5)),
        Film(brightness=0.985),
        Film(brightness=1.005),
        Film(noise=6.0),
    ],
    ids=["pan", "near", "far", "plain", "plain_near", "drifts", "plain_drifts", "darker", "brighter", "noisy"],
)
def test_the_mask_stays_on_the_thing(film: Film) -> None:
    answers = followed(film, SECOND + 5)
    for index, answer in enumerate(answers, 1):
        assert not answer.lost, (index, answer.reason)
        assert answer.reason == ""
        assert iou(answer.mask, film.frame(index)[1]) > 0.85, index
        assert 0.5 < answer.score <= 1.0


def test_skipped_frames_do_no_harm() -> None:
    film = Film(pan=(2.0, 0.5))
    answers = followed(film, 31, stride=5)
    assert [answer.stamp_ns for answer in answers] == [5, 10, 15, 20, 25, 30]
    assert iou(answers[-1].mask, film.frame(30)[1]) > 0.85


def test_at_once_another_light_is_no_loss() -> None:
    film = Film()
    picture, mask = film.frame(0)
    track = ClassicalTracker().start(picture, mask, 0)
    for index in range(1, 10):
        frame, truth = film.frame(index)
        lit = frame if index < 5 else np.clip(frame * 0.6, 0, 255).astype(np.uint8)
        answer = track.step(lit, index)
        assert not answer.lost, (index, answer.reason)
        assert iou(answer.mask, truth) > 0.85


def test_a_thing_that_leaves_the_view_is_lost_and_so_said() -> None:
    film = Film(pan=(12.0, 0.0))
    answers = followed(film, 24)
    first = next(index for index, answer in enumerate(answers, 1) if answer.lost)
    visible = area(film.frame(first)[1]) / area(film.frame(0)[1])
    assert visible < 0.3
    for answer in answers[first - 1 :]:
        assert (answer.lost, answer.score, answer.mask.any()) == (True, 0.0, False)
    assert answers[first - 1].lost_reason is LostReason.LEFT_VIEW
    for index, answer in enumerate(answers[: first - 1], 1):
        truth = film.frame(index)[1]
        # Of a sliver at the border, one row of pixels is much.
        assert iou(answer.mask, truth) > (0.8 if area(truth) > 600 else 0.5), index


def test_a_board_before_it_is_noticed_and_its_going_too() -> None:
    film = Film(shutter=(10, 18))
    answers = followed(film, 26)
    for index, answer in enumerate(answers, 1):
        if 10 <= index <= 18:
            assert answer.lost, index
            assert answer.lost_reason is LostReason.HIDDEN
            assert not answer.mask.any()
        elif index < 10 or index > 20:
            assert not answer.lost, (index, answer.reason)
            assert iou(answer.mask, film.frame(index)[1]) > 0.85


def test_part_of_it_behind_a_board_is_left_out_of_the_mask() -> None:
    film = Film(pan=(1.0, 0.0))
    picture, mask = film.frame(0)
    track = ClassicalTracker().start(picture, mask, 0)
    for index in range(1, 12):
        frame, truth = film.frame(index)
        columns = np.nonzero(truth.any(axis=0))[0]
        edge = int(columns[-1]) - 2 * index
        frame[40:200, edge : edge + 80] = (60, 160, 70)
        truth[:, edge : edge + 80] = False
        answer = track.step(frame, index)
        assert not answer.lost
        assert iou(answer.mask, truth) > 0.8, index
    assert answer.score < 0.95


def test_another_thing_in_its_place_is_not_the_thing() -> None:
    film = Film()
    picture, mask = film.frame(0)
    track = ClassicalTracker().start(picture, mask, 0)
    for index in range(1, 5):
        assert not track.step(film.frame(index)[0], index).lost
    swapped = replace(film, colour=(40, 60, 200))
    answer = track.step(swapped.frame(5)[0], 5)
    assert answer.lost
    assert answer.lost_reason in (LostReason.HIDDEN, LostReason.LOW_SCORE)
    assert track.step(swapped.frame(6)[0], 6).lost


def test_a_cut_to_another_picture_is_a_loss() -> None:
    film = Film()
    picture, mask = film.frame(0)
    track = ClassicalTracker().start(picture, mask, 0)
    other = np.random.default_rng(1).integers(0, 255, (24, 32, 3), np.uint8)
    answer = track.step(np.asarray(cv2.resize(other, (320, 240)), np.uint8), 1)
    assert answer.lost


def test_the_same_film_gives_the_same_track() -> None:
    first, again = followed(Film(turn=0.5), 12), followed(Film(turn=0.5), 12)
    for one, other in zip(first, again, strict=True):
        assert one.score == other.score
        assert np.array_equal(one.mask, other.mask)


def test_large_frames_get_masks_of_their_own_size() -> None:
    film = Film()
    picture, mask = enlarged(film, 0)
    track = ClassicalTracker().start(picture, mask, 0)
    for index in range(1, 10):
        frame, truth = enlarged(film, index)
        answer = track.step(frame, index)
        assert answer.mask.shape == (1440, 1920)
        assert iou(answer.mask, truth) > 0.85


def test_a_thing_of_one_pixel_never_breaks_it() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    mask = np.zeros((90, 120), np.bool_)
    mask[45, 60] = True
    track = ClassicalTracker().start(frame, mask, 0)
    for index in range(1, 20):
        answer = track.step(np.roll(frame, index, axis=1), index)
        assert answer.lost != answer.mask.any()


@pytest.mark.parametrize("side", [(1, 1), (1, 300), (2, 2), (17, 640)])
def test_any_size_of_frame(side: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    track = ClassicalTracker().start(rng.integers(0, 255, (*side, 3), np.uint8), np.ones(side, np.bool_), 0)
    for index in range(1, 12):
        answer = track.step(rng.integers(0, 255, (*side, 3), np.uint8), index)
        assert answer.mask.shape == side
        assert 0.0 <= answer.score <= 1.0


def test_another_size_of_frames_is_an_error_that_says_what_to_do() -> None:
    picture, mask = Film().frame(0)
    track = ClassicalTracker().start(picture, mask, 0)
    with pytest.raises(ValueError, match="320 x 240; when a camera changes its size, close the track"):
        track.step(np.zeros((480, 640, 3), np.uint8), 1)
    assert not track.step(Film().frame(1)[0], 1).lost


def test_time_must_go_forward() -> None:
    picture, mask = Film().frame(0)
    track = ClassicalTracker().start(picture, mask, 10)
    with pytest.raises(ValueError, match="not later than the last one"):
        track.step(picture, 10)


def test_a_closed_track_refuses() -> None:
    picture, mask = Film().frame(0)
    track = ClassicalTracker().start(picture, mask, 0)
    track.close()
    track.close()
    with pytest.raises(ValueError, match="closed"):
        track.step(picture, 1)


def test_frames_are_neither_kept_nor_changed() -> None:
    film = Film()
    picture, mask = film.frame(0)
    before = picture.copy(), mask.copy()
    track = ClassicalTracker().start(picture, mask, 0)
    answer = track.step(picture, 1)
    assert np.array_equal(picture, before[0])
    assert np.array_equal(mask, before[1])
    answer.mask[:] = True
    picture[:] = 0
    frame, truth = film.frame(2)
    assert iou(track.step(frame, 2).mask, truth) > 0.85


def test_what_a_track_holds_does_not_grow_with_frames() -> None:
    film = Film(shutter=(8, 12))
    picture, mask = film.frame(0)
    track = ClassicalTracker().start(picture, mask, 0)
    there_and_back = [*range(1, 20), *range(20, 0, -1)]
    loop = [film.frame(index)[0] for index in there_and_back]
    sizes = []
    for stamp in range(1, 8 * len(loop) + 1):
        answer = track.step(loop[(stamp - 1) % len(loop)], stamp)
        if stamp % len(loop) == 0:
            sizes.append(len(pickle.dumps(track)))
    assert not answer.lost
    assert iou(answer.mask, film.frame(1)[1]) > 0.8
    # Two of the arrays may or may not be one and the same at the end of a round.
    assert max(sizes[4:]) < 1.01 * max(sizes[:4])
    assert max(sizes) < 300_000


def test_a_configuration_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="side is 10"):
        ClassicalConfig(side=10)
    with pytest.raises(ValueError, match="refit_every is -1"):
        ClassicalConfig(refit_every=-1)


def test_it_is_what_the_agent_meant_not_what_the_segmenter_prefers() -> None:
    """Half of a thing: the segmenter, whose opinion is the whole thing, must not be asked to re-fit it."""
    film = Film(textured=False)
    picture, mask = film.frame(0)
    half = mask.copy()
    half[:, : int(np.nonzero(mask.any(axis=0))[0].mean())] = False
    track = ClassicalTracker(ClassicalConfig(refit_every=1)).start(picture, half, 0)
    for index in range(1, 15):
        answer = track.step(film.frame(index)[0], index)
    assert area(answer.mask) == pytest.approx(area(half), rel=0.35)


def test_an_area_that_jumps_is_a_loss_and_then_a_new_beginning() -> None:
    film = Film(zoom=1.1, pan=(0.0, 0.0))
    limits = LostLimits(max_area_ratio=1.15)
    answers = followed(film, 3, ClassicalTracker(ClassicalConfig(limits=limits)))
    assert answers[0].lost_reason is LostReason.AREA_JUMP
    assert not answers[1].lost
    assert iou(answers[1].mask, film.frame(2)[1]) > 0.8
