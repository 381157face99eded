"""Makes torchvision importable where it was built for another torch. For scripts that tests run apart.

The stock image processors of SAM need torchvision, and there is none that fits a CPU build of torch: its operators
don't load, and then even transformers' models can't be imported. So nothing of ours needs it, no environment of ours
has it, and what is compared with the stock processors runs in a process of its own. Where it works, nothing is done.

    make test-stock     # installs it into a folder of its own, with timm for EdgeTAM, and names that folder here
"""

from __future__ import annotations

import os
import sys

import torch

SKIPPED = 77
OPERATORS = (
    "nms", "qnms", "roi_align", "qroi_align", "ps_roi_align", "roi_pool", "ps_roi_pool", "deform_conv2d",
    "_roi_align_backward", "_ps_roi_align_backward", "_roi_pool_backward", "_ps_roi_pool_backward",
    "_deform_conv2d_backward",
)  # fmt: skip


def import_torchvision() -> torch.library.Library | None:
    """Import it, or end this process with exit code SKIPPED. What is returned must be kept alive."""
    if "RSAGENT_TORCHVISION" in os.environ:
        sys.path.append(os.environ["RSAGENT_TORCHVISION"])
    try:
        import torchvision
    except ModuleNotFoundError:
        sys.stdout.write("there is no torchvision, which the stock processors need; make test-stock brings it\n")
        sys.exit(SKIPPED)
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        operators = torch.library.Library("torchvision", "DEF")
        for name in OPERATORS:
            operators.define(f"{name}() -> ()")
        import torchvision  # noqa: F401

        return operators
    return None
