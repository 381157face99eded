"""The reference policy's answer to a second look: do colour and shape of what the mask covers go with the words?

It sees the crop and nothing else, so it judges nothing else: sizes, places and relations count as true, as it is told.
"""

from __future__ import annotations

import json

import cv2
import numpy as np

from rsagent_ros.agent.actions import Finish, ReportAbsent
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.mask import fitted
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.verification import SHOWN_AS
from rsagent_ros.baseline.policy import wording
from rsagent_ros.baseline.policy.colours import light_of
from rsagent_ros.baseline.policy.drawing import Move
from rsagent_ros.baseline.policy.figures import figures_of
from rsagent_ros.baseline.policy.grounding import fit
from rsagent_ros.baseline.policy.inspection import covered
from rsagent_ros.baseline.policy.language import Phrase, understood
from rsagent_ros.baseline.policy.perception import Thing, thing_of

SURELY_NOT = 0.1
"""Fit below which a thing is not what a phrase says; the search takes none below 0.35, which leaves room for doubt."""

SURELY = 0.9
"""Fit from which on a thing is what a phrase excludes."""


def is_second_look(message: Message) -> bool:
    """Whether a message asks for one."""
    return message.role == "user" and "second_look" in json.loads(message.text)


def second_look(message: Message, pictures: PictureFormat) -> Move:
    """The move that answers it: `finish` for yes, `report_absent` for no. About 0.1 s."""
    facts = json.loads(message.text)
    thing = _marked(message, pictures)
    if thing is None:
        return Move("I can't see what the mask covers.", Finish((SHOWN_AS,)))
    looks = wording.indefinite(wording.looks(thing))
    for said in (*(one["instruction"] for one in facts.get("previous", ())), facts["instruction"]):
        phrases = [phrase for phrase in understood(said) if phrase.decided]
        if phrases and not any(_can_be(phrase, thing) for phrase in phrases):
            meant = wording.listed([f"the {phrase}" for phrase in phrases], "or")
            return Move(f"The mask covers {looks}.", ReportAbsent(f"it looks like {looks}, not like {meant}"))
    return Move(f"The mask covers {looks}, which goes with the words.", Finish((SHOWN_AS,)))


def _marked(message: Message, pictures: PictureFormat) -> Thing | None:
    """What the mask covers, in pixels of the clean picture; None where no mask can be seen."""
    if len(message.pictures) < 2:
        return None
    pixels, overlay = (picture.pixels for picture in message.pictures[-2:])
    height, width = pixels.shape[:2]
    across, down = overlay.shape[1], overlay.shape[0]
    if pictures.overlay == "square":
        across, down = fitted(width, height, across)
    clean = np.asarray(cv2.resize(pixels, (across, down), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    seen = covered(overlay[:down, :across], clean).astype(np.float32)
    mask = np.asarray(cv2.resize(seen, (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5)
    if not mask.any():
        return None
    return thing_of(mask, pixels, light_of(pixels), (figures_of(pixels) > 0) & ~mask, mask)


def _can_be(phrase: Phrase, thing: Thing) -> bool:
    if fit(phrase, thing) < SURELY_NOT:
        return False
    excluded = [one for one in phrase.excluded if not (one.relations or one.side or one.pick or one.size)]
    return all(fit(one, thing) < SURELY for one in excluded)
