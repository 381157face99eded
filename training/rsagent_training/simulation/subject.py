"""Descriptions of the things in a picture, alone and in relation to each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from rsagent_training.simulation import semantics
from rsagent_training.simulation.catalogue import COLOURS, DRAWINGS, GEOMETRIC, KINDS, NOUNS, THINGS, Noun
from rsagent_training.simulation.semantics import NounPhrase, Referents
from rsagent_training.simulation.visibility import VisibleItem, visible_items
from rsagent_training.simulation.world import Rendering, World


@dataclass(frozen=True)
class Related:
    """A description with a relation to a landmark.

    Attributes:
        words: Of the whole.
        before: What the description alone answers; answer: what it answers with the relation.
        apart: The description does not fit the landmark itself.
    """

    words: str
    relation: str
    before: Referents
    answer: Referents
    apart: bool


@dataclass(frozen=True)
class Subject:
    """Things of one picture, and the words there are for them.

    Attributes:
        things: What is visible.
        nouns: For kinds; generic: for anything.
        colours: Of the things in view.
        around: Colours that something that is no thing may have: the table, the wall, the lid of a can.
        uses: Whether uses may be asked for.
    """

    things: list[VisibleItem]
    nouns: tuple[Noun, ...]
    generic: tuple[Noun, ...]
    colours: tuple[str, ...]
    around: frozenset[str]
    uses: bool

    @cached_property
    def related(self) -> list[Related]:
        """Every description together with every relation to a landmark, where something answers the description."""
        named = []
        for phrase, plain in self.phrases():
            named.append((phrase, plain))
            for sized in (NounPhrase(phrase.noun, phrase.colour, size) for size in ("small", "large")):
                named.append((sized, sized.among(self.things)))
        return [
            pair
            for place, landmark in self.landmarks()
            for phrase, answer in named
            if True in answer.values() and phrase != place
            for pair in self._pairs(phrase, answer, place, landmark)
        ]

    def _pairs(
        self, phrase: NounPhrase, answer: Referents, place: NounPhrase, landmark: VisibleItem
    ) -> Iterator[Related]:
        for relation in semantics.RELATIONS:
            holds = semantics.related(answer, relation, landmark, self.things)
            words = f"the {phrase.words} {relation} the {place.words}"
            yield Related(words, relation, answer, holds, apart=answer[landmark.name] is False)
        closest = semantics.closest(answer, landmark, self.things)
        if closest is not None:
            words = f"the {phrase.words} closest to the {place.words}"
            yield Related(words, "closest to", answer, {closest: True}, apart=answer[landmark.name] is False)

    def phrases(self) -> Iterator[tuple[NounPhrase, Referents]]:
        """Noun and colour, each with its answer; those that nothing in view answers too."""
        for noun in self.nouns + self.generic:
            for colour in (None, *self.colours):
                phrase = NounPhrase(noun, colour)
                yield phrase, phrase.among(self.things)

    def landmarks(self) -> Iterator[tuple[NounPhrase, VisibleItem]]:
        """The shortest description of each thing that fits it alone."""
        found: set[str] = set()
        for colour, size in ((False, False), (True, False), (False, True), (True, True)):
            for thing in self.things:
                noun = NOUNS.get(thing.item.kind)
                if noun in self.nouns and thing.name not in found:
                    phrase = NounPhrase(noun, thing.item.colour if colour else None, thing.item.size if size else None)
                    if phrase.size != "medium" and semantics.only(phrase.among(self.things)) == thing.name:
                        found.add(thing.name)
                        yield phrase, thing


def subject_of(world: World, frame: Rendering) -> Subject:
    """The subject of a picture."""
    things = visible_items(world.items, frame)
    plain = world.vocabulary == "plain"
    room = world.room
    return Subject(
        things,
        tuple(NOUNS[word] for word in (GEOMETRIC + DRAWINGS if plain else NOUNS)),
        tuple(THINGS.values()),
        tuple(colour for colour in COLOURS if any(thing.item.colour == colour for thing in things)),
        room.table.colours.union(room.wall.colours, room.floor.colours, *(KINDS[t.item.kind].trim for t in things)),
        uses=not plain,
    )
