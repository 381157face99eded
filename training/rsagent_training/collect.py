"""Scenes to learn from: of a robot's own records, of the datasets that evaluation reads, and of the simulator.

    rsagent collect scenes/ --records ~/rsagent_records --trajectories own/     # goals that somebody gave a verdict on
    rsagent collect scenes/ --dataset refcocog:/data/refcocog:train --most 8000 --seed 0
    rsagent collect scenes/ --simulate 2000 --seed 10000

Of a record only a verdict counts as truth: accepted, a corrected mask, or absent. With `--trajectories`, the robot's
own episodes on such goals become trajectories, as far as they pass the filters of `rsagent synthesize`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.pending_answer import SENT_BACK
from rsagent_ros.agent.turn import Trace
from rsagent_ros.data.example import Example, as_id
from rsagent_ros.data.folder import save_examples
from rsagent_ros.data.ref import ExampleRef, Skipped, loaded
from rsagent_ros.datasets import REFS, Dataset
from rsagent_ros.scoring.prediction import is_bad_reply
from rsagent_training.jobs.filter_report import FilterReport
from rsagent_training.near_duplicates import SeenPictures
from rsagent_training.rewards.quality import trajectory_iou
from rsagent_training.scene_index import SceneIndex
from rsagent_training.simulation.layout import Vocabulary
from rsagent_training.synthesis.attempt import Attempt, picture_of
from rsagent_training.synthesis.config import SynthesisConfig
from rsagent_training.synthesis.selection import select, summary
from rsagent_training.trajectories import ROWS, Trajectory, write_trajectories

OUTCOMES = {"finish": Outcome.FOUND, "report_absent": Outcome.NOT_IN_VIEW, "report_ambiguous": Outcome.AMBIGUOUS}
"""Outcome that the policy means by each final call."""

_MOST_IGNORED = 0.01
"""Share of the pixels of a sample that may be neither right nor wrong."""


def collect(
    listings: Iterable[ExampleRef | Skipped],
    folder: Path,
    *,
    more: Iterable[ExampleRef] = (),
    most: int = 0,
    seed: int = 0,
    exclude: SeenPictures | None = None,
    place: str = "",
) -> FilterReport:
    """Write the listed examples to a folder of scenes; blocks until all are loaded.

    Args:
        listings: As `rsagent_ros.datasets.list_examples` gives them, of one or several datasets.
        folder: Where the scenes go.
        more: Examples that come after them, such as simulated ones; all are taken, and one is in memory at a time.
        most: So many of `listings` at most, drawn at random; 0 for all.
        seed: Of the draw.
        exclude: Pictures that nothing may be alike to, such as those of a test.
        place: Of those of `listings` that do not know theirs.

    Returns:
        What came in, and what was dropped and why.

    Raises:
        FileExistsError: The folder holds scenes already.
        NothingLeft: There is not one scene; the message says why.
    """
    filters = FilterReport("scenes")
    usable = _usable(listings, filters)
    if most and len(usable) > most:
        drawn = set(np.random.default_rng(seed).permutation(len(usable))[:most].tolist())
        chosen = [one for number, one in enumerate(usable) if number in drawn]
        for _ in range(len(usable) - most):
            filters.drop(f"at most {most}", "not drawn")
    else:
        chosen = usable
    save_examples(_all([_at(one, place) for one in chosen] if place else chosen, more, filters, exclude), folder)
    if not filters.left:
        (folder / "scenes.jsonl").unlink()  # an empty set would only fail later, and say less
    filters.check()
    _report(folder, "Scenes", filters)
    return filters


def checked(example: Example) -> Example:
    """The example itself, when it can be learned from.

    Raises:
        ValueError: Too many pixels are neither right nor wrong: a reward has no place for such.
    """
    if example.ignore is not None and np.count_nonzero(example.ignore) > _MOST_IGNORED * example.ignore.size:
        raise ValueError(f"more than {100 * _MOST_IGNORED:g} % of its pixels are to be ignored")
    return example


def own_trajectories(path: Path, scenes: SceneIndex, out: Path, config: SynthesisConfig) -> FilterReport:
    """The robot's own episodes on goals whose verdict made a scene, as far as they are worth learning.

    An answer that was accepted is its own truth; one that was corrected is measured against the correction.

    Args:
        path: Records, as given to `collect`.
        scenes: What was collected of them.
        out: Where the trajectories go.
        config: Of the filters.

    Returns:
        What came in, and what was dropped and why.

    Raises:
        FileExistsError: `out` holds trajectories already.
        NothingLeft: None is left; the message says which filter dropped the last.
    """
    from rsagent_ros.records.reader import read_records  # bags and their types, only where they are read

    if (out / ROWS).exists():
        raise FileExistsError(f"{out / ROWS} exists already, not overwriting; choose another folder")
    attempts: dict[str, Attempt] = {}
    for number, record in enumerate(read_records(path), 1):
        name = as_id(record.goal_id or f"goal-{number}")
        if name not in scenes or name in attempts or not record.trace.turns:
            continue
        scene, trace = scenes[name], record.trace
        if trace.outcome is None or _overruled(trace):
            continue
        learn = tuple(
            not (is_bad_reply(turn) or turn.slips or turn.degraded or turn.error_code == SENT_BACK)
            for turn in trace.turns
        )
        iou = trajectory_iou(trace, scene)
        attempts[name] = Attempt(f"{name}-own", name, scene.require_expected(), picture_of(scene), learn, iou, trace)
    kept, filters = select([summary(attempt, scenes, config) for attempt in attempts.values()], config)
    write_trajectories(out, (_pair(attempts[one.scene_id], scenes) for one in kept))
    _report(out, "Own trajectories", filters)
    return filters


def _overruled(trace: Trace) -> bool:
    """Whether a threshold of confidence had the last word: what the policy said is not what was judged."""
    called = OUTCOMES.get(trace.turns[-1].tool)
    return trace.calibrated and called is not None and called is not trace.outcome


def _pair(attempt: Attempt, scenes: SceneIndex) -> tuple[Example, Trajectory]:
    source = f"record policy={attempt.trace.policy} segmenter={attempt.trace.segmenter}"
    trajectory = Trajectory(attempt.id, attempt.scene_id, attempt.trace, attempt.learn, attempt.iou, source)
    return scenes[attempt.scene_id], trajectory


def _at(ref: ExampleRef, place: str) -> ExampleRef:
    """The same example, with a place."""

    def load() -> Example:
        example = ref.load()
        return example if example.place else replace(example, place=place)

    return replace(ref, load=load)


def _usable(listings: Iterable[ExampleRef | Skipped], filters: FilterReport) -> list[ExampleRef]:
    usable: dict[str, ExampleRef] = {}
    for one in listings:
        filters.entered += 1
        if isinstance(one, Skipped):
            filters.drop("readable" if one.fault else "a truth", one.reason)
        elif one.id in usable:
            filters.drop("one id, one scene", f"its id is that of {usable[one.id].where}")
        else:
            usable[one.id] = one
    return list(usable.values())


def _all(
    listed: list[ExampleRef], more: Iterable[ExampleRef], filters: FilterReport, exclude: SeenPictures | None
) -> Iterator[Example]:
    known: set[str] = set()
    for one in chain(tqdm(listed, desc="samples", unit="", disable=None), _counted(more, filters)):
        if one.id in known:
            filters.drop("one id, one scene", "its id is that of a sample")
            continue
        try:
            example = checked(one.load())
        except (ValueError, OSError) as error:
            filters.drop("readable", f"{one.where}: {error}")
            continue
        if exclude is not None and exclude.has(example.image):
            filters.drop("no excluded picture", "alike to a picture that is excluded")
            continue
        known.add(example.id)
        yield example


def _counted(refs: Iterable[ExampleRef], filters: FilterReport) -> Iterator[ExampleRef]:
    for one in refs:
        filters.entered += 1
        yield one


def dataset_of(text: str, images: str) -> Dataset:
    """The dataset that KIND:PATH or KIND:PATH:SPLIT names.

    Raises:
        ValueError: It names none.
    """
    kind, colon, rest = text.partition(":")
    if not colon or not rest:
        raise ValueError(
            f"--dataset {text!r} must be KIND:PATH or KIND:PATH:SPLIT, such as reasonseg:/data/reasonseg:val"
        )
    path, _, split = rest.rpartition(":") if ":" in rest else (rest, "", "")
    return Dataset(kind, path, split, images if kind in REFS else "")


def simulated(count: int, seed: int, vocabulary: Vocabulary) -> Iterator[ExampleRef]:
    """Scenes of the simulator, each rendered when its turn comes.

    Raises:
        ValueError: MuJoCo is not installed.
    """
    try:
        from rsagent_training.simulate import scenes
    except ImportError as error:
        raise ValueError(f"--simulate needs MuJoCo ({error}); in the checkout: pip install -e '.[sim]'") from error
    made = scenes(seed, count, vocabulary=vocabulary)
    for example in tqdm(made, total=count, desc="simulated", unit="", disable=None):
        yield loaded(example, example.source)


def _report(folder: Path, title: str, filters: FilterReport) -> None:
    (folder / "report.json").write_text(json.dumps(filters.to_json(), indent=2) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(f"# {title}\n\n{filters.to_markdown()}", encoding="utf-8")
