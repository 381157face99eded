"""Configuration of the SAM 3 segmenter. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from rsagent_ros.segmenters.sam2_config import DTYPES
from rsagent_ros.settings import check, setting


@dataclass(frozen=True)
class Sam3Config:
    """A checkpoint and its runtime options; each field describes itself.

    Raises:
        ValueError: A value out of range; the message names the range.
    """

    checkpoint: str = setting("", "folder with safetensors of a whole SAM 3: its detector and its tracker")
    device: str = setting("auto", "`auto`: the first CUDA device where there is one, else `cpu`; or such as `cuda:1`")
    # Words, prompts and masks are always float32, like those of SAM 2.
    dtype: str = setting(
        "auto", "of the image encoder; `auto`: half precision on CUDA, float32 on the CPU", choices=DTYPES
    )
    compile: bool = setting(False, "compile the image encoder at its first use: needs a C++ compiler, and minutes")
    # One takes 133 MB in float32, 66 MB in half precision: the maps of two necks.
    encodings_megabytes: float = setting(
        1024.0, "most memory for the encodings of views that are kept", unit="MB", low=0.001, high=1e6
    )
    threshold: float = setting(0.5, "least score of an instance that `find` marks", low=0.0, high=1.0)

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise ValueError("checkpoint is empty; name a folder that `rsagent models fetch sam3` made")
        check(self)
