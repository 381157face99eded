"""The reference policy's second look: it judges what a crop can show, and counts the rest as true."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from drawings import Drawn, draw, ground
from numpy.typing import NDArray

from rsagent_ros.agent.actions import Finish, ReportAbsent, Segment, render
from rsagent_ros.agent.budget import Budget, CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.drive import drive
from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.geometry import Box
from rsagent_ros.agent.mask import bounding_box, iou
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.agent.parsing import parse
from rsagent_ros.agent.pictures import DEFAULT_PICTURES, PictureFormat
from rsagent_ros.agent.policy import Conversation, Policy, Reply, ReplyLimits
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.agent.verification import crop_around, verification_messages
from rsagent_ros.baseline.policy import ReferencePolicy
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.policies.fallback import FallbackPolicy

BUDGET = Budget(seconds=600.0, second_look=True)
Table = tuple[NDArray[np.uint8], dict[str, Drawn]]
UNHURRIED = ReplyLimits(512, 1e12)


@pytest.fixture(scope="module")
def table() -> Table:
    """A red circle at the left, a blue square, and a green triangle at the right."""
    frame = ground("noise", np.random.default_rng(5), (480, 240))
    drawn = (
        draw(frame, "circle", "red", (90, 120), 32),
        draw(frame, "square", "blue", (240, 110), 30),
        draw(frame, "triangle", "green", (390, 130), 32),
    )
    return frame, {one.shape: one for one in drawn}


def asked(
    table: Table,
    shape: str,
    words: str,
    previous: Sequence[Exchange] = (),
    pictures: PictureFormat = DEFAULT_PICTURES,
) -> list[Message]:
    frame, drawn = table
    mask = drawn[shape].mask
    box = bounding_box(mask)
    assert box is not None
    return verification_messages(words, previous, frame, mask, crop_around(box, 480, 240), pictures)


def verdict(messages: list[Message], policy: Policy | None = None) -> Finish | ReportAbsent:
    conversation = (policy or ReferencePolicy()).open()
    action = parse(conversation.reply(messages, limits=UNHURRIED, cancel=CancelToken()).text)
    assert isinstance(action, Finish | ReportAbsent)
    return action


@pytest.mark.parametrize(
    "words", ["the red circle", "the red thing", "the circle", "the blue square or the red circle"]
)
def test_yes_to_what_is_meant(table: Table, words: str) -> None:
    assert verdict(asked(table, "circle", words)) == Finish((1,))


@pytest.mark.parametrize(
    ("shape", "words", "looks"),
    [
        ("circle", "the blue square", "a red "),
        ("square", "the red square", "a blue square"),
        ("triangle", "the green circle", "a green "),
        ("square", "the thing that is not blue", "a blue square"),
        ("triangle", "all the red circles", "a green "),
    ],
)
def test_no_to_another_thing_with_what_it_is(table: Table, shape: str, words: str, looks: str) -> None:
    said = verdict(asked(table, shape, words))
    assert isinstance(said, ReportAbsent)
    assert said.reason.startswith(f"it looks like {looks}")
    assert ", not like the " in said.reason


@pytest.mark.parametrize(
    "words",
    [
        "the largest thing",
        "the leftmost thing",
        "the red circle to the right of the cone",
        "the second circle",
        "the mug",
    ],
)
def test_what_the_crop_cannot_show_counts_as_true(table: Table, words: str) -> None:
    assert verdict(asked(table, "circle", words)) == Finish((1,))


def test_of_a_follow_up_all_that_was_said_counts(table: Table) -> None:
    before = [Exchange("the red circle", "which one?")]
    assert verdict(asked(table, "circle", "the left one", before)) == Finish((1,))
    assert isinstance(verdict(asked(table, "square", "the left one", before)), ReportAbsent)


@pytest.mark.parametrize("pictures", [PictureFormat(196, 28, "pixels"), PictureFormat(1344, 32)])
def test_whatever_the_pictures_are_like(table: Table, pictures: PictureFormat) -> None:
    policy = ReferencePolicy(pictures)
    assert verdict(asked(table, "square", "the blue square", pictures=pictures), policy) == Finish((1,))
    assert isinstance(verdict(asked(table, "square", "the red circle", pictures=pictures), policy), ReportAbsent)


def test_nothing_but_the_pictures_and_the_words_decides(table: Table) -> None:
    """The same crop of another frame, at another place, is judged the same."""
    frame, drawn = table
    elsewhere = np.roll(frame, (40, 60), axis=(0, 1)).copy()
    moved = np.roll(drawn["circle"].mask, (40, 60), axis=(0, 1))
    elsewhere[:, 220:] = 0  # all the rest is gone
    box = bounding_box(moved)
    assert box is not None
    here = verification_messages("the red circle", (), elsewhere, moved, crop_around(box, 480, 240), DEFAULT_PICTURES)
    there = asked(table, "circle", "the red circle")
    assert np.array_equal(here[1].pictures[1].pixels, there[1].pictures[1].pixels)
    replies = [
        ReferencePolicy().open().reply(one, limits=UNHURRIED, cancel=CancelToken()).text for one in (here, there)
    ]
    assert replies[0] == replies[1]


def test_it_heeds_cancel_and_deadline(table: Table) -> None:
    messages, cancel = asked(table, "circle", "the red circle"), CancelToken()
    assert ReferencePolicy().open().reply(messages, limits=ReplyLimits(512, 0.0), cancel=cancel).stop == "deadline"
    cancel.set()
    assert ReferencePolicy().open().reply(messages, limits=UNHURRIED, cancel=cancel).stop == "cancel"


# --- whole episodes


def test_a_right_answer_is_found_as_before(table: Table) -> None:
    frame, drawn = table
    episode = Episode(frame, "the red circle", ClassicalSegmenter(), BUDGET)
    result = drive(episode, ReferencePolicy())
    assert result.outcome is Outcome.FOUND
    assert [look.verdict for look in episode.trace.second_looks] == ["yes"]
    mask = result.mask()
    assert mask is not None
    assert iou(mask, drawn["circle"].mask) > 0.85


class Mistaken:
    """Answers with the blue square at first; sent back, the reference policy goes on."""

    name = "mistaken"
    pictures = DEFAULT_PICTURES

    def open(self) -> Conversation:
        return _MistakenTalk()


class _MistakenTalk:
    def __init__(self) -> None:
        self._heard: list[Message] = []
        self._inner = ReferencePolicy().open()

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        self._heard += new_messages
        turn = sum(message.role == "user" for message in self._heard)
        if turn == 1 and "second_look" not in new_messages[-1].text:
            return Reply(render(Segment(box=Box(427, 312, 573, 605))))
        if turn == 2:
            return Reply(render(Finish((1,))))
        heard = self._heard if turn == 3 else new_messages
        return self._inner.reply(heard, limits=limits, cancel=cancel)

    def close(self) -> None:
        self._inner.close()


def test_a_wrong_object_is_sent_back_and_the_right_one_found(
    table: Table,
) -> None:
    frame, drawn = table
    episode = Episode(frame, "the red circle", ClassicalSegmenter(), BUDGET)
    result = drive(episode, Mistaken())
    assert [(look.mask_id, look.verdict) for look in episode.trace.second_looks] == [(1, "no"), (2, "yes")]
    mask = result.mask()
    assert (result.outcome, mask is not None) == (Outcome.FOUND, True)
    assert mask is not None
    assert iou(mask, drawn["circle"].mask) > 0.85
    without = Episode(frame, "the red circle", ClassicalSegmenter(), Budget(seconds=600.0))
    wrong = drive(without, Mistaken()).mask()
    assert wrong is not None
    assert iou(wrong, drawn["square"].mask) > 0.85


def test_it_stays_with_what_it_saw_in_the_whole_picture(table: Table) -> None:
    class Doubtful(ReferencePolicy):
        """Says no to every second look."""

        def open(self) -> Conversation:
            return _DoubtfulTalk()

    class _DoubtfulTalk:
        def __init__(self) -> None:
            self._inner = ReferencePolicy().open()

        def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
            if "second_look" in new_messages[-1].text:
                return Reply(render(ReportAbsent("no")))
            return self._inner.reply(new_messages, limits=limits, cancel=cancel)

        def close(self) -> None:
            self._inner.close()

    frame, _ = table
    episode = Episode(frame, "the red circle", ClassicalSegmenter(), BUDGET)
    result = drive(episode, Doubtful())
    assert result.outcome is Outcome.FOUND
    plain = drive(Episode(frame, "the red circle", ClassicalSegmenter(), Budget(seconds=600.0)), ReferencePolicy())
    assert plain.confidence
    assert result.confidence == pytest.approx(plain.confidence / 2)
    assert result.turns == plain.turns + 1


def test_as_a_fallback_it_looks_again_too(table: Table) -> None:
    class Lost(ReferencePolicy):
        def open(self) -> Conversation:
            raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, "the server is away")

    policy = FallbackPolicy(Lost(), ReferencePolicy(), lambda: 1 / 0)
    episode = Episode(table[0], "the red circle", ClassicalSegmenter(), BUDGET)
    result = drive(episode, policy)
    policy.close()
    assert (result.outcome, result.degraded) == (Outcome.FOUND, True)
    assert [(look.verdict, look.degraded) for look in episode.trace.second_looks] == [("yes", True)]
