"""The files a run leaves."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rsagent_ros.agent.episode import Episode
from rsagent_ros.agent.outcome import Outcome
from rsagent_ros.agent.policy import Reply
from rsagent_ros.agent.segmenter import Candidate, MaskPrompt
from rsagent_ros.agent.turn import Trace
from rsagent_ros.viewer.folder import write_folder
from rsagent_ros.viewer.page import Shown


class BoxSegmenter:
    """The mask is the box."""

    name = "box"

    def encode(self, image: np.ndarray) -> tuple[int, int]:
        return image.shape[0], image.shape[1]

    def masks(self, encoding: tuple[int, int], prompt: MaskPrompt) -> list[Candidate]:
        mask = np.zeros(encoding, np.bool_)
        assert prompt.box is not None
        x0, y0, x1, y1 = prompt.box.astype(int)
        mask[y0:y1, x0:x1] = True
        return [Candidate(mask, 0.8, np.where(mask, np.float32(5), np.float32(-5)))]


def episode(*calls: str) -> Shown:
    frame = np.random.default_rng(0).integers(0, 255, (100, 200, 3), np.uint8)
    running = Episode(frame, "the box", BoxSegmenter())
    for call in calls:
        running.step(Reply(f"<think></think><tool_call>{call}</tool_call>"))
    if not running.done:
        running.stop(Outcome.CANCELED)
    return Shown(running.trace, frame)


SEGMENT = '{"name": "segment", "arguments": {"box": [250, 200, 500, 600]}}'
FINISH = '{"name": "finish", "arguments": {"mask": 1}}'
ABSENT = '{"name": "report_absent", "arguments": {"reason": "nothing like it"}}'


def test_found(tmp_path: Path) -> None:
    shown = episode(SEGMENT, FINISH)
    write_folder(tmp_path / "run", shown)
    result = json.loads((tmp_path / "run/result.json").read_text())
    assert (result["outcome"], result["error_code"], result["bbox"]) == ("found", "NONE", [50, 20, 100, 60])
    assert result["confidence"] == pytest.approx(0.8)
    assert (result["policy"], result["segmenter"], result["turns"]) == ("", "box", 2)
    mask = cv2.imread(str(tmp_path / "run/mask.png"), cv2.IMREAD_UNCHANGED)
    assert mask is not None
    assert mask.shape == (100, 200)
    assert set(np.unique(mask)) == {0, 255}
    assert (mask > 0).sum() == 50 * 40
    overlay = cv2.imread(str(tmp_path / "run/overlay.png"))
    assert overlay is not None
    assert (overlay[90, 150] == shown.frame[90, 150, ::-1]).all()  # as it is where nothing was found
    assert (overlay[40, 75] != shown.frame[40, 75, ::-1]).any()
    assert Trace.from_json((tmp_path / "run/trace.json").read_text()) == shown.trace


def test_nothing_found_leaves_no_mask_even_of_an_earlier_run(tmp_path: Path) -> None:
    write_folder(tmp_path, episode(SEGMENT, FINISH))
    write_folder(tmp_path, episode(ABSENT))
    assert not (tmp_path / "mask.png").exists()
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["outcome"], result["bbox"], result["reason"]) == ("not_in_view", None, "nothing like it")
    assert (tmp_path / "overlay.png").is_file()


def test_best_so_far_is_written_and_called_partial(tmp_path: Path) -> None:
    write_folder(tmp_path, episode(SEGMENT))
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["outcome"], result["partial"]) == ("canceled", True)
    assert (tmp_path / "mask.png").is_file()
