"""State of an episode of the expert: the last observation, the view, the masks made so far."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from rsagent_ros.agent.actions import Action, render
from rsagent_ros.agent.chat import Message, PictureKind
from rsagent_ros.agent.geometry import Box, View
from rsagent_ros.agent.mask import OVERLAY_SIDE, Mask, area, bounding_box, decode_rle
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.turn import Turn
from rsagent_ros.data.example import Example
from rsagent_training.expert.config import ExpertConfig
from rsagent_training.expert.mask_difference import MaskDifference, compare
from rsagent_training.expert.pointing import Pointer, words
from rsagent_training.expert.surroundings import look_around
from rsagent_training.expert.thoughts import draw_thought

_WORDS = re.compile(r"(all )?(the|a|an|something) [^<>{}]{1,100}")
"""Instructions that a thought can repeat as they are; others are "what is asked for"."""


@dataclass(frozen=True)
class ExpertReply:
    """One reply.

    Attributes:
        thought: The thought.
        call: Text after it: a call, or on purpose something that is none.
        learn: Whether it is worth learning; a mistake made on purpose is not.
    """

    thought: str
    call: str
    learn: bool = True

    @property
    def text(self) -> str:
        """The reply in the grammar of the chat."""
        return f"<think>{self.thought}</think>{self.call}"


_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")

Replies: TypeAlias = Generator[ExpertReply, None, None]


class EpisodeState:
    """The scene with its truth, and how far the episode has come.

    Attributes:
        turns_left: Replies that are left, the next one included.
        facts: The last observation.
        view: The current view.
        masks: Those made so far, by id, (H, W) bool.
        newest: Id of the mask that the last turn made; 0 where it made none.
        found: Ids of the masks that the last phrase gave.
        takes_words: Whether there is a tool `find`.
    """

    def __init__(self, scene: Example, rng: np.random.Generator, pictures: PictureFormat, config: ExpertConfig) -> None:
        """Look at the scene; about 0.3 s."""
        self.scene = scene
        self.rng = rng
        self.config = config
        self.height, self.width = scene.image.shape[:2]
        self.view = View.whole(self.width, self.height)
        self.turns_left = 1
        self.facts: dict[str, Any] = {}
        self.masks: dict[int, Mask] = {}
        self.newest = 0
        self.found: tuple[int, ...] = ()
        self.takes_words = False
        self.surroundings = look_around(scene.image, scene.masks)
        self._pictures = pictures
        self._shown: PictureKind = "view"

    # --- what comes in

    def observe(self, message: Message) -> None:
        """The next observation."""
        self.facts = json.loads(message.text)
        self._shown = message.pictures[-1].kind if message.pictures else self._shown
        self.turns_left = int(self.facts["turns_left"])

    def see(self, turn: Turn) -> None:
        """The turn that was recorded: its mask in full, of which a policy only gets a picture."""
        self.view = View(*turn.view, frame_width=self.width, frame_height=self.height)
        self.newest = turn.mask_id
        if turn.tool == "find":
            self.found = tuple(made.mask_id for made in turn.found)
        self.masks |= {made.mask_id: decode_rle(made.mask) for made in turn.masks}

    # --- what is so

    @property
    def point(self) -> Pointer:
        """Points at places in the current view."""
        return Pointer(self.view, self._pictures, self._shown)

    def compared(self, mask_id: int, target: int) -> MaskDifference:
        """A mask beside the target of that number."""
        return compare(self.masks[mask_id], self.scene.masks[target])

    def target_box(self, target: int) -> Box:
        """Around the target of that number, full-frame pixels."""
        box = bounding_box(self.scene.masks[target])
        if box is None:
            raise ValueError(f"scene {self.scene.id}: mask {target + 1} is empty; there is nothing to show")
        return box

    def overlay_pixels(self, target: int) -> float:
        """Longer side of a target in pixels of an overlay of the current view."""
        box = self.target_box(target)
        return max(box.width, box.height) * OVERLAY_SIDE / max(self.view.width, self.view.height)

    # --- what is said

    def chance(self, share: float) -> bool:
        """True as often as this."""
        return bool(self.rng.random() < share)

    @property
    def zoomed(self) -> bool:
        """Whether less than the whole frame is looked at."""
        return self.view.key != (0, 0, self.width, self.height)

    @property
    def wanted(self) -> str:
        """The instruction's own words where they fit into a sentence."""
        instruction = self.scene.instruction.strip().rstrip(".!?")
        return instruction if _WORDS.fullmatch(instruction) else "what is asked for"

    @property
    def error(self) -> str:
        """The reason why nothing came of the last reply; empty where something did."""
        error = str(self.facts.get("error", ""))
        # A tag of the call's own in a thought would be taken for a second call.
        return "A reply must end with one whole tool call." if "<" in error else error

    def it(self, target: int) -> str:
        """The target as it looks."""
        colour = self.surroundings.colours[target]
        return f"the {colour} thing" if colour else "the thing"

    def thought(self, *keys: str, target: int | None = None, **fields: object) -> str:
        """A thought; what it can be about is filled in."""
        known: dict[str, object] = {
            "wanted": self.wanted,
            "mask": self.facts.get("mask", 0),
            "percent": self.facts.get("area_percent", 0),
            "told": self.facts.get("box") or "the edge of the view",
            "count": counted(len(self.scene.masks)),
        }
        if target is not None:
            seen = self.view.crop(self.scene.masks[target])
            known |= {
                "it": self.it(target),
                "box": words(self.point.box(self.target_box(target))),
                "share": f"{100 * area(seen) / seen.size:.2g}",
            }
        return draw_thought(self.rng, *keys, **(known | fields))

    def reply(self, thought: str, action: Action, *, learn: bool = True) -> ExpertReply:
        """A reply with a call whose numbers are in the unit of the chat."""
        return ExpertReply(thought, render(action), learn)


def counted(number: int) -> str:
    """A number in words, as far as people write them so."""
    return _COUNTS[number] if number < len(_COUNTS) else str(number)
