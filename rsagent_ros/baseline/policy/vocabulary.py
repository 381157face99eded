"""The words that the reference policy knows, and their meanings."""

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
"""Words for each noun; an outline decides, see `grounding`."""

COLOURS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "scarlet", "reddish"),
    "orange": ("orange",),
    "yellow": ("yellow", "golden", "yellowish"),
    "green": ("green", "lime", "greenish"),
    "cyan": ("cyan", "turquoise", "teal", "aqua"),
    "blue": ("blue", "navy", "bluish"),
    "purple": ("purple", "violet"),
    "pink": ("pink", "magenta", "rose"),
    "brown": ("brown", "brownish"),
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
    "with": "with",
    "larger": "larger than",
    "smaller": "smaller than",
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

NUMBERS: dict[str, int] = {
    word: number for number, word in enumerate("two three four five six seven eight nine ten".split(), start=2)
}
SEVERAL = frozenset("all every each both everything".split())
GROUND = frozenset(
    "table tabletop desk floor ground counter wall shelf tablecloth cloth paper sheet page canvas background".split()
)
"""Words for the ground: "the ball on the table" is just the ball."""

_THE = r"(?:the |its |my )?"
_SIDE = r"(?: hand)?(?: side| edge| border| end| corner| half| part)?"
_OF_ALL = rf" of {_THE}(?:picture|image|photo|view|scene|screen|frame|table|desk|page|paper|sheet)"
_OF_IT = rf"(?:{_OF_ALL})?"
_FROM = rf"(?:counting |counted |starting )?from {_THE}(?:very |far )?"
_AT = rf"(?:on|at|to|in) {_THE}(?:very |far )?"
_CAMERA = rf"{_THE}(?:camera|robot|viewer|me|us)"
_NEAR, _FAR = r"(?:nearest|closest|nearer|closer)", r"(?:farthest|furthest|farther|further)"
_OUTER = rf"(?:(?:{_FAR}|most)(?: away)?(?: to| on| at)?|{_NEAR} to) {_THE}"
PHRASES: tuple[tuple[str, str], ...] = (
    (r"(?:what|it|that|there|where|who|which|let)'s", ""),
    (r"right (?:now|away|here|there)", ""),
    (r"'s", "POSSESSIVE"),
    *((rf"{_FROM}{side}{_SIDE}", f"FROM:{side}") for side in ("left", "right", "top", "bottom")),
    (rf"{_FROM}front", "FROM:near"),
    (rf"{_FROM}(?:back|rear)", "FROM:far"),
    (rf"(?:{_NEAR}|near)(?: to)? {_CAMERA}", "EXTREME:near"),
    (rf"{_FAR}(?: away)?(?: from)? {_CAMERA}", "EXTREME:far"),
    *((rf"(?:{_OUTER})?{side}(?:most| most)", f"EXTREME:{side}") for side in ("left", "right")),
    *((rf"(?:{_OUTER}|far ){side}{_SIDE}(?! of)", f"EXTREME:{side}") for side in ("left", "right")),
    *((rf"{_OUTER}{side}{_SIDE}", f"EXTREME:{side}") for side in ("top", "bottom")),
    (rf"{_FAR} away(?! from)", "EXTREME:far"),
    (rf"{_NEAR}(?: to|(?= the| a| an))", "RELATION:closest"),
    (rf"{_FAR} (?:away )?from", "RELATION:farthest"),
    *((rf"{_AT}{side}{_SIDE}{_OF_ALL}", f"SIDE:{side}") for side in ("left", "right", "top")),
    *((rf"(?:{_AT})?{side}{_SIDE} of", f"RELATION:{side}") for side in ("left", "right")),
    (rf"(?:on|at) {_THE}top of", "RELATION:on"),
    (rf"(?:in|at) {_THE}front of", "RELATION:front"),
    (rf"behind|(?:at|in) {_THE}back of", "RELATION:behind"),
    (r"above|over", "RELATION:above"),
    (r"below|under|underneath|beneath", "RELATION:below"),
    (r"next to|beside|near to|near|close to|touching", "RELATION:next"),
    (r"(?:in )?between", "RELATION:between"),
    (r"(?:larger|bigger|greater) than", "RELATION:larger"),
    (r"smaller than", "RELATION:smaller"),
    *((rf"{_AT}(?:top|upper) {side}{_SIDE}{_OF_IT}", f"SIDE:top EXTREME:{side}") for side in ("left", "right")),
    *((rf"{_AT}(?:bottom|lower) {side}{_SIDE}{_OF_IT}", f"SIDE:bottom EXTREME:{side}") for side in ("left", "right")),
    *((rf"{_AT}{side}{_SIDE}", f"SIDE:{side}") for side in ("left", "right")),
    (rf"{_AT}(?:top|upper){_SIDE}", "SIDE:top"),
    (rf"{_AT}(?:bottom|lower){_SIDE}{_OF_IT}", "SIDE:bottom"),
    (rf"(?:in|at) {_THE}front", "SIDE:near"),
    (rf"(?:in|at) {_THE}(?:back|rear|background){_OF_IT}", "SIDE:far"),
    (rf"(?:in|at) {_THE}(?:middle|centre|center){_OF_IT}", "SIDE:middle"),
    (r"inside of|inside|within|in(?= the| a| an)", "RELATION:in"),
    (r"on|upon", "RELATION:on"),
    (r"without|with no", "NOT RELATION:with"),
    (r"with|having|(?:that |which )?(?:has|have)|holding|carrying|supporting|containing", "RELATION:with"),
    (r"(?:kinds?|sorts?|types?) of", ""),
    (r"(?:out )?of (?:the|these|those)(?: two| three| four| five| six)?", "AMONG"),
    (r"other than|apart from|except for|rather than|but not|and not", "NOT"),
    (r"isn't|aren't|not|non|neither|except|excluding", "NOT"),
    (r"do you have|(?:can|could|would|will|do|did) (?:you|i|we|it)", ""),
)
"""Patterns of several words, and the token or tokens that stand for them; of two that fit, the earlier one counts."""

FILLERS = frozenset(
    "a an of is are was be it its that which who this these those there here where what please kindly could would will"
    " you i we me my us do does let find pick up take grab get give hand show locate segment mark look for want need"
    " see fetch bring tell point at to from or nor any some in picture image photo view scene screen coloured colored"
    " colour color light dark bright sized size shaped shape form exactly only just also again now then hand side"
    " corner edge part very camera robot viewer no yes ok okay hi hello hey thanks thank sorry wait mean meant think"
    " prefer".split()
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
