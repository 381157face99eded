"""Comparison of questions: with the names of their answer, and with each other."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import SequenceMatcher

_ARTICLES = frozenset("a an the all some any this that these those my your its".split())
_SMALL = _ARTICLES | frozenset(
    "what which who where is are was be can could would should do does i me we you it in on of to for from with and or "
    "one thing something someone somebody here there image picture".split()
)


def stems(text: str) -> list[str]:
    """The words of a text in lower case, plural endings cut off."""
    return [_stem(word) for word in re.findall(r"[^\W\d_]+", text.casefold())]


def names_outright(question: str, names: Iterable[str]) -> bool:
    """Whether a question says one of these names, in the singular or plural; articles do not count."""
    spoken = f" {' '.join(stems(question))} "
    for name in names:
        words = [word for word in stems(name) if word not in _ARTICLES]
        if words and (f" {' '.join(words)} " in spoken or f" {words[-1]} " in spoken):
            return True
    return False


def wording(question: str) -> str:
    """The words of a question in a form in which two that read the same are the same."""
    return " ".join(stems(question))


def alike(one: str, other: str, share: float) -> bool:
    """Whether two questions say nearly the same: in nearly the same words, or in nearly the same letters."""
    first, second = ({word for word in stems(text) if word not in _SMALL} for text in (one, other))
    if first and second and len(first & second) >= share * len(first | second):
        return True
    return SequenceMatcher(None, wording(one), wording(other), autojunk=False).ratio() >= max(share, 0.9)


def _stem(word: str) -> str:
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
