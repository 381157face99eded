"""The words that the reference policy knows, each with what it means to it."""

from __future__ import annotations

NOUNS: dict[str, tuple[str, ...]] = {
    "thing": ("thing", "object", "item", "one", "piece", "shape", "something", "anything", "everything"),
    "ball": ("ball", "sphere", "globe", "orb"),
    "box": ("box", "cube", "block", "cuboid"),
    "cylinder": ("cylinder", "can", "tube", "tin"),
    "cone": ("cone",),
    "circle": ("circle", "disc", "disk", "dot"),
    "square": ("square",),
    "rectangle": ("rectangle",),
    "triangle": ("triangle",),
}
"""What each noun covers; an outline decides, see `grounding`."""

COLOURS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow", "golden"),
    "green": ("green", "lime"),
    "cyan": ("cyan", "turquoise", "teal", "aqua"),
    "blue": ("blue", "navy"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "magenta", "rose"),
    "brown": ("brown",),
    "black": ("black",),
    "white": ("white",),
    "gray": ("gray", "grey", "silver"),
}

SIZES: dict[str, tuple[str, ...]] = {
    "small": ("small", "little", "tiny", "smaller"),
    "large": ("large", "big", "huge", "larger", "bigger"),
}

EXTREMES: dict[str, tuple[str, ...]] = {
    "left": ("leftmost", "left"),
    "right": ("rightmost", "right"),
    "top": ("top", "topmost", "uppermost", "upper", "highest"),
    "bottom": ("bottom", "bottommost", "lowermost", "lower", "lowest"),
    "near": ("nearest", "closest", "front", "frontmost", "nearer", "closer"),
    "far": ("farthest", "furthest", "back", "rearmost", "farther", "further"),
    "large": ("largest", "biggest"),
    "small": ("smallest", "littlest", "tiniest"),
    "middle": ("middle", "central"),
}

RELATIONS: dict[str, str] = {
    "left": "left of",
    "right": "right of",
    "above": "above",
    "below": "below",
    "front": "in front of",
    "behind": "behind",
    "on": "on",
    "next": "next to",
    "closest": "closest to",
    "farthest": "farthest from",
    "between": "between",
}

ORDINALS: dict[str, int] = {
    word: rank
    for rank, words in enumerate(
        (
            ("first", "1st"), ("second", "2nd"), ("third", "3rd"), ("fourth", "4th"), ("fifth", "5th"),
            ("sixth", "6th"), ("seventh", "7th"), ("eighth", "8th"), ("ninth", "9th"), ("tenth", "10th"),
        ),
        start=1,
    )
    for word in words
} | {"last": -1}  # fmt: skip

SEVERAL = frozenset("all every each both everything two three four five six".split())
GROUND = frozenset("table desk floor ground counter wall shelf tablecloth cloth paper sheet page background".split())
"""What things stand or hang on: "the ball on the table" is just the ball."""

_THE = r"(?:the |its |my )?"
_SIDE = r"(?: hand)?(?: side)?"
_FROM = rf"(?:counting |counted )?from {_THE}"
_CAMERA = rf"{_THE}(?:camera|robot|viewer|me|us)"
PHRASES: tuple[tuple[str, str], ...] = (
    (rf"{_FROM}left{_SIDE}", "FROM:left"),
    (rf"{_FROM}right{_SIDE}", "FROM:right"),
    (rf"{_FROM}top", "FROM:top"),
    (rf"{_FROM}bottom", "FROM:bottom"),
    (rf"{_FROM}front", "FROM:near"),
    (rf"{_FROM}(?:back|rear)", "FROM:far"),
    (rf"(?:nearest|closest|nearer|closer|near)(?: to)? {_CAMERA}", "EXTREME:near"),
    (rf"(?:farthest|furthest)(?: away)?(?: from)? {_CAMERA}", "EXTREME:far"),
    (r"(?:farthest|furthest) away", "EXTREME:far"),
    (r"(?:nearest|closest|nearer|closer) to", "RELATION:closest"),
    (r"(?:farthest|furthest|farther|further) (?:away )?from", "RELATION:farthest"),
    (r"(?:far|most) left", "EXTREME:left"),
    (r"(?:far|most) right", "EXTREME:right"),
    (rf"(?:to |on |at )?{_THE}left{_SIDE} of", "RELATION:left"),
    (rf"(?:to |on |at )?{_THE}right{_SIDE} of", "RELATION:right"),
    (rf"(?:on|at) {_THE}top of", "RELATION:on"),
    (rf"(?:in|at) {_THE}front of", "RELATION:front"),
    (rf"behind|at {_THE}back of", "RELATION:behind"),
    (r"above|over", "RELATION:above"),
    (r"below|under|underneath|beneath", "RELATION:below"),
    (r"next to|beside|near to|near|close to|touching", "RELATION:next"),
    (r"(?:in )?between", "RELATION:between"),
    (rf"(?:on|at|to|in) {_THE}left{_SIDE}", "SIDE:left"),
    (rf"(?:on|at|to|in) {_THE}right{_SIDE}", "SIDE:right"),
    (rf"(?:on|at|in) {_THE}(?:top|upper)(?: side| half| part)?", "SIDE:top"),
    (rf"(?:on|at|in) {_THE}(?:bottom|lower)(?: side| half| part)?", "SIDE:bottom"),
    (rf"(?:in|at) {_THE}front", "SIDE:near"),
    (rf"(?:in|at) {_THE}(?:back|rear|background)", "SIDE:far"),
    (rf"(?:in|at) {_THE}(?:middle|centre|center)", "SIDE:middle"),
    (r"on|upon", "RELATION:on"),
    (r"other than|apart from|except for|rather than", "NOT"),
    (r"isn't|aren't|not|non|except|excluding|but", "NOT"),
    (r"(?:can|could|would|will) (?:you|i|we|it)", ""),
)
"""What is said in several words, and the one token that stands for it; of two that fit, the earlier one counts."""

FILLERS = frozenset(
    "a an of is are was be it its that which who this these those there here where what please kindly could would will"
    " you i we me my us find pick up take grab get give show locate segment mark look for want need see fetch bring"
    " point at to from has have or with any some in picture image view scene coloured colored colour color light dark"
    " bright sized size shaped exactly only just camera robot viewer".split()
)
"""Words that change nothing."""


def _index(words: dict[str, tuple[str, ...]]) -> dict[str, str]:
    return {word: meaning for meaning, names in words.items() for word in names}


COLOUR_OF, SIZE_OF, EXTREME_OF = _index(COLOURS), _index(SIZES), _index(EXTREMES)
NOUN_OF = _index(NOUNS)
PLURAL_OF = {
    word + ("es" if word.endswith("x") else "s"): noun
    for word, noun in NOUN_OF.items()
    if word not in ("something", "anything", "everything")
}
