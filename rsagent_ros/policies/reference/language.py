"""From an instruction to what it asks for: a small grammar over the words of `vocabulary`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from rsagent_ros.policies.reference.vocabulary import (
    COLOUR_OF,
    EXTREME_OF,
    FILLERS,
    GROUND,
    NOUN_OF,
    ORDINALS,
    PHRASES,
    PLURAL_OF,
    RELATIONS,
    SEVERAL,
    SIZE_OF,
)


@dataclass(frozen=True)
class Pick:
    """One out of a row: the `rank`-th counted from a direction of `vocabulary.EXTREMES`, -1 for the last."""

    direction: str
    rank: int = 1


@dataclass(frozen=True)
class Relation:
    """A place relative to other things: a key of `vocabulary.RELATIONS`, and two landmarks for `between`, else one."""

    kind: str
    landmarks: tuple[Phrase, ...]

    def __str__(self) -> str:
        return f"{RELATIONS[self.kind]} {' and '.join(f'the {landmark}' for landmark in self.landmarks)}"


@dataclass(frozen=True)
class Phrase:
    """A description of things.

    Attributes:
        noun: One of `vocabulary.NOUNS`; "thing" for any.
        colours: Any of these.
        size: "small" or "large", by comparison.
        side: Part of the picture it is in, a direction as of a Pick.
        pick: Which of those that fit.
        relations: All must hold.
        excluded: What fits one of these is not meant.
        every: All that fit are meant, not one.
        unknown: Words that were not understood.
        unknown_noun: They say what kind of thing it is or what it is for; or nothing at all was understood.
    """

    noun: str = "thing"
    colours: tuple[str, ...] = ()
    size: str = ""
    side: str = ""
    pick: Pick | None = None
    relations: tuple[Relation, ...] = ()
    excluded: tuple[Phrase, ...] = ()
    every: bool = False
    unknown: tuple[str, ...] = ()
    unknown_noun: bool = False

    @property
    def decided(self) -> bool:
        """Whether something other than noun and size tells which things it can mean."""
        return bool(self.colours or self.excluded or self.relations or self.side)

    def __str__(self) -> str:
        """In plain words, for thoughts and questions, without an article."""
        words = [self.size, " or ".join(self.colours), "thing" if self.unknown_noun else self.noun]
        words += [f"that is not {' or '.join(phrase.colours) or f'the {phrase}'}" for phrase in self.excluded]
        words += [str(relation) for relation in self.relations]
        return " ".join(word for word in words if word)


def understood(instruction: str) -> tuple[Phrase, ...]:
    """What an instruction asks for: one phrase, or several joined by "and". At least one; never raises."""
    reader = _Reader(_tokens(instruction))
    phrases = [reader.phrase()]
    while reader.tokens:
        phrases.append(reader.phrase())
    return tuple(phrases)


_SPOKEN = re.compile("|".join(rf"(?P<p{number}>\b(?:{pattern})\b)" for number, (pattern, _) in enumerate(PHRASES)))


def _tokens(instruction: str) -> list[str]:
    plain = instruction.lower().replace("\u2019", "'").replace("'s ", " ")
    plain = re.sub(r"[^\w' ]+|_", " ", plain)
    plain = re.sub(r"\s+", " ", plain).strip()

    def token(match: re.Match[str]) -> str:
        return f" {PHRASES[int(str(match.lastgroup)[1:])][1]} "

    return _SPOKEN.sub(token, plain).split()


class _Reader:
    """Takes phrases from the front of a list of tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def phrase(self, *, part: bool = False) -> Phrase:
        """The next phrase. As `part` of another it ends before "and" and before what can be said of the other again."""
        phrase, rank, named, empty = Phrase(), 0, False, True
        while self.tokens:
            word = self.tokens[0]
            kind, _, value = word.partition(":")
            if word == "and" and named and (part or self._noun_follows()):
                if not part:
                    self.tokens.pop(0)
                break
            if part and not empty and kind in ("RELATION", "NOT", "SIDE", "FROM"):
                break
            self.tokens.pop(0)
            empty = empty and (word in FILLERS or word in ("the", "and"))
            if kind == "RELATION":
                phrase = self._related(phrase, value)
            elif kind == "NOT":
                phrase = self._excluding(phrase, named)
            elif kind == "SIDE":
                phrase = replace(phrase, side=value)
            elif kind in ("FROM", "EXTREME"):
                phrase = replace(phrase, pick=Pick(value))
            elif word in EXTREME_OF:
                # "the top left one" is the leftmost of those at the top.
                side = phrase.pick.direction if phrase.pick else phrase.side
                phrase = replace(phrase, side=side, pick=Pick(EXTREME_OF[word]))
            elif word in COLOUR_OF:
                phrase = replace(phrase, colours=(*phrase.colours, COLOUR_OF[word]))
            elif word in SIZE_OF:
                phrase = replace(phrase, size=SIZE_OF[word])
            elif word in ORDINALS:
                rank = ORDINALS[word]
            elif word in NOUN_OF or word in PLURAL_OF:
                if phrase.noun == "thing":
                    noun, several = NOUN_OF.get(word) or PLURAL_OF[word], word in PLURAL_OF
                    phrase = replace(phrase, noun=noun, every=phrase.every or several)
                named = True
            elif word in SEVERAL:
                phrase = replace(phrase, every=True)
            elif word not in FILLERS and word not in ("the", "and"):
                phrase = replace(phrase, unknown=(*phrase.unknown, word))
        if rank:
            phrase = replace(phrase, pick=Pick(phrase.pick.direction if phrase.pick else "left", rank))
        said_nothing = not named and phrase == Phrase()
        return replace(phrase, unknown_noun=said_nothing or (bool(phrase.unknown) and phrase.noun == "thing"))

    def _related(self, phrase: Phrase, kind: str) -> Phrase:
        landmarks = [self.phrase(part=True)]
        if kind == "between" and self.tokens[:1] == ["and"]:
            self.tokens.pop(0)
            landmarks.append(self.phrase(part=True))
        if any(landmark.unknown[-1:] and landmark.unknown[-1] in GROUND for landmark in landmarks):
            return phrase
        return replace(phrase, relations=(*phrase.relations, Relation(kind, tuple(landmarks))))

    def _excluding(self, phrase: Phrase, named: bool) -> Phrase:
        if named:
            excluded = replace(self.phrase(part=True), every=False)
        else:
            # "the non-red ball": what comes after the colours is not excluded.
            colours = []
            while self.tokens and (self.tokens[0] in COLOUR_OF or self.tokens[0] in FILLERS):
                colours += [COLOUR_OF[word] for word in [self.tokens.pop(0)] if word in COLOUR_OF]
            excluded = Phrase(colours=tuple(colours))
        return phrase if excluded == Phrase() else replace(phrase, excluded=(*phrase.excluded, excluded))

    def _noun_follows(self) -> bool:
        """Whether what comes after "and" names a thing of its own: "the ball and the box", not "red and green"."""
        rest = self.tokens[1:]
        return any(word in NOUN_OF or word in PLURAL_OF for word in rest)
