"""The folder that a run on one image leaves: result.json, mask.png, overlay.png, trace.json and index.html."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.annotation import annotate, answer_annotations
from rsagent_ros.agent.mask import Mask, area, bounding_box
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.turn import Trace
from rsagent_ros.viewer.page import Shown, render

FILES = ("result.json", "mask.png", "overlay.png", "trace.json", "index.html")


def write_folder(folder: Path, shown: Shown) -> None:
    """Write a finished episode's files; those of an earlier run in the same folder are replaced.

    `mask.png` (0 and 255, the size of the frame) is there only when something was found, also as the best so far or as
    candidates; `overlay.png` always is, and shows the plain frame when there is no mask.

    Raises:
        OSError: The folder can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    trace = shown.trace
    answers = trace.candidate_ids if trace.outcome is Outcome.AMBIGUOUS else trace.instance_ids
    masks = [mask for mask in (trace.mask(number) for number in answers) if mask is not None]
    mask = np.logical_or.reduce(masks) if masks else None
    if mask is not None:
        _write_image(folder / "mask.png", mask.astype(np.uint8) * np.uint8(255))
    height, width = shown.frame.shape[:2]
    overlay = annotate(shown.frame, answer_annotations(trace), width, height)
    _write_image(folder / "overlay.png", overlay[:, :, ::-1])
    (folder / "trace.json").write_text(trace.to_json() + "\n", encoding="utf-8")
    (folder / "result.json").write_text(json.dumps(summary(trace, mask), indent=2) + "\n", encoding="utf-8")
    (folder / "index.html").write_text(render([shown], trace.instruction), encoding="utf-8")


def summary(trace: Trace, mask: Mask | None) -> dict[str, object]:
    """The content of result.json: the fields other programs rely on."""
    box = None if mask is None else bounding_box(mask)
    return {
        "instruction": trace.instruction,
        "outcome": trace.outcome,
        "error_code": trace.error_code.name,
        "error_msg": trace.error_msg,
        "partial": trace.partial,
        "confidence": _confidence(trace),
        "bbox": None if box is None else [round(edge) for edge in (box.x0, box.y0, box.x1, box.y1)],
        "area": 0 if mask is None else area(mask),
        "question": trace.question,
        "reason": trace.reason,
        "votes": list(trace.votes),
        "turns": len(trace.turns),
        "seconds": round(trace.seconds, 4),
        "policy": trace.policy,
        "segmenter": trace.segmenter,
    }


def _confidence(trace: Trace) -> float | None:
    """As `Result.confidence`: None where nothing is marked whose evidence could speak."""
    return (max if trace.outcome is Outcome.AMBIGUOUS else min)(trace.confidences, default=None)


def _write_image(path: Path, pixels: NDArray[np.uint8]) -> None:
    done, data = cv2.imencode(".png", np.ascontiguousarray(pixels))
    if not done:
        raise ValueError(f"{path}: an array of {pixels.shape} {pixels.dtype} can't be encoded as PNG")
    path.write_bytes(data.tobytes())
