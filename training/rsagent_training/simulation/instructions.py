"""Instructions that may fairly be given about one picture, each with its true answer.

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

An absent example is one of these that nothing in view answers; an ambiguous one says "the" of two or more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.prompt import Exchange
from rsagent_ros.data.example import Example
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
_OUTCOMES = {"absent": Outcome.NOT_IN_VIEW, "ambiguous": Outcome.AMBIGUOUS}


class ReferringExpression(NamedTuple):
    """Words that refer to things of a picture.

    Attributes:
        words: The instruction.
        referents: Names of the things: those wanted, the candidates of an ambiguous one, or none.
        form: Within its category, so that a few examples differ in more than their nouns; empty for no special one.
    """

    words: str
    referents: tuple[str, ...]
    form: str = ""


def examples(world: World, rendering: Rendering) -> list[Example]:
    """A few examples of each category that this picture allows; the same picture gives the same ones."""
    subject = subject_of(world, rendering)
    rng = np.random.default_rng([world.seed, Stream.GOALS, round(abs(rendering.t) * 1e6)])
    chosen = [(category, one) for category, say in _CATEGORIES.items() for one in _varied(say(subject), rng)]
    return [to_example(world, rendering, number, category, one) for number, (category, one) in enumerate(chosen)]


def to_example(
    world: World,
    rendering: Rendering,
    number: int,
    category: str,
    expression: ReferringExpression,
    previous: tuple[Exchange, ...] = (),
) -> Example:
    """An expression about a picture as an example with its true masks.

    Args:
        world: The world of the picture; its seed and vocabulary are in the id and the source.
        rendering: The picture, with masks, depth and camera.
        number: Of the example among those about this picture.
        category: One of CATEGORIES; it decides the expected outcome.
        expression: Words and what they refer to.
        previous: Earlier instructions and questions, where the words answer one.
    """
    return Example(
        f"{world.vocabulary}-{world.seed:06d}-{number:02d}",
        rendering.rgb,
        expression.words,
        _OUTCOMES.get(category, Outcome.FOUND),
        tuple(rendering.masks[name] for name in expression.referents),
        previous=previous,
        depth=rendering.depth,
        camera=rendering.camera,
        source=f"simulate vocabulary={world.vocabulary} seed={world.seed} goal={number}",
        tags=(category, expression.form) if expression.form else (category,),
    )


def _varied(expressions: Iterator[ReferringExpression], rng: np.random.Generator) -> list[ReferringExpression]:
    """A few of them: of as many forms as there are, and no two that refer to the same in the same form."""
    forms: dict[str, list[ReferringExpression]] = {}
    for one in expressions:
        forms.setdefault(one.form, []).append(one)
    queues = []
    for _, same in sorted(forms.items()):
        shuffled = [same[i] for i in rng.permutation(len(same))]
        queues.append(list({one.referents or one.words: one for one in shuffled}.values()))
    turns = [queues[i] for i in rng.permutation(len(queues))]
    rounds = [queue[depth] for depth in range(_PER_CATEGORY) for queue in turns if depth < len(queue)]
    return rounds[:_PER_CATEGORY]


def _attribute(subject: Subject) -> Iterator[ReferringExpression]:
    for phrase, answer in subject.phrases():
        name = semantics.only(answer)
        if phrase.colour is not None and name is not None:
            needed = semantics.only(NounPhrase(phrase.noun).among(subject.things)) is None
            yield ReferringExpression(f"the {phrase.words}", (name,), "colour decides" if needed else "")


def _shape(subject: Subject) -> Iterator[ReferringExpression]:
    for phrase, answer in subject.phrases():
        name = semantics.only(answer)
        if phrase.colour is None and phrase.noun in subject.nouns and name is not None:
            yield ReferringExpression(f"the {phrase.words}", (name,))


def _size(subject: Subject) -> Iterator[ReferringExpression]:
    ahead = {word: semantics.order(subject.things, word) for word in ("largest", "smallest")}
    for phrase, answer in subject.phrases():
        for size in ("small", "large"):
            sized = NounPhrase(phrase.noun, phrase.colour, size)
            name = semantics.only(sized.among(subject.things))
            if name is not None:
                yield ReferringExpression(f"the {sized.words}", (name,), "adjective")
        for word in ahead:
            name = semantics.foremost(answer, ahead[word])
            if name is not None:
                yield ReferringExpression(f"the {word} {phrase.words}", (name,), "superlative")


def _negation(subject: Subject) -> Iterator[ReferringExpression]:
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
                yield ReferringExpression(f"the {phrase.words}", (name,), "one")
            for word in ahead:
                name = semantics.foremost(answer, ahead[word])
                if name is not None:
                    yield ReferringExpression(f"the {word} {phrase.words}", (name,), word)


def _ordinal(subject: Subject) -> Iterator[ReferringExpression]:
    ahead = {word: semantics.order(subject.things, word) for word in _SUPERLATIVES}
    centre = {thing.name: thing.centre[0] for thing in subject.things}
    for phrase, answer in subject.phrases():
        for word, form in _SUPERLATIVES.items():
            name = semantics.foremost(answer, ahead[word])
            if name is not None:
                yield ReferringExpression(form.format(phrase.words), (name,), word)
        names = semantics.every(answer)
        if names is None or not 2 <= len(names) <= len(_ORDINALS):
            continue
        row = sorted(names, key=centre.__getitem__)
        if any(not ahead["leftmost"][a][b] for a, b in pairwise(row)):
            continue
        for count in range(1, len(row)):
            words = f"the {_ORDINALS[count]} {phrase.words}"
            yield ReferringExpression(f"{words} from the left", (row[count],), "from the left")
            yield ReferringExpression(f"{words} from the right", (row[-1 - count],), "from the right")


def _relation(subject: Subject) -> Iterator[ReferringExpression]:
    for one in subject.related:
        name = semantics.only(one.answer)
        if name is not None:
            needed = semantics.only(one.before) is None
            yield ReferringExpression(one.words, (name,), one.relation if needed else "not needed")


def _use(subject: Subject) -> Iterator[ReferringExpression]:
    for words, answer in _uses(subject):
        name = semantics.only(answer)
        if name is not None:
            yield ReferringExpression(words, (name,), "colour" if " that is " in words else "")


def _uses(subject: Subject) -> Iterator[tuple[str, Referents]]:
    """Words and answer of everything one may want to do."""
    if not subject.uses:
        return
    for use in USES:
        for colour in (None, *subject.colours):
            # A use is a noun in all but grammar: some kinds surely serve it, some people would make do with others.
            answer = NounPhrase(Noun(use.words, use.sure, use.possible), colour).among(subject.things)
            yield f"something {use.words}" + (f" that is {colour}" if colour else ""), answer


def _absent(subject: Subject) -> Iterator[ReferringExpression]:
    for noun in subject.nouns + subject.generic:
        kind_in_view = True in NounPhrase(noun).among(subject.things).values()
        if semantics.every(NounPhrase(noun).among(subject.things)) == [] and noun in subject.nouns:
            yield ReferringExpression(f"the {noun.word}", (), "kind")
        for colour in COLOURS:
            if noun in subject.generic and colour in subject.around:
                continue
            if semantics.every(NounPhrase(noun, colour).among(subject.things)) == []:
                near = kind_in_view and colour in subject.colours
                form = "near miss" if near else "colour" if kind_in_view else "both"
                yield ReferringExpression(f"the {NounPhrase(noun, colour).words}", (), form)
    for one in subject.related:
        # "The large cone left of the large blue cone" is no fair question where they are one and the same.
        if one.apart and one.relation != "on" and semantics.every(one.before) and semantics.every(one.answer) == []:
            yield ReferringExpression(one.words, (), "relation")
    for words, answer in _uses(subject):
        if semantics.every(answer) == []:
            yield ReferringExpression(words, (), "use and colour" if " that is " in words else "use")


def _ambiguous(subject: Subject) -> Iterator[ReferringExpression]:
    for phrase, answer in subject.phrases():
        names = semantics.every(answer)
        if names is not None and 2 <= len(names) <= 4:
            form = "colour" if phrase.colour else "kind"
            yield ReferringExpression(f"the {phrase.words}", tuple(names), form)
    for one in subject.related:
        names = semantics.every(one.answer)
        if names is not None and 2 <= len(names) <= 3:
            yield ReferringExpression(one.words, tuple(names), "relation")


def _all(subject: Subject) -> Iterator[ReferringExpression]:
    for phrase, answer in subject.phrases():
        names = semantics.every(answer)
        if names is not None and len(names) >= 2 and (phrase.colour or phrase.noun in subject.nouns):
            yield ReferringExpression(f"all the {phrase.plural}", tuple(names), "colour" if phrase.colour else "kind")


_CATEGORIES: dict[str, Callable[[Subject], Iterator[ReferringExpression]]] = {
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
CATEGORIES = tuple(_CATEGORIES)
