"""Masks made by anyone else's system, scored like the agent's: `rsagent score`.

A folder of predictions holds ID.png files (one channel, 0 outside; black says that nothing is there), or
`predictions.jsonl`, one JSON object a line:

    id          of the example
    mask        COCO run lengths {"size": [h, w], "counts": "text"}, or the file name of a PNG; null: nothing is there
    confidence  0..1, for calibration; may be left out
    outcome     "found", "not_in_view", "gave_up" or "failed"; without it, found with a mask and not_in_view without

A prediction that is missing, unreadable, or of another size than its image counts as failed: 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from rsagent_ros import __version__
from rsagent_ros.agent.mask import encode_rle
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.data.example import Example, check_id
from rsagent_ros.data.files import load_mask
from rsagent_ros.data.ref import Skipped
from rsagent_ros.data.text import text_lines
from rsagent_ros.datasets import Dataset, list_examples
from rsagent_ros.evaluation.evaluator import Evaluated, Progress, evaluated
from rsagent_ros.evaluation.results import NO_TRACE, ExampleResult, Measured, Results, RunSettings
from rsagent_ros.scoring.prediction import Prediction
from rsagent_ros.scoring.score import score

FILE = "predictions.jsonl"
MISSING, UNREADABLE = "MISSING", "UNREADABLE"
MAX_LINE_BYTES = 16_000_000


class _PredictionLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    mask: str | dict[str, Any] | None = None
    confidence: float | None = None
    outcome: Literal["found", "not_in_view", "gave_up", "failed"] | None = None


@dataclass(frozen=True)
class Predictions:
    """The predictions of a system.

    Attributes:
        load: By the id of the example; gives the answer, raises ValueError or OSError where it can't be read.
        remarks: What could not be used, each with its place.
    """

    load: dict[str, Callable[[], Prediction]] = field(repr=False)
    remarks: list[str]


def read_predictions(folder: Path) -> Predictions:
    """List the predictions of a folder; masks are read when they are asked for.

    Raises:
        FileNotFoundError: It holds none.
        ValueError: Its predictions.jsonl is no UTF-8.
    """
    rows = folder / FILE
    if rows.is_file():
        return _of_lines(rows)
    files = sorted(folder.glob("*.png"))
    if not files:
        raise FileNotFoundError(f"{folder} holds neither {FILE} nor ID.png files")
    return Predictions(
        {path.stem: partial(_answer, _PredictionLine(path.stem, path.name), folder) for path in files}, []
    )


def _of_lines(rows: Path) -> Predictions:
    load: dict[str, Callable[[], Prediction]] = {}
    remarks: list[str] = []
    for number, start, line in text_lines(rows):
        try:
            if len(line) > MAX_LINE_BYTES:
                raise ValueError(f"the line has over {MAX_LINE_BYTES} bytes")
            row = msgspec.json.decode(line, type=_PredictionLine)
            check_id(row.id)
            if row.id in load:
                raise ValueError(f"a second prediction for {row.id}; the first counts")
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            remarks.append(f"{rows}, line {number}: {error}")
        else:
            load[row.id] = partial(_read, rows, start, len(line))
    return Predictions(load, remarks)


def _read(rows: Path, start: int, size: int) -> Prediction:
    with rows.open("rb") as file:
        file.seek(start)
        return _answer(msgspec.json.decode(file.read(size), type=_PredictionLine), rows.parent)


def _answer(row: _PredictionLine, folder: Path) -> Prediction:
    if row.confidence is not None and not 0 <= row.confidence <= 1:
        raise ValueError(f"its confidence is {row.confidence:g}; it must be 0 to 1")
    mask = None if row.mask is None else load_mask(row.mask, folder)
    if mask is not None and not mask.any():
        mask = None
    outcome = Outcome(row.outcome) if row.outcome else Outcome.NOT_IN_VIEW if mask is None else Outcome.FOUND
    if outcome is Outcome.NOT_IN_VIEW and mask is not None:
        raise ValueError("it has a mask, and says that nothing is in view")
    return Prediction(outcome, mask, confidence=None if mask is None else row.confidence)


def score_predictions(dataset: Dataset, predictions: Path, out: Path, progress: Progress | None = None) -> Evaluated:
    """Score a folder of predictions against a dataset; blocks until all are.

    Raises:
        FileExistsError: `out` holds results already.
        FileNotFoundError: There is no dataset, or no predictions.
        ValueError: The dataset is none of its kind.
    """
    given = read_predictions(predictions)
    settings = RunSettings(asdict(dataset), {"predictions": str(predictions)}, release=__version__)
    skipped: list[Skipped] = []
    seen: set[str] = set()
    with Results(out, settings, go_on=False) as results:
        for index, one in enumerate(list_examples(dataset, masks_only=True)):
            if isinstance(one, Skipped):
                skipped.append(one)
                continue
            seen.add(one.id)
            try:
                example = one.load()
            except (ValueError, OSError) as error:
                skipped.append(Skipped(one.id, one.where, str(error)))
                continue
            result = _result(index, one.where, example, given)
            results.add(result)
            if progress is not None:
                progress(result.score, None)
        strange = [f"{predictions}: {name} is no sample of the truth" for name in sorted(set(given.load) - seen)]
        return evaluated(settings, results, skipped, [*given.remarks, *strange])


def _result(index: int, where: str, example: Example, given: Predictions) -> ExampleResult:
    answer, remarks = _checked(example, given)
    return ExampleResult(
        score(answer, example, index=index),
        Measured(),
        None if answer.mask is None else encode_rle(answer.mask),
        (*(f"{where}: {remark}" for remark in example.remarks), *remarks),
        NO_TRACE,
    )


def _checked(example: Example, given: Predictions) -> tuple[Prediction, list[str]]:
    """The answer to one example, and what is wrong with it."""
    load = given.load.get(example.id)
    if load is None:
        return Prediction(Outcome.FAILED, error_code=MISSING, error_msg="there is no prediction for it"), []
    try:
        answer = load()
        if answer.mask is not None and answer.mask.shape != example.shape:
            ours, theirs = example.shape, answer.mask.shape
            raise ValueError(f"the mask is {theirs[1]} x {theirs[0]} pixels, the image {ours[1]} x {ours[0]}")
    except (ValueError, OSError) as error:
        return Prediction(Outcome.FAILED, error_code=UNREADABLE, error_msg=str(error)), [
            f"prediction {example.id}: {error}"
        ]
    return answer, []
