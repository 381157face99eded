"""Faults of the models: a policy or a segmenter that hangs, raises, is slow, or brings nonsense back."""

from __future__ import annotations

from collections.abc import Callable

from faults.matrix import Row
from faults.stage import Stage

SPENT, NO_TURNS = "GAVE_UP TIME_SPENT", "GAVE_UP TURNS_SPENT"


def asked(fault: str, budget: float = 5.0) -> Callable[[Stage], None]:
    """One goal by action and one by topic whose models have the fault."""

    def inject(stage: Stage) -> None:
        stage.ask(f"a thing [{fault}]", budget)
        stage.say(f"a thing [{fault}]", budget).wait()

    return inject


def hung(fault: str) -> Callable[[Stage], None]:
    """A goal whose model hangs, one that comes meanwhile, and the end of the hang."""

    def inject(stage: Stage) -> None:
        stage.ask(f"a thing [{fault}]", 0.5)
        stage.ask(budget=2.0)
        stage.release()

    return inject


def slow_to_draw(stage: Stage) -> None:
    """A segmenter that comes back after its goal: the next one has to wait for it, but not to be refused."""
    stage.ask("a thing [segmenter=slow]", 0.8)
    stage.say().wait()


HUNG = (SPENT, "FAILED MODEL_UNAVAILABLE")
ROWS = (
    Row("policy hangs in its first reply, deaf to cancel", hung("policy=hang_at_once"), HUNG),
    Row("policy hangs after a mask, deaf to cancel", hung("policy=hang"), HUNG),
    Row("policy is too slow, but heeds its deadline", asked("policy=slow", 0.5), (SPENT,)),
    Row("policy raises an error", asked("policy=raises"), ("FAILED POLICY_FAILED",)),
    Row("policy ends its thread", asked("policy=ends_its_thread"), ("FAILED POLICY_FAILED",)),
    Row("policy breaks off its reply", asked("policy=breaks_off"), ("FAILED POLICY_FAILED",)),
    Row("policy returns garbage", asked("policy=gibberish"), (NO_TURNS,)),
    Row("policy returns a megabyte of text in each reply", asked("policy=endless"), (NO_TURNS,)),
    Row("policy: the GPU is out of memory", asked("policy=out_of_memory"), ("FAILED OUT_OF_MEMORY",)),
    Row("policy: the machine is out of memory", asked("policy=memory_error"), ("FAILED OUT_OF_MEMORY",)),
    Row("segmenter hangs", hung("segmenter=hang"), HUNG),
    Row("segmenter is too slow", slow_to_draw, (SPENT, "FOUND")),
    Row("segmenter raises an error", asked("segmenter=raises"), ("FAILED SEGMENTER_FAILED",)),
    Row("segmenter: the GPU is out of memory", asked("segmenter=out_of_memory"), ("FAILED OUT_OF_MEMORY",)),
    Row("segmenter: the machine is out of memory", asked("segmenter=memory_error"), ("FAILED OUT_OF_MEMORY",)),
    Row("segmenter returns NaN as score", asked("segmenter=nan_score"), (NO_TURNS,)),
    Row("segmenter returns an empty mask", asked("segmenter=empty_mask"), (NO_TURNS,)),
    Row("segmenter returns nothing", asked("segmenter=no_candidates"), (NO_TURNS,)),
    Row("segmenter returns a mask of another size", asked("segmenter=wrong_shape"), ("FAILED SEGMENTER_FAILED",)),
    Row("segmenter returns a mask of another type", asked("segmenter=wrong_dtype"), ("FAILED SEGMENTER_FAILED",)),
)
