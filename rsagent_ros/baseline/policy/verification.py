"""The reference policy as its own second reader: do colour and shape of what the mask covers go with the words?

It sees the crop and nothing else, so it judges nothing else: sizes, places and relations count as true, as it is told.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import cv2
import numpy as np

from rsagent_ros.agent.actions import Finish, ReportAbsent, ReportAmbiguous
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.mask import fitted
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.verification import SHOWN_AS
from rsagent_ros.baseline.policy import wording
from rsagent_ros.baseline.policy.colours import light_of
from rsagent_ros.baseline.policy.drawing import Move
from rsagent_ros.baseline.policy.foreground import foreground_of
from rsagent_ros.baseline.policy.grounding import fit
from rsagent_ros.baseline.policy.language import Phrase, understood
from rsagent_ros.baseline.policy.objects import SceneObject, object_of
from rsagent_ros.baseline.policy.overlay import covered

SURELY_NOT = 0.1
"""Fit below which an object is not what a phrase says; the search takes none below 0.35: between is room for doubt."""

SURELY = 0.9
"""Fit from which on an object is what a phrase excludes."""


def is_verification(message: Message) -> bool:
    """Whether a message asks for a second look at an answer."""
    return message.role == "user" and "second_look" in json.loads(message.text)


def verify(message: Message, pictures: PictureFormat) -> Move:
    """The move that answers it: about one mask yes or no, of two the one that the words fit. About 0.1 s a mask."""
    facts = json.loads(message.text)
    words = (*(one["instruction"] for one in facts.get("previous", ())), facts["instruction"])
    if facts["second_look"] == [1, 2]:
        return _choose(message, words, pictures)
    marked = _marked(message, 1, pictures)
    if marked is None:
        return Move("I can't see what the mask covers.", Finish((SHOWN_AS,)))
    looks = wording.indefinite(wording.looks(marked))
    missed = _missed(words, marked)
    if missed:
        meant = wording.listed([f"the {phrase}" for phrase in missed], "or")
        return Move(f"The mask covers {looks}.", ReportAbsent(f"it looks like {looks}, not like {meant}"))
    return Move(f"The mask covers {looks}, which goes with the words.", Finish((SHOWN_AS,)))


def _choose(message: Message, words: Sequence[str], pictures: PictureFormat) -> Move:
    """The one of two masks that the words fit."""
    marked = [_marked(message, number, pictures) for number in (1, 2)]
    fitting = [number for number, one in enumerate(marked, 1) if one is not None and not _missed(words, one)]
    if len(fitting) == 1:
        return Move(f"Only what mask {fitting[0]} covers goes with the words.", Finish((fitting[0],)))
    return Move("I can't tell them apart by the words.", ReportAmbiguous((1, 2), "Which of the two is meant?"))


def _missed(words: Sequence[str], marked: SceneObject) -> list[Phrase]:
    """The phrases of the first instruction none of whose phrases the object can be; none where it can be all."""
    for instruction in words:
        phrases = [phrase for phrase in understood(instruction) if phrase.decided]
        if phrases and not any(_can_be(phrase, marked) for phrase in phrases):
            return phrases
    return []


def _marked(message: Message, number: int, pictures: PictureFormat) -> SceneObject | None:
    """The object under the mask that is shown as that number, in pixels of the clean picture; None for none."""
    if len(message.pictures) <= number:
        return None
    pixels, overlay = message.pictures[0].pixels, message.pictures[number].pixels
    height, width = pixels.shape[:2]
    across, down = overlay.shape[1], overlay.shape[0]
    if pictures.overlay == "square":
        across, down = fitted(width, height, across)
    clean = np.asarray(cv2.resize(pixels, (across, down), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    seen = covered(overlay[:down, :across], clean).astype(np.float32)
    mask = np.asarray(cv2.resize(seen, (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5)
    if not mask.any():
        return None
    return object_of(mask, pixels, light_of(pixels), (foreground_of(pixels) > 0) & ~mask)


def _can_be(phrase: Phrase, marked: SceneObject) -> bool:
    if fit(phrase, marked) < SURELY_NOT:
        return False
    excluded = [one for one in phrase.excluded if not (one.relations or one.side or one.pick or one.size)]
    return all(fit(one, marked) < SURELY for one in excluded)
