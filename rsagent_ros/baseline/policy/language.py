"""From an instruction to phrases: a small grammar over the words of `vocabulary`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from rsagent_ros.baseline.policy.vocabulary import (
    COLOUR_OF,
    EXTREME_OF,
    FILLERS,
    GROUND,
    NOUN_OF,
    NUMBERS,
    ORDINALS,
    PHRASES,
    PLURAL_OF,
    RELATIONS,
    SEVERAL,
    SIZE_OF,
)


@dataclass(frozen=True)
class Pick:
    """Some objects of a row: `count` from the `rank`-th on, from a direction of `EXTREMES`; rank -1 for the last."""

    direction: str
    rank: int = 1
    count: int = 1


@dataclass(frozen=True)
class Relation:
    """A place relative to other things: a key of `vocabulary.RELATIONS`, and two landmarks for `between`, else one."""

    kind: str
    landmarks: tuple[Phrase, ...]

    def __str__(self) -> str:
        return f"{RELATIONS[self.kind]} {' and '.join(f'the {landmark}' for landmark in self.landmarks)}"


@dataclass(frozen=True)
class Phrase:
    """A description of objects.

    Attributes:
        noun: One of `vocabulary.NOUNS`; "thing" for any.
        colours: Any of these.
        size: "small" or "large", by comparison.
        side: Part of the picture it is in, a direction as of a Pick.
        pick: Selection among those that fit.
        relations: All must hold.
        excluded: An object that fits one of these is not meant.
        every: All that fit are meant, not one.
        number: Number of objects that the words name; 0 where they name none.
        unknown: Words that were not understood.
        unknown_noun: They name a kind of object or a use; or nothing at all was understood.
        muddled: The words hang together in a way that can't be read here, such as "the ball's box" or "the ball pen".
    """

    noun: str = "thing"
    colours: tuple[str, ...] = ()
    size: str = ""
    side: str = ""
    pick: Pick | None = None
    relations: tuple[Relation, ...] = ()
    excluded: tuple[Phrase, ...] = ()
    every: bool = False
    number: int = 0
    unknown: tuple[str, ...] = ()
    unknown_noun: bool = False
    muddled: bool = False

    @property
    def clear(self) -> bool:
        """Whether every kind of object in it is known: its own, those of its landmarks, those that it excludes."""
        return not self.muddled and not self.unknown_noun and all(part.clear for part in self._parts)

    @property
    def decided(self) -> bool:
        """Whether it tells which objects it means, if need be by something other than noun and size."""
        told = self.colours or self.excluded or self.relations or self.side
        return not self.muddled and (bool(told) or not self.unknown_noun)

    @property
    def unclear_words(self) -> tuple[str, ...]:
        """The words for which it is not `clear`; none where it is the order of known ones."""
        own = self.unknown if self.unknown_noun or self.muddled else ()
        return (*own, *(word for part in self._parts for word in part.unclear_words))

    @property
    def _parts(self) -> tuple[Phrase, ...]:
        return (*(landmark for relation in self.relations for landmark in relation.landmarks), *self.excluded)

    def __str__(self) -> str:
        """The phrase in plain words, without an article, for thoughts and questions."""
        words = [self.size, " or ".join(self.colours), "thing" if self.unknown_noun else self.noun]
        words += [f"that is not {phrase._as_excluded()}" for phrase in self.excluded]
        words += [str(relation) for relation in self.relations]
        return " ".join(word for word in words if word)

    def _as_excluded(self) -> str:
        if self.noun == "thing" and not (self.size or self.pick or self.side):
            return " and ".join([" or ".join(self.colours)] * bool(self.colours) + [str(one) for one in self.relations])
        return f"the {self}"


def understood(instruction: str) -> tuple[Phrase, ...]:
    """Parse an instruction: one phrase, or several joined by "and". At least one; never raises."""
    reader = _Reader(_tokens(instruction))
    phrases = [reader.phrase()]
    while reader.tokens:
        phrases.append(reader.phrase())
    return tuple(phrases)


_SPOKEN = re.compile("|".join(rf"(?P<p{number}>\b(?:{pattern})\b)" for number, (pattern, _) in enumerate(PHRASES)))


def _tokens(instruction: str) -> list[str]:
    plain = instruction.lower().replace("\u2019", "'")
    plain = re.sub(r"[^\w' ]+|_", " ", plain)
    plain = re.sub(r"\s+", " ", plain).strip()

    def token(match: re.Match[str]) -> str:
        return f" {PHRASES[int(str(match.lastgroup)[1:])][1]} "

    return _SPOKEN.sub(token, plain).split()


class _Reader:
    """A reader that takes phrases from the front of a list of tokens."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def phrase(self, *, part: bool = False) -> Phrase:
        """The next phrase. As `part` of another it ends before "and" and before what can be said of the other again."""
        phrase, rank, named, empty, single, before = Phrase(), 0, False, True, False, ""
        unknown = _UnknownNouns()
        while self.tokens:
            word = self.tokens[0]
            kind, _, value = word.partition(":")
            if word == "and" and named and (part or self._another_follows()):
                if not part:
                    self.tokens.pop(0)
                break
            if part and not empty and (kind in ("RELATION", "NOT", "SIDE", "FROM") or word == "but"):
                break
            self.tokens.pop(0)
            noun = NOUN_OF.get(word) or PLURAL_OF.get(word, "")
            unknown.read(word, named)
            empty = empty and (word in FILLERS or word in ("the", "and", "but"))
            if kind == "RELATION":
                phrase = self._related(phrase, value) if named or part or value != "with" else phrase
            elif kind == "NOT" or (word == "but" and phrase.every):
                phrase = self._excluding(phrase, named or phrase.every)
            elif kind == "SIDE":
                phrase = replace(phrase, side=value)
            elif kind in ("FROM", "EXTREME"):
                phrase = replace(phrase, pick=Pick(value))
            elif kind == "POSSESSIVE":
                phrase = replace(phrase, muddled=phrase.muddled or named)
            elif kind == "AMONG":
                # "The larger of the two boxes" is one box.
                single = not (phrase.every or phrase.number)
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
            elif word in NUMBERS:
                phrase = replace(phrase, number=NUMBERS[word])
            elif noun:
                if "thing" not in (noun, phrase.noun) and noun != phrase.noun and before != "noun":
                    phrase = replace(phrase, muddled=True)
                if phrase.noun == "thing" or (before == "noun" and noun != "thing"):
                    phrase = replace(phrase, noun=noun)
                several = (word in PLURAL_OF or word in SEVERAL) and not single
                phrase, named = replace(phrase, every=phrase.every or several), True
            elif word in SEVERAL:
                phrase = replace(phrase, every=True)
            elif word not in FILLERS and word not in ("the", "and", "but"):
                # "The ball pen": what follows a noun at once is the noun that counts, but "the ball lying there".
                compound = before == "noun" and phrase.noun != "thing" and not word.endswith(("ing", "ed"))
                phrase = replace(phrase, unknown=(*phrase.unknown, word), muddled=phrase.muddled or compound)
                unknown.mark(named)
            # "The cone shaped vase" is one, too.
            before = "noun" if noun or (before == "noun" and word in ("shaped", "shape")) else ""
        if unknown.found:
            phrase = replace(phrase, noun="thing", unknown_noun=True)
        return _rounded_off(phrase, rank, named)

    def _related(self, phrase: Phrase, kind: str) -> Phrase:
        landmarks = [self.phrase(part=True)]
        if kind == "between" and self.tokens[:1] == ["and"]:
            self.tokens.pop(0)
            landmarks.append(self.phrase(part=True))
        if kind in ("in", "on") and landmarks[0] == _NOTHING:
            return phrase
        if any(landmark.unknown[-1:] and landmark.unknown[-1] in GROUND for landmark in landmarks):
            return phrase
        if _NOTHING in landmarks:
            return replace(phrase, unknown=(*phrase.unknown, *RELATIONS.get(kind, kind).split()))
        if kind == "with":
            return self._having(phrase, landmarks[0])
        return replace(phrase, relations=(*phrase.relations, Relation("on" if kind == "in" else kind, (*landmarks,))))

    def _having(self, phrase: Phrase, had: Phrase) -> Phrase:
        if self.tokens[:1] == ["RELATION:on"] and self.tokens[1:2] in (["it"], ["top"], ["them"]):
            del self.tokens[:2]
        elif self.tokens[:1] == ["SIDE:top"]:
            del self.tokens[:1]
        if had.noun != "thing":
            return replace(phrase, relations=(*phrase.relations, Relation("with", (had,))))
        if had == Phrase(colours=had.colours):
            return replace(phrase, colours=(*phrase.colours, *had.colours))
        return replace(phrase, unknown=(*phrase.unknown, *had.unknown))

    def _excluding(self, phrase: Phrase, named: bool) -> Phrase:
        if named:
            excluded = replace(self.phrase(part=True), every=False, number=0)
        elif self.tokens[:1] == ["the"]:
            # "not the red ball but the blue one"
            excluded = self.phrase(part=True)
        else:
            # "the non-red ball": what comes after the colours is not excluded.
            colours = []
            while self.tokens and (self.tokens[0] in COLOUR_OF or self.tokens[0] in FILLERS):
                colours += [COLOUR_OF[word] for word in [self.tokens.pop(0)] if word in COLOUR_OF]
            excluded = Phrase(colours=tuple(colours))
        return phrase if excluded in (Phrase(), _NOTHING) else replace(phrase, excluded=(*phrase.excluded, excluded))

    def _another_follows(self) -> bool:
        """Whether an object of its own follows "and": "the ball and the box", not "red and green"."""
        rest = [token for token in self.tokens[1:] if token not in FILLERS]
        if rest[:1] and rest[0].partition(":")[0] in ("RELATION", "SIDE", "NOT", "FROM"):
            return False  # "the ball left of the box and behind the cone"
        return any(word in NOUN_OF or word in PLURAL_OF for word in rest)


