"""Configuration of a SAM segmenter. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass

from rsagent_ros.settings import check, setting

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Sam2Config:
    """A checkpoint and its runtime options; each field describes itself.

    Raises:
        ValueError: A value out of range; the message names the range.
    """

    checkpoint: str = setting(
        "", "folder with safetensors of a SAM 2.1, an EdgeTAM or a SAM 3 tracker, or a `.pt` file of Meta's"
    )
    device: str = setting("auto", "`auto`: the first CUDA device where there is one, else `cpu`; or such as `cuda:1`")
    # Prompts and masks are always float32: bfloat16 would round coordinates to 1/256 of the image.
    dtype: str = setting(
        "auto", "of the image encoder; `auto`: half precision on CUDA, float32 on the CPU", choices=DTYPES
    )
    compile: bool = setting(False, "compile the image encoder at its first use: needs a C++ compiler, and minutes")
    # One takes 16 MB in float32, 10 MB in half precision.
    encodings_megabytes: float = setting(
        512.0, "most memory for the encodings of views that are kept", unit="MB", low=0.001, high=1e6
    )
    finder: str = setting(
        "",
        "folder of a detector that takes words, an MM-Grounding-DINO or an OWLv2, whose boxes are drawn: then there is "
        "the tool `find`; empty: none",
    )
    finder_threshold: float = setting(
        0.0,
        "least score of a box of the finder; 0: the usual one, 0.25 with MM-Grounding-DINO and 0.1 with OWLv2",
        low=0.0,
        high=1.0,
    )

    def __post_init__(self) -> None:
        if not self.checkpoint:
            raise ValueError("checkpoint is empty; name a folder that `rsagent models fetch` made, or a .pt file")
        check(self)
