"""Trajectories from a teacher: OUR episode on every scene, and only what is worth learning is kept.

    rsagent synthesize scenes/ --out trajectories/              # the scripted expert, which sees the truth
    rsagent synthesize scenes/ --out trajectories/ --teacher policy --policy chat_server --chat_server.model NAME
    rsagent synthesize scenes/ --out strict/ --attempts trajectories/attempts --config strict.yaml   # other filters

Attempts go to `OUT/attempts/` first, one line each; a run that was killed goes on there when it is started again. When
all are made they are filtered, and the trajectories written with `report.json` and `report.md`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rsagent_ros.agent.actions import FIRST_TOOLS
from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.data.example import Example
from rsagent_training.expert import ExpertConfig
from rsagent_training.jobs.resume_log import ResumeLog, settings_of
from rsagent_training.jobs.workers import work_on
from rsagent_training.scene_index import SceneIndex
from rsagent_training.synthesis.attempt import Attempt, AttemptSpec, TeacherConfig, from_line
from rsagent_training.synthesis.report import markdown, report
from rsagent_training.synthesis.selection import Summary, select, summary
from rsagent_training.trajectories import ROWS, Trajectory, write_trajectories

FIRST_CHAT: dict[str, Any] = {"overlay": "square", "box_name": "", "lenient": False, "tools": FIRST_TOOLS}
"""Parts of the chat that release 0.1.0 could not choose."""

_MOST_FAILURES = 10
"""Attempts that may fail one after the other, for reasons that are no policy's, before the run stops."""

_NO_FAMILY = "default"


