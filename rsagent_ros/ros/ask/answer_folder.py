"""The folder of `ask --save`: overlay, mask, trace and page of an answer, as `rsagent run` writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.agent.turn import Trace
from rsagent_ros.ros.client import Answer
from rsagent_ros.ros.client.goal_images import IMAGE_SECONDS
from rsagent_ros.viewer.folder import FILES, write_folder
from rsagent_ros.viewer.page import Shown


def save(folder: Path, answer: Answer, image: NDArray[np.uint8] | None) -> str:
    """Write the files of an answer; those of an earlier one are replaced.

    Args:
        folder: Where to; made if it is not there.
        answer: The answer.
        image: (H, W, 3) uint8 RGB that it is about; None where it is not known.

    Returns:
        What was written, or why nothing was.

    Raises:
        OSError: The folder can't be written.
    """
    if not answer.message.trace:
        return "nothing was saved: the agent did not look at an image"
    if image is None:
        return f"nothing was saved: the image did not come within {IMAGE_SECONDS:g} s of the answer"
    write_folder(folder, Shown(Trace.from_json(answer.message.trace), image))
    return f"saved in {folder}: {', '.join(name for name in FILES if (folder / name).exists())}"
