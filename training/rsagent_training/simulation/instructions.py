"""Goals in words, each with its true answer: what may fairly be asked about one picture.

The grammar, where THING is a noun of the catalogue ("ball", "mug") or "thing"/"object" for any kind:

    the [small|large] [COLOUR] THING                                    attribute, shape, size
    the largest|smallest [COLOUR] THING [that is not COLOUR]            size, negation
    the [COLOUR] THING that is not COLOUR                               negation
    the leftmost|rightmost [COLOUR] THING                               ordinal
    the [COLOUR] THING nearest to|farthest from the camera              ordinal
    the second|third|... [COLOUR] THING from the left|right             ordinal
    the ... THING left of|right of|in front of|behind|on|closest to the ... THING       relation
    something to drink from [that is COLOUR]                            use (not in the plain vocabulary)
    all the [COLOUR] THINGs                                             all

An absent goal is one of these that nothing in view answers; an ambiguous one says "the" of two or more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_training.simulation import semantics
from rsagent_training.simulation.catalogue import COLOURS, USES, Noun
from rsagent_training.simulation.semantics import NounPhrase, Referents
from rsagent_training.simulation.subject import Subject, subject_of
from rsagent_training.simulation.world import Rendering, Stream, World

_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_SUPERLATIVES = {
    "leftmost": "the leftmost {}",
    "rightmost": "the rightmost {}",
    "nearest": "the {} nearest to the camera",
    "farthest": "the {} farthest from the camera",
}
_PER_CATEGORY = 3


@dataclass(frozen=True)
class Goal:
    """An instruction and its answer.

    Attributes:
        instruction: In words.
        expected: FOUND, NOT_IN_VIEW or AMBIGUOUS.
        category: One of CATEGORIES.
        targets: Names of things: what is wanted (FOUND), the candidates (AMBIGUOUS), none (NOT_IN_VIEW).
        flavour: Within the category, so that a few goals differ in more than their nouns.
        previous: What was asked before, where the instruction answers a question about it.
    """

    instruction: str
    expected: Outcome
    category: str
    targets: tuple[str, ...]
    flavour: str = ""
    previous: tuple[Exchange, ...] = ()


def goals(world: World, frame: Rendering) -> list[Goal]:
    """A few goals of each category that this picture allows; the same picture gives the same goals."""
    subject = subject_of(world, frame)
    rng = np.random.default_rng([world.seed, Stream.GOALS, round(abs(frame.t) * 1e6)])
    return [goal for ask in _QUESTIONS.values() for goal in _varied(ask(subject), rng)]


def _varied(asked: Iterator[Goal], rng: np.random.Generator) -> list[Goal]:
    """A few of the goals: of as many flavours as there are, and no two that ask for the same in the same way."""
    flavours: dict[str, list[Goal]] = {}
    for goal in asked:
        flavours.setdefault(goal.flavour, []).append(goal)
    queues = []
    for _, same in sorted(flavours.items()):
        shuffled = [same[i] for i in rng.permutation(len(same))]
        queues.append(list({goal.targets or goal.instruction: goal for goal in shuffled}.values()))
    turns = [queues[i] for i in rng.permutation(len(queues))]
    rounds = [queue[depth] for depth in range(_PER_CATEGORY) for queue in turns if depth < len(queue)]
    return rounds[:_PER_CATEGORY]


def _found(words: str, category: str, target: str, flavour: str = "") -> Goal:
    return Goal(words, Outcome.FOUND, category, (target,), flavour)


def _attribute(subject: Subject) -> Iterator[Goal]:
    for phrase, answer in subject.phrases():
        name = semantics.only(answer)
        if phrase.colour is not None and name is not None:
            needed = semantics.only(NounPhrase(phrase.noun).among(subject.things)) is None
            yield _found(f"the {phrase.words}", "attribute", name, "colour decides" if needed else "")


def _shape(subject: Subject) -> Iterator[Goal]:
    for phrase, answer in subject.phrases():
        name = semantics.only(answer)
        if phrase.colour is None and phrase.noun in subject.nouns and name is not None:
            yield _found(f"the {phrase.words}", "shape", name)


def _size(subject: Subject) -> Iterator[Goal]:
    ahead = {word: semantics.order(subject.things, word) for word in ("largest", "smallest")}
    for phrase, answer in subject.phrases():
        for size in ("small", "large"):
            sized = NounPhrase(phrase.noun, phrase.colour, size)
            name = semantics.only(sized.among(subject.things))
            if name is not None:
                yield _found(f"the {sized.words}", "size", name, "adjective")
        for word in ahead:
            name = semantics.foremost(answer, ahead[word])
            if name is not None:
                yield _found(f"the {word} {phrase.words}", "size", name, "superlative")


def _negation(subject: Subject) -> Iterator[Goal]:
    ahead = {word: semantics.order(subject.things, word) for word in ("largest", "smallest")}
    for noun in subject.nouns + subject.generic:
        for colour in subject.colours:
            phrase = NounPhrase(noun, not_colour=colour)
            answer = phrase.among(subject.things)
            # Without any such thing in the colour that is ruled out, ruling it out says nothing.
            if True not in NounPhrase(noun, colour).among(subject.things).values():
                continue
            name = semantics.only(answer)
            if name is not None:
                yield _found(f"the {phrase.words}", "negation", name, "one")
            for word in ahead:
                name = semantics.foremost(answer, ahead[word])
                if name is not None:
                    yield _found(f"the {word} {phrase.words}", "negation", name, word)


def _ordinal(subject: Subject) -> Iterator[Goal]:
    ahead = {word: semantics.order(subject.things, word) for word in _SUPERLATIVES}
    centre = {thing.name: thing.centre[0] for thing in subject.things}
    for phrase, answer in subject.phrases():
        for word, form in _SUPERLATIVES.items():
            name = semantics.foremost(answer, ahead[word])
            if name is not None:
                yield _found(form.format(phrase.words), "ordinal", name, word)
        names = semantics.every(answer)
        if names is None or not 2 <= len(names) <= len(_ORDINALS):
            continue
        row = sorted(names, key=centre.__getitem__)
        if any(not ahead["leftmost"][a][b] for a, b in pairwise(row)):
            continue
        for count in range(1, len(row)):
            yield _found(f"the {_ORDINALS[count]} {phrase.words} from the left", "ordinal", row[count], "from the left")
            yield _found(
                f"the {_ORDINALS[count]} {phrase.words} from the right", "ordinal", row[-1 - count], "from the right"
            )


def _relation(subject: Subject) -> Iterator[Goal]:
    for one in subject.related:
        name = semantics.only(one.answer)
        if name is not None:
            needed = semantics.only(one.before) is None
            yield _found(one.words, "relation", name, one.relation if needed else "not needed")


def _use(subject: Subject) -> Iterator[Goal]:
    for words, answer in _uses(subject):
        name = semantics.only(answer)
        if name is not None:
            yield _found(words, "use", name, "colour" if " that is " in words else "")


def _uses(subject: Subject) -> Iterator[tuple[str, Referents]]:
    """Words and answer of everything one may want to do."""
    if not subject.uses:
        return
    for use in USES:
        for colour in (None, *subject.colours):
            # A use is a noun in all but grammar: some kinds surely serve it, some people would make do with others.
            answer = NounPhrase(Noun(use.words, use.sure, use.possible), colour).among(subject.things)
            yield f"something {use.words}" + (f" that is {colour}" if colour else ""), answer


def _absent(subject: Subject) -> Iterator[Goal]:
    def absent(words: str, flavour: str) -> Goal:
        return Goal(words, Outcome.NOT_IN_VIEW, "absent", (), flavour)

    for noun in subject.nouns + subject.generic:
        kind_in_view = True in NounPhrase(noun).among(subject.things).values()
        if semantics.every(NounPhrase(noun).among(subject.things)) == [] and noun in subject.nouns:
            yield absent(f"the {noun.word}", "kind")
        for colour in COLOURS:
            if noun in subject.generic and colour in subject.around:
                continue
            if semantics.every(NounPhrase(noun, colour).among(subject.things)) == []:
                near = kind_in_view and colour in subject.colours
                flavour = "near miss" if near else "colour" if kind_in_view else "both"
                yield absent(f"the {NounPhrase(noun, colour).words}", flavour)
    for one in subject.related:
        # "The large cone left of the large blue cone" is no fair question where they are one and the same.
        if one.apart and one.relation != "on" and semantics.every(one.before) and semantics.every(one.answer) == []:
            yield absent(one.words, "relation")
    for words, answer in _uses(subject):
        if semantics.every(answer) == []:
            yield absent(words, "use and colour" if " that is " in words else "use")


def _ambiguous(subject: Subject) -> Iterator[Goal]:
    for phrase, answer in subject.phrases():
        names = semantics.every(answer)
        if names is not None and 2 <= len(names) <= 4:
            flavour = "colour" if phrase.colour else "kind"
            yield Goal(f"the {phrase.words}", Outcome.AMBIGUOUS, "ambiguous", tuple(names), flavour)
    for one in subject.related:
        names = semantics.every(one.answer)
        if names is not None and 2 <= len(names) <= 3:
            yield Goal(one.words, Outcome.AMBIGUOUS, "ambiguous", tuple(names), "relation")


def _all(subject: Subject) -> Iterator[Goal]:
    for phrase, answer in subject.phrases():
        names = semantics.every(answer)
        if names is not None and len(names) >= 2 and (phrase.colour or phrase.noun in subject.nouns):
            yield Goal(
                f"all the {phrase.plural}", Outcome.FOUND, "all", tuple(names), "colour" if phrase.colour else "kind"
            )


_QUESTIONS: dict[str, Callable[[Subject], Iterator[Goal]]] = {
    "attribute": _attribute,
    "shape": _shape,
    "size": _size,
    "negation": _negation,
    "ordinal": _ordinal,
    "relation": _relation,
    "use": _use,
    "absent": _absent,
    "ambiguous": _ambiguous,
    "all": _all,
}
CATEGORIES = tuple(_QUESTIONS)
