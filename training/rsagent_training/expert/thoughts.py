"""Thoughts of the expert, each in several wordings of which one is drawn at random.

Every sentence is about what the picture shows or what the policy was told. Fields in braces are filled in by whoever
says it: {wanted} the instruction's own words or "what is asked for", {it} the thing as it looks ("the red thing"),
{box} and {spot} in the unit of the chat, {mask}, {percent}, {told} (a box) and {score} as they were told.
"""

from __future__ import annotations

import numpy as np

THOUGHTS: dict[str, tuple[str, ...]] = {
    # --- before the first mask
    "found": (
        "I look for {wanted}. {It} at {box} is it.",
        "Asked for: {wanted}. I see {it} at {box}, which fits.",
        "{It} at {box} is what is meant by {wanted}.",
        "Going over the picture, {it} at {box} is the one that fits {wanted}.",
        "{wanted}: that must be {it}, between {box}.",
    ),
    "expect": (
        "It should take up about {share} % of the view.",
        "A mask of it should cover some {share} % of what I see.",
        "I expect a mask of about {share} %.",
        "",
        "",
    ),
    "small": (
        "It is small, so I look at it from closer by first.",
        "At this size its edge can't be judged; I zoom in.",
        "I want more pixels on it before I draw, so I zoom.",
    ),
    "closer": (
        "I zoom in on it to see its edge well.",
        "A closer look first.",
        "I look closer before I draw.",
    ),
    "after_zoom": (
        "Now {it} is at {box} of this view.",
        "Closer up, {it} fills {box}.",
        "From here {it} is clear to see, at {box}.",
    ),
    "several": (
        "I look for {wanted}. I count {count} of them and mark one after the other.",
        "{wanted}: there are {count}. Each gets a mask of its own.",
        "{count} things fit {wanted}; I take them one by one.",
    ),
    "fitting": (
        "{wanted} could be any of {count} things here. I mark each of them, then I ask.",
        "The words {wanted} fit {count} things equally well, so I will have to ask. First a mask of each.",
        "I see {count} things that {wanted} could mean. Nothing prefers one; I mark them all.",
    ),
    "begin": (
        "I begin with {it} at {box}.",
        "{It} at {box} to begin with.",
        "{It} at {box} comes first.",
    ),
    "fits_too": (
        "But there is another one that fits as well: {it} at {box}.",
        "That is one of them. {It} at {box} fits just as well.",
        "The next one that fits is {it} at {box}.",
    ),
    "next": (
        "The next is {it} at {box}.",
        "Now {it} at {box}.",
        "On to {it} at {box}.",
    ),
    "one_done": (
        "That one is done.",
        "Mask {mask} shows it well.",
        "That is all of {it}.",
        "Mask {mask} is fine.",
    ),
    # --- mistakes
    "sloppy": (
        "I look for {wanted}. It should be about {box}.",
        "{wanted}: somewhere around {box}, I think.",
        "I try {box} for {wanted}.",
    ),
    "mistaken": (
        "I look for {wanted}. That could be {other} at {box}.",
        "{Other} at {box} looks like {wanted}.",
        "I take {other} at {box} for {wanted}.",
    ),
    "wide_both": (
        "I look for {wanted}. {box} has it in it.",
        "{wanted}: I draw one box around all that is there, {box}.",
        "{wanted} is in {box}.",
    ),
    "wide": (
        "I look for {wanted}. A generous box around it, {box}, should do.",
        "{wanted}: I draw {box} so that nothing is cut off.",
        "To be safe I take all of {box} for {wanted}.",
    ),
    # --- by words
    "by_words": (
        'I look for {wanted}. I have marked what is called "{phrase}".',
        '{wanted}: what is there that is called "{phrase}"?',
        'To find {wanted}, I ask for "{phrase}".',
    ),
    "too_narrow": (
        'Nothing is marked that I want; "{phrase}" names too narrow a kind. I ask for "{better}".',
        'What I called it fits nothing here. In wider words: "{better}".',
    ),
    "too_wide": (
        '{count} things are marked; "{phrase}" says too little. "{better}" says more.',
        'That marks {count} things. I say it more exactly: "{better}".',
    ),
    "take_number": (
        "Number {number} should be {wanted}. I look at it by itself.",
        "I take number {number} for {wanted}, and have a look at its edge.",
    ),
    "not_that": (
        "What is bright now is something else.",
        "No, that number is another thing.",
    ),
    "picked": (
        "Of the marks, number {best} is {it}: that is {wanted}.",
        "{It} has number {best}, and its outline fits.",
        "Number {best} goes round {it}. I end with it.",
    ),
    "unmarked": (
        "No mark goes well round {it}, so I draw it myself at {box}.",
        "{It} at {box} is not well marked. I draw it.",
    ),
    # --- what a mask shows
    "good": (
        "Mask {mask} lights up {it} and nothing else; it covers {percent} % of the view.",
        "The bright part is {it} as a whole, and the line runs along its edge.",
        "All of {it} is bright in mask {mask}, and all around it is dark.",
        "The overlay shows {it} from edge to edge ({percent} %).",
        "The outline of mask {mask} follows {it} all the way round.",
    ),
    "other": (
        "No: mask {mask} at {told} shows {other}, and what is asked for is {it}.",
        "What is bright at {told} is {other}. That is not it; {it} is what I want.",
        "That is the wrong one. Mask {mask} is on {other}; {it} stays dark.",
    ),
    "elsewhere": (
        "Mask {mask} at {told} is not on {it} at all; {it} stays dark.",
        "The bright part, at {told}, is beside {it}.",
        "That missed: {it} is dark, and something next to it is bright.",
    ),
    "missing": (
        "A part of {it} is still dark, at its {side}.",
        "Mask {mask} leaves out the {side} of {it}.",
        "Not all of {it} is bright: the {side} is missing, near {spot}.",
        "The {side} of {it} should be bright too.",
    ),
    "extra": (
        "Mask {mask} spills over at the {side}, beyond {it}.",
        "Too much is bright: near {spot} it is no longer {it}.",
        "At the {side} the mask takes in what does not belong to {it}.",
        "{percent} % is too much. The mask runs over the edge of {it} near {spot}.",
    ),
    "rough": (
        "The edge of mask {mask} does not follow {it} closely.",
        "{It} is bright, but its outline is rough.",
        "It is {it}, but the line wanders off its edge in places.",
    ),
    "nothing": (
        "That gave no mask.",
        "Nothing came of that.",
        "No mask came back.",
    ),
    "worse": (
        "Mask {mask} is no better than mask {best}.",
        "Compared with mask {best}, mask {mask} is a step back.",
    ),
    # --- what to do about it
    "new_box": (
        "I draw a new box, {box}.",
        "The box should be {box}.",
        "Again, with {box} this time.",
        "{box} goes from edge to edge of it.",
    ),
    "point_on": (
        "I add a point on it, at {spot}.",
        "A point at {spot} belongs to it too.",
        "{spot} is part of it.",
    ),
    "point_off": (
        "I mark {spot} as not part of it.",
        "A negative point at {spot} should cut that away.",
        "{spot} must go.",
    ),
    "anew": (
        "I start anew, with a box and a point.",
        "From the beginning, with {box} and a point inside.",
        "I ask again with the box {box} and a point on it.",
    ),
    "look_closer": (
        "I look closer before I try again.",
        "From closer by I can do better, so I zoom in.",
        "A closer look will help.",
    ),
    "part": (
        "I draw what is missing, {box}, by itself and join the two.",
        "The missing part is at {box}; I mark it and add it.",
    ),
    "join": (
        "Mask {mask} is the part that was missing. Now both together.",
        "With mask {mask} added it should be complete.",
    ),
    "cut": (
        "What does not belong is {other}. I mark it by itself, to cut it away.",
        "It takes in {other}; I draw that one alone and take it out.",
    ),
    "cut_away": (
        "Mask {mask} is {other}. Now I cut it away.",
        "I take mask {mask} out of mask {best}.",
    ),
    # --- after a call that was refused
    "refused": (
        "The call was refused: {error} I put it right.",
        "That call could not be read ({error}) Once more, properly.",
        "My mistake: {error} So again:",
    ),
    # --- endings
    "finish": (
        "That is {wanted}.",
        "I end with mask {best}.",
        "Nothing to correct any more.",
        "Mask {best} is the answer.",
        "Done.",
    ),
    "settle": (
        "Mask {best} is the best of them, so I end with it.",
        "I leave it at mask {best}.",
    ),
    "finish_all": (
        "All {count} are marked.",
        "That makes {count}, and there are no more of them.",
        "With these {count} masks everything that was asked for is marked.",
    ),
    "ask": (
        "{count} are marked, and the words fit each of them. I have to ask.",
        "Nothing in the words prefers one of these {count}, so I ask.",
        "It could be any of the {count}: a question for whoever asked.",
    ),
    # --- when it is not there
    "look_for": (
        "I look for {wanted}. {Other} at {box} could be it; I look closer.",
        "{wanted}: the nearest to it is {other} at {box}. Let me see it from closer by.",
        "Before I say anything about {wanted}, a closer look at {other}, {box}.",
    ),
    "look_on": (
        "Then there is {other} at {box}.",
        "What about {other} at {box}? I look closer.",
        "Next, {other} at {box}.",
    ),
    "look_part": (
        "I look for {wanted} and see nothing like it at first sight. I look closer at {box}.",
        "{wanted}: nothing stands out that fits. Closer, at {box}.",
    ),
    "not_it": (
        "Seen from here, {other} is not {wanted}.",
        "No, that is {other} and not {wanted}.",
        "From closer by: {other}, but not {wanted}.",
    ),
    "not_here": (
        "There is nothing of the kind here.",
        "Closer up there is nothing that fits either.",
    ),
    "back": (
        "Back to the whole picture.",
        "I go back to the full view.",
    ),
    "absent": (
        "I have looked, and it is not there.",
        "Nothing in view is {wanted}.",
        "I can say now that it is not in the picture.",
    ),
}


def draw_thought(rng: np.random.Generator, *keys: str, **fields: object) -> str:
    """One wording of each of these thoughts, one after the other, fields filled in.

    {It} and {Other} are {it} and {other} at the beginning of a sentence.
    """
    known = fields | {key.capitalize(): _capital(str(fields[key])) for key in ("it", "other") if key in fields}
    drawn = [THOUGHTS[key][int(rng.integers(len(THOUGHTS[key])))].format(**known) for key in keys]
    return " ".join(_capital(sentence) for sentence in drawn if sentence)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
