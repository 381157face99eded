"""Drawing one mask: prompt, look at the overlay, correct, until it shows the thing or turns run short."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from rsagent_ros.agent.actions import Action, Combine, Segment
from rsagent_ros.agent.geometry import Point
from rsagent_ros.baseline.policy import prompts, wording
from rsagent_ros.baseline.policy.inspection import Check
from rsagent_ros.baseline.policy.observation import Observation
from rsagent_ros.baseline.policy.perception import Thing
from rsagent_ros.baseline.policy.sight import Sight

_NO_ANSWER = 0.35
"""Agreement below which a mask shows something else, and is no answer even when there is nothing better."""

_WORTH_REFINING = 0.5
_MOST_CORRECTIONS = 3


@dataclass(frozen=True)
class Move:
    """A thought, and what to do."""

    thought: str
    action: Action


@dataclass(frozen=True, eq=False)
class Drawn:
    """A mask that was drawn, and how it compares with the thing that it should show."""

    mask: int
    check: Check


def draw(
    sight: Sight, thing: Thing, lead: str, *, keep: int, careful: bool = False
) -> Generator[Move, Observation, Drawn | None]:
    """Moves that draw a mask of one thing.

    Args:
        sight: What is looked at.
        thing: One of its things.
        lead: Beginning of the first thought.
        keep: Turns to leave over.
        careful: Get it right at the first go where that is possible: there are few turns.

    Returns:
        The best mask; None where none of them shows the thing.
    """
    expected = f"Its overlay should cover about {sight.share(thing):.2g} % of the view."
    move = Move(f"{lead} {expected}".strip(), prompts.first(sight, thing, careful=careful))
    best: Drawn | None = None
    failures = corrections = 0
    while True:
        observation = yield move
        stop = observation.turns_left <= keep or observation.hurried
        if not observation.mask or observation.picture is None:
            failures += 1
            if stop or failures > 2:
                break
            move = Move("That gave no mask, so I ask in another way.", _otherwise(sight, thing, failures))
            continue
        latest = Drawn(observation.mask, sight.check(observation.picture.pixels, thing))
        previous, best = best, _better(best, latest)
        corrections += 1
        stuck = previous is not None and best is previous and corrections > 2
        if latest.check.good or stop or stuck or corrections > _MOST_CORRECTIONS:
            break
        culprit = _culprit(sight, thing, latest.check)
        if culprit is not None and corrections == 2 and observation.turns_left > keep + 1:
            cut = yield from _cut_away(sight, culprit, latest, thing)
            best = _better(best, cut)
            break
        move = _correcting(sight, thing, latest, corrections, culprit)
    return best if best is not None and best.check.agreement >= _NO_ANSWER else None


def _better(first: Drawn | None, second: Drawn | None) -> Drawn | None:
    if first is None or second is None:
        return first or second
    return second if second.check.agreement > first.check.agreement else first


def _otherwise(sight: Sight, thing: Thing, failures: int) -> Segment:
    return prompts.points_only(sight, thing) if failures == 1 else prompts.first(sight, thing)


def _correcting(sight: Sight, thing: Thing, drawn: Drawn, corrections: int, culprit: Thing | None) -> Move:
    check = drawn.check
    refine = check.agreement >= _WORTH_REFINING and corrections == 1
    faults = []
    if check.agreement < _WORTH_REFINING:
        faults.append("it does not show the thing I mean")
    if check.missing_spots:
        faults.append(f"{100 * check.missing:.0f} % of the thing is missing{_near(sight, check.missing_spots)}")
    if check.leak_spots:
        what = f"the {wording.looks(culprit)}" if culprit is not None else "what is beside it"
        faults.append(f"it takes in {what}{_near(sight, check.leak_spots)}")
    wrong = wording.listed(faults) if faults else "its edge is off"
    how = "I refine it with points there." if refine else "I start anew with more points."
    return Move(f"Not right: {wrong}. {how}", prompts.correction(sight, thing, check, drawn.mask if refine else None))


def _near(sight: Sight, spots: tuple[Point, ...]) -> str:
    middle = sight.point(sight.spot(spots[0]))
    return f" near [{middle.x:.0f}, {middle.y:.0f}]"


def _culprit(sight: Sight, thing: Thing, check: Check) -> Thing | None:
    """The other thing that the largest leak is on."""
    for spot in check.leak_spots[:1]:
        point = sight.spot(spot)
        height, width = thing.mask.shape
        x, y = min(int(point.x), width - 1), min(int(point.y), height - 1)
        return next((other for other in sight.things if other is not thing and other.mask[y, x]), None)
    return None


def _cut_away(sight: Sight, culprit: Thing, drawn: Drawn, thing: Thing) -> Generator[Move, Observation, Drawn | None]:
    """Draws the thing that a mask leaks into, and cuts it away."""
    name = wording.looks(culprit)
    observation = yield Move(
        f"It still takes in the {name}. I draw the {name} by itself, to cut it away.", prompts.first(sight, culprit)
    )
    if not observation.mask or observation.hurried:
        return None
    observation = yield Move("Now I cut that from the mask.", Combine((drawn.mask,), (observation.mask,)))
    if not observation.mask or observation.picture is None:
        return None
    return Drawn(observation.mask, sight.check(observation.picture.pixels, thing))