class _UnknownNouns:
    """A watch for unknown words that name a thing of their own beside the noun that is known: "the mug and the box".

    An unknown word before a noun says what the noun is like ("the striped ball"), unless another thing begins between
    the two; one that follows "and" or "or" names another thing.
    """

    def __init__(self) -> None:
        self.found = False
        self._begun = self._open = self._joined = False

    def read(self, word: str, named: bool) -> None:
        """Take the next word; `named` says whether a known noun came before."""
        joins = word in ("and", "or", "nor", "of", "AMONG")
        begins = word in ("the", "a", "an", "my", "this", "that", "these", "those", "some", "any")
        if (joins or (begins and self._begun)) and self._open and not named:
            self.found = True
        if joins or begins or word in NOUN_OF or word in PLURAL_OF:
            self._open = False
        self._begun = self._begun or begins
        self._joined = self._joined or (named and word in ("and", "or", "nor"))

    def mark(self, named: bool) -> None:
        """Take note that the word was an unknown one."""
        self._open = True
        self.found = self.found or (named and self._joined)


def _rounded_off(phrase: Phrase, rank: int, named: bool) -> Phrase:
    """A phrase as it is meant once all of its words are known."""
    pick = phrase.pick
    if rank:
        pick = Pick(pick.direction if pick else "left", rank, max(1, phrase.number))
    elif pick and phrase.number:
        pick = Pick(pick.direction, 1, phrase.number)
    elif pick and phrase.every:
        # "The largest boxes" are some of them, and nobody says how many.
        sized = pick.direction in ("large", "small")
        phrase = replace(phrase, size=pick.direction) if sized else replace(phrase, side=phrase.side or pick.direction)
        pick = None
    elif phrase.number:
        phrase = replace(phrase, every=True)
    said_nothing = not named and pick is None and phrase == Phrase()
    unknown_noun = said_nothing or phrase.unknown_noun or (bool(phrase.unknown) and phrase.noun == "thing")
    return replace(phrase, pick=pick, unknown_noun=unknown_noun)


_NOTHING = Phrase(unknown_noun=True)
"""The phrase for no words at all."""
