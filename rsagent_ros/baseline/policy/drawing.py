"""Drawing one mask: prompt, look at the overlay, correct, until it shows the object or turns run short."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

from rsagent_ros.agent.actions import Action
from rsagent_ros.agent.geometry import Point
from rsagent_ros.baseline.policy import prompts, wording
from rsagent_ros.baseline.policy.chat import Observation
from rsagent_ros.baseline.policy.objects import SceneObject
from rsagent_ros.baseline.policy.observed_view import ObservedView
from rsagent_ros.baseline.policy.overlay import MaskCheck

_NO_ANSWER = 0.35
"""Agreement below which a mask shows something else, and is no answer even when there is nothing better."""

_WORTH_REFINING = 0.5
_MOST_CORRECTIONS = 3


@dataclass(frozen=True)
class Move:
    """A thought, and the action that follows from it."""

    thought: str
    action: Action


@dataclass(frozen=True, eq=False)
class DrawnMask:
    """The id of a mask that was drawn, and how well it agrees with the object that it should show, 0..1."""

    mask: int
    agreement: float


def draw(
    seen: ObservedView, target: SceneObject, lead: str, *, keep: int, careful: bool
) -> Generator[Move, Observation, DrawnMask | None]:
    """Moves that draw a mask of one object.

    Args:
        seen: The view.
        target: One of its objects.
        lead: Beginning of the first thought.
        keep: Turns to leave over.
        careful: Get it right at the first go where that is possible: there are few turns.

    Returns:
        The best mask; None where none of them shows the object.
    """
    expected = f"Its overlay should cover about {seen.share(target):.2g} % of the view."
    move = Move(f"{lead} {expected}".strip(), prompts.first(seen, target, careful=careful))
    best: DrawnMask | None = None
    failures = corrections = 0
    while True:
        observation = yield move
        stop = observation.turns_left <= keep or observation.hurried
        if not observation.mask or observation.picture is None:
            failures += 1
            if stop or failures > 2:
                break
            move = Move("That gave no mask, so I ask in another way.", prompts.points_only(seen, target))
            continue
        check = seen.check(observation.picture.pixels, target)
        latest = DrawnMask(observation.mask, check.agreement)
        previous, best = best, _better(best, latest)
        corrections += 1
        stuck = previous is not None and best is previous and corrections > 2
        if check.good or stop or stuck or corrections > _MOST_CORRECTIONS:
            break
        move = _correcting(seen, target, latest.mask, check, refine=corrections == 1)
    return best if best is not None and best.agreement >= _NO_ANSWER else None


def _better(first: DrawnMask | None, second: DrawnMask | None) -> DrawnMask | None:
    if first is None or second is None:
        return first or second
    return second if second.agreement > first.agreement else first


def _correcting(seen: ObservedView, target: SceneObject, mask: int, check: MaskCheck, *, refine: bool) -> Move:
    """Tell what is wrong with a mask, and prompt again: from it, or anew where it is not worth refining."""
    refine = refine and check.agreement >= _WORTH_REFINING
    faults = []
    if check.agreement < _WORTH_REFINING:
        faults.append("it does not show the thing I mean")
    if check.missing_spots:
        faults.append(f"{100 * check.missing:.0f} % of the thing is missing{_near(seen, check.missing_spots)}")
    if check.leak_spots:
        culprit = _culprit(seen, target, check)
        what = f"the {wording.looks(culprit)}" if culprit is not None else "what is beside it"
        faults.append(f"it takes in {what}{_near(seen, check.leak_spots)}")
    wrong = wording.listed(faults) if faults else "its edge is off"
    how = "I refine it with points there." if refine else "I start anew with more points."
    return Move(f"Not right: {wrong}. {how}", prompts.correction(seen, target, check, mask if refine else None))


def _near(seen: ObservedView, spots: tuple[Point, ...]) -> str:
    middle = seen.point(seen.from_overlay(spots[0]))
    return f" near [{middle.x:.0f}, {middle.y:.0f}]"


def _culprit(seen: ObservedView, target: SceneObject, check: MaskCheck) -> SceneObject | None:
    """The other object that the largest leak is on."""
    point = seen.from_overlay(check.leak_spots[0])
    height, width = target.mask.shape
    x, y = min(int(point.x), width - 1), min(int(point.y), height - 1)
    return next((other for other in seen.objects if other is not target and other.mask[y, x]), None)
