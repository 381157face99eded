r"""Implicit questions about things in scenes: a model writes them, and those that are too easy or too hard are dropped.

    rsagent questions scenes/ --out questions/ \
        --writer Qwen/Qwen2.5-VL-72B-Instruct --writer-url http://127.0.0.1:8001/v1 \
        --policy chat_server --chat_server.model Qwen/Qwen2.5-VL-7B-Instruct --chat_server.temperature 1.0

The writer sees the image, and the image with the target lit up. What it writes is dropped where it names the target or
says what another question about it says. The rest is tried by another model, the policy, in OUR episode: kept are
questions that it solves sometimes but not always, as scenes of the category `implicit`. Replies and tries are kept in
the folder `work` of the output; a run that was killed goes on there when it is started again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from tqdm import tqdm

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode, Outcome
from rsagent_ros.data.example import Example
from rsagent_ros.data.folder import save_examples
from rsagent_training.asking.config import QuestionsConfig
from rsagent_training.asking.solver import Question, SolverConfig, Tried
from rsagent_training.asking.wording import alike, names_outright, wording
from rsagent_training.asking.writer import BadWriting, WriterConfig, Written, questions_in
from rsagent_training.jobs.filter_report import FilterReport
from rsagent_training.jobs.resume_log import ResumeLog
from rsagent_training.jobs.workers import work_on
from rsagent_training.scene_index import SceneIndex
from rsagent_training.synthesis.attempt import AttemptSpec
from rsagent_training.synthesize import index_of

_MOST_FAILURES = 10
"""Replies or questions that may fail one after the other, for reasons that are not theirs, before the run stops."""

Job = TypeVar("Job")


def ask(
    folders: list[Path],
    out: Path,
    writer: WriterConfig,
    solver: SolverConfig,
    *,
    workers: int = 1,
    ray: str | None = None,
) -> dict[str, Any]:
    """Have questions written and tried, and write those that are kept as scenes. Blocks until then.

    Args:
        folders: Of scenes; their ids must differ. Asked about is what is FOUND in them.
        out: Where the scenes with questions go.
        writer: The model that writes.
        solver: The model that tries.
        workers: Processes, or actors on Ray.
        ray: Address of a Ray cluster; None for none.

    Returns:
        The report.

    Raises:
        FileExistsError: `out` holds scenes already.
        NothingLeft: No question is left; the message says which filter dropped the last.
        RunFailed: A model can't be used, or keeps failing; what is done so far is kept.
        ValueError: A scene is wrong, or the work there was done with other settings.
    """
    if (out / "scenes.jsonl").exists():
        raise FileExistsError(f"{out / 'scenes.jsonl'} exists already, not overwriting; choose another folder")
    config = writer.config
    scenes = index_of(folders)
    about = FilterReport("scenes")
    tasks = _tasks(scenes, about)
    where = {"scenes": [str(folder.resolve()) for folder in folders]}
    log = ResumeLog(out / "work" / "written.jsonl", where | _writer_settings(writer))
    written = {one.scene_id: one for one in _done(log, Written)}
    todo = [task for task in tasks if task.scene_id not in written or written[task.scene_id].error]
    replies = work_on(todo, partial(WriterConfig.open, writer), workers, ray)
    for one in _logged(_watched(replies, len(todo), "writing", _unwritten), log, Written):
        written[one.scene_id] = one
    questions, filters = unseen(tasks, written, config, about)

    settings = where | {"policy": solver.choice.policy, "segmenter": solver.choice.segmenter, "tries": config.tries}
    settings |= {"settings": {name: value for name, value in solver.choice.settings.items() if "url" not in name}}
    log = ResumeLog(out / "work" / "tried.jsonl", settings)
    tried = {one.id: one for one in _done(log, Tried)}
    left = [question for question in questions if question.id not in tried or tried[question.id].failed]
    tries = work_on(left, partial(SolverConfig.open, solver), workers, ray)
    for result in _logged(_watched(tries, len(left), "solving", _untried), log, Tried):
        tried[result.id] = result
    kept = filters.apply("solved sometimes", questions, lambda question: _too_easy_or_hard(tried[question.id], config))
    filters.check()

    save_examples(_scenes(kept, writer.server.model), out)
    spread = Counter(f"{tried[question.id].solved} of {config.tries}" for question in questions)
    data = {
        "settings": {"writer": _writer_settings(writer), "solver": settings, "config": asdict(config)},
        "scenes": about.to_json(),
        "questions": filters.to_json(),
        "solved": dict(sorted(spread.items())),
    }
    _write_report(out, data, about, filters)
    return data


def unseen(
    tasks: list[AttemptSpec], written: Mapping[str, Written], config: QuestionsConfig, about: FilterReport
) -> tuple[list[Question], FilterReport]:
    """Questions that nobody has to try to see whether they are any good, and what became of the others.

    Args:
        tasks: The scenes that were asked about, in order.
        written: What was written, by scene.
        config: Of the filters.
        about: Counts the scenes whose reply held no question.

    Raises:
        NothingLeft: Not one is; the message says which filter dropped the last.
    """
    drafts: list[_Draft] = []
    for task in tasks:
        one = written[task.scene_id]
        try:
            if one.error:
                raise BadWriting(one.error)
            names, questions = questions_in(one.reply)
        except BadWriting as error:
            about.drop("a reply with questions", str(error))
            continue
        drafts += [
            _Draft(Question(f"{task.scene_id}-q{number}", task.folder, task.scene_id, text), tuple(names))
            for number, text in enumerate(questions, 1)
        ]
    about.check()
    filters = FilterReport("questions")
    filters.entered = len(drafts)
    drafts = filters.apply(
        "does not name it", drafts, lambda one: "names it" if names_outright(one.question.text, one.names) else ""
    )
    earlier: dict[str, list[str]] = {}
    wordings: Counter[str] = Counter()

    def again(one: _Draft) -> str:
        question = one.question
        earlier_questions = earlier.setdefault(question.scene_id, [])
        if any(alike(question.text, other, config.alike) for other in earlier_questions):
            return "says what another about the same thing says"
        if wordings[wording(question.text)] >= config.repeats:
            return f"this wording is there {config.repeats} times already"
        earlier_questions.append(question.text)
        wordings[wording(question.text)] += 1
        return ""

    drafts = filters.apply("unlike the others", drafts, again)
    filters.check()
    return [one.question for one in drafts], filters


@dataclass(frozen=True)
class _Draft:
    question: Question
    names: tuple[str, ...]


def _tasks(scenes: Mapping[str, SceneIndex], about: FilterReport) -> list[AttemptSpec]:
    tasks = []
    for name, index in scenes.items():
        about.entered += 1
        expected = index[name].expected
        if expected is Outcome.FOUND:
            tasks.append(AttemptSpec(str(index.folder), name, 0))
        else:
            about.drop("something to ask about", f"{expected}: there is no one target")
    about.check()
    return tasks


def _done(log: ResumeLog, kind: type[Job]) -> Iterator[Job]:
    for place, line in log.lines():
        try:
            yield msgspec.json.decode(line, type=kind)
        except msgspec.DecodeError as error:
            raise ValueError(f"{log.path}, byte {place}: {error}; move the file away to begin anew") from error


def _watched(lines: Iterator[bytes], count: int, name: str, fault: Callable[[bytes], str]) -> Iterator[bytes]:
    """Pass lines on, with a progress bar; give up where too many in a row failed.

    Raises:
        RunFailed: Too many in a row failed.
    """
    in_a_row = 0
    for line in tqdm(lines, total=count, desc=name, unit="", disable=None):
        yield line
        error = fault(line)
        in_a_row = in_a_row + 1 if error else 0
        if in_a_row == _MOST_FAILURES:
            raise RunFailed(
                ErrorCode.MODEL_UNAVAILABLE,
                f"{name}: {in_a_row} failed one after the other, the last with: {error}. Put it right and start again; "
                "what is done is kept",
            )


def _logged(lines: Iterator[bytes], log: ResumeLog, kind: type[Job]) -> Iterator[Job]:
    """Decode lines, each once it is in the log."""
    for line in lines:
        log.add(line)
        yield msgspec.json.decode(line, type=kind)


def _write_report(out: Path, data: dict[str, Any], about: FilterReport, filters: FilterReport) -> None:
    """Write report.json, and report.md for people."""
    (out / "report.json").write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    (out / "report.md").write_text(
        f"# Questions\n\n{about.to_markdown()}\n{filters.to_markdown()}\nSolved: "
        + ", ".join(f"{count} {name}" for name, count in data["solved"].items())
        + "\n",
        encoding="utf-8",
    )


def _unwritten(line: bytes) -> str:
    return msgspec.json.decode(line, type=Written).error


def _untried(line: bytes) -> str:
    tried = msgspec.json.decode(line, type=Tried)
    return tried.error if tried.failed == tried.tries else ""


def _too_easy_or_hard(tried: Tried, config: QuestionsConfig) -> str:
    if tried.failed:
        return "tries failed for other reasons"
    if tried.solved < config.least_solved:
        return f"too hard: solved {tried.solved} of {tried.tries} times"
    if tried.solved > config.most_solved:
        return f"too easy: solved {tried.solved} of {tried.tries} times"
    return ""


def _scenes(kept: list[Question], writer: str) -> Iterator[Example]:
    for question in kept:
        yield question.ask(SceneIndex.cached(question.folder)[question.scene_id], writer)


def _writer_settings(writer: WriterConfig) -> dict[str, Any]:
    """Settings that replies depend on; the server's address is none of them."""
    config = writer.config
    return {
        "writer": writer.server.model,
        "family": config.writer_family,
        "temperature": config.writer_temperature,
        "per_scene": config.per_scene,
        "seed": config.seed,
    }