def synthesize(
    folders: list[Path],
    out: Path,
    teacher: TeacherConfig,
    *,
    attempts: Path | None = None,
    workers: int = 1,
    ray: str | None = None,
) -> dict[str, Any]:
    """Make all attempts that are not made yet, and write the trajectories that are kept. Blocks until then.

    Args:
        folders: Of scenes; their ids must differ.
        out: Where the trajectories go.
        teacher: The teacher and its settings.
        attempts: Where attempts are kept, and found again; `out/attempts` unless given.
        workers: Processes, or actors on Ray.
        ray: Address of a Ray cluster, on whose machines the folders of scenes must be at the same path; None for none.

    Returns:
        The report.

    Raises:
        FileExistsError: `out` holds trajectories already.
        NothingLeft: No trajectory is left; the message says which filter dropped the last.
        RunFailed: A model can't be used, or keeps failing; what is made so far is kept.
        ValueError: A scene is wrong, or the attempts there are were made with other settings.
    """
    if (out / ROWS).exists():
        raise FileExistsError(f"{out / ROWS} exists already, not overwriting; choose another folder")
    scenes = index_of(folders)
    path = (attempts or out / "attempts") / "attempts.jsonl"
    teacher = _as_begun(teacher, path)
    settings = _settings(teacher, folders)
    log = ResumeLog(path, settings)
    _make_attempts(scenes, log, teacher, workers, ray)
    places, found = _summaries(log, scenes, teacher)
    kept, filters = select(found, teacher.config)
    attempts_kept = (from_line(log.at(places[one.id])) for one in tqdm(kept, desc="writing", unit="", disable=None))
    write_trajectories(out, _pairs(attempts_kept, scenes, teacher))
    data = report(kept, filters, settings | {"config": asdict(teacher.config)})
    (out / "report.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(markdown(data, filters), encoding="utf-8")
    return data


def index_of(folders: list[Path]) -> dict[str, SceneIndex]:
    """The folder that each scene is in, by its id, in order.

    Raises:
        ValueError: Two folders have a scene of one id.
        FileNotFoundError: A folder holds no scenes.
    """
    places: dict[str, SceneIndex] = {}
    for folder in folders:
        index = SceneIndex(folder)
        for name in index:
            if name in places:
                raise ValueError(f"scene {name} is in {places[name].folder} and in {folder}; ids must differ")
            places[name] = index
    return places


def _tasks(scenes: Mapping[str, SceneIndex], teacher: TeacherConfig) -> list[AttemptSpec]:
    numbers = range(teacher.config.per_scene)
    return [AttemptSpec(str(index.folder), name, number) for name, index in scenes.items() for number in numbers]


def _summaries(
    log: ResumeLog, scenes: Mapping[str, SceneIndex], teacher: TeacherConfig
) -> tuple[dict[str, int], list[Summary]]:
    """Place of the newest attempt of each task in the log, and a summary of each in the order of the tasks."""
    places: dict[str, int] = {}
    summaries: dict[str, Summary] = {}
    for place, line in log.lines():
        attempt = from_line(line)
        places[attempt.id] = place
        if attempt.scene_id in scenes:
            summaries[attempt.id] = summary(attempt, scenes[attempt.scene_id], teacher.config)
    return places, [summaries[task.id] for task in _tasks(scenes, teacher)]


def _make_attempts(
    scenes: Mapping[str, SceneIndex], log: ResumeLog, teacher: TeacherConfig, workers: int, ray: str | None
) -> None:
    made = (from_line(line) for _, line in log.lines())
    # What failed, failed for a reason that may be gone by now, such as a server that was away.
    done = {attempt.id for attempt in made if attempt.trace.outcome is not Outcome.FAILED}
    tasks = _tasks(scenes, teacher)
    todo = [task for task in tasks if task.id not in done]
    in_a_row = 0
    # disable=None: no bar where nobody watches.
    with tqdm(total=len(tasks), initial=len(tasks) - len(todo), desc="attempts", unit="", disable=None) as bar:
        for line in work_on(todo, partial(TeacherConfig.open, teacher), workers, ray):
            log.add(line)
            bar.update()
            trace = from_line(line).trace
            in_a_row = in_a_row + 1 if trace.outcome is Outcome.FAILED else 0
            if in_a_row == _MOST_FAILURES:
                raise RunFailed(
                    trace.error_code or ErrorCode.INTERNAL,
                    f"{in_a_row} attempts failed one after the other, the last with: {trace.error_msg}. Put it right "
                    "and start again; what is made is kept",
                )


def _pairs(
    kept: Iterable[Attempt], scenes: Mapping[str, SceneIndex], teacher: TeacherConfig
) -> Iterator[tuple[Example, Trajectory]]:
    scene: Example | None = None
    for attempt in kept:
        if scene is None or scene.id != attempt.scene_id:
            scene = scenes[attempt.scene_id][attempt.scene_id]
        source = f"synthesize teacher={attempt.trace.policy} segmenter={attempt.trace.segmenter} seed={teacher.seed}"
        yield scene, Trajectory(attempt.id, scene.id, attempt.trace, attempt.learn, attempt.iou, source)


def _as_begun(teacher: TeacherConfig, path: Path) -> TeacherConfig:
    """The teacher with the chat of release 0.1.0 where that began its attempts: it noted less."""
    pictures = settings_of(path).get("pictures", {})
    if not pictures:
        return teacher
    missing = {name: value for name, value in FIRST_CHAT.items() if name not in pictures}
    return replace(teacher, pictures=replace(teacher.pictures, **missing))


def _settings(teacher: TeacherConfig, folders: list[Path]) -> dict[str, Any]:
    """Settings that attempts depend on. Filters are not among them: the same attempts can be filtered again."""
    config = teacher.config
    choice = teacher.choice
    used = [choice.segmenter] + ([choice.policy] if teacher.kind == "policy" else [])
    settings = {key: value for key, value in choice.settings.items() if key.partition(".")[0] in used}
    # As release 0.1.0 wrote them, where they are its own.
    pictures = {key: value for key, value in asdict(teacher.pictures).items() if value != FIRST_CHAT.get(key)}
    return {
        "scenes": [str(folder.resolve()) for folder in folders],
        "teacher": "expert" if teacher.kind == "expert" else choice.policy,
        "segmenter": choice.segmenter,
        "settings": settings,
        "pictures": json.loads(json.dumps(pictures)) if teacher.kind == "expert" else {"side": choice.view_side},
        "seed": teacher.seed,
        "budget_turns": config.budget_turns,
        "budget_seconds": config.budget_seconds,
        "expert": _expert_settings(config.expert) if teacher.kind == "expert" else None,
    }


def _expert_settings(expert: ExpertConfig) -> dict[str, Any]:
    """The expert's settings; what a run of before could not ask for is left out where it is not asked for."""
    return {name: value for name, value in asdict(expert).items() if name != "words" or value}
