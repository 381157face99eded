"""What the makers' own processors and predictor answer beside ours: a script that runs apart, with torchvision.

python stock_sam2.py processors OUT.npz
python stock_sam2.py predictor OUT.npz CONFIG.yaml
"""

from __future__ import annotations

import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from with_torchvision import import_torchvision

KEPT = import_torchvision()
torch.set_num_threads(1)

from sam2_cases import BOX, NEGATIVE, POINT, POSITIVE, picture  # noqa: E402

from rsagent_ros.agent.segmenter import Candidate, MaskPrompt  # noqa: E402
from rsagent_ros.segmenters.sam2 import Sam2Segmenter  # noqa: E402
from rsagent_ros.segmenters.sam2_config import Sam2Config  # noqa: E402
from rsagent_ros.segmenters.sam2_tensors import to_pixels  # noqa: E402

Answers = dict[str, np.ndarray]

POINTS = [[point.x, point.y] for point in (*POSITIVE, *NEGATIVE)]
LABELS = [1] * len(POSITIVE) + [0] * len(NEGATIVE)
CORNERS = [BOX.x0, BOX.y0, BOX.x1, BOX.y1]


def ours(segmenter: Sam2Segmenter) -> Answers:
    """The answers of the product to the four prompts."""
    encoding = segmenter.encode(picture())
    point = segmenter.masks(encoding, MaskPrompt.of(positive=(POINT,)))
    best = max(point, key=lambda candidate: candidate.score)
    return {
        **_named("point", point),
        **_named("box", segmenter.masks(encoding, MaskPrompt.of(box=BOX))),
        **_named("both", segmenter.masks(encoding, MaskPrompt.of(box=BOX, positive=POSITIVE, negative=NEGATIVE))),
        **_named("refined", segmenter.masks(encoding, MaskPrompt.of(positive=(POINT,), mask_input=best.logits))),
    }


def _named(name: str, candidates: list[Candidate]) -> Answers:
    return {
        f"ours_{name}_masks": np.stack([candidate.mask for candidate in candidates]),
        f"ours_{name}_scores": np.array([candidate.score for candidate in candidates]),
    }


def processor(architecture: str) -> Answers:
    """transformers' own processor around the same checkpoint."""
    from transformers import AutoModelForMaskGeneration

    from rsagent_ros.segmenters.transformers_sam2 import TransformersSam2
    from rsagent_ros.weights import tiny_sam2

    answers: Answers = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        getattr(tiny_sam2, f"save_tiny_{architecture}")(folder)
        network = TransformersSam2.load(Sam2Config(str(folder), device="cpu"))
        answers |= ours(Sam2Segmenter(network))
        expected = network.input_format
        answers["ours_pixels"] = to_pixels(picture(), expected, torch.device("cpu")).numpy()
        model = AutoModelForMaskGeneration.from_pretrained(folder).eval()
    size = {"height": expected.image_size, "width": expected.image_size}
    stock: Any
    if architecture == "sam3_tracker":
        from transformers import Sam3ImageProcessor, Sam3TrackerProcessor

        stock = Sam3TrackerProcessor(Sam3ImageProcessor(size=size), target_size=expected.image_size)
    else:
        from transformers import Sam2ImageProcessor, Sam2Processor

        stock = Sam2Processor(Sam2ImageProcessor(size=size), target_size=expected.image_size)

    def ask(name: str, *, multimask: bool, mask_input: torch.Tensor | None = None, **prompt: Any) -> torch.Tensor:
        inputs = stock(images=picture(), return_tensors="pt", **prompt)
        with torch.no_grad():
            answer = model(**inputs, input_masks=mask_input, multimask_output=multimask)
        masks = stock.post_process_masks(answer.pred_masks, inputs["original_sizes"])[0][0]
        answers[f"stock_{name}_masks"] = masks.numpy()
        answers[f"stock_{name}_scores"] = answer.iou_scores[0, 0].numpy()
        answers["stock_pixels"] = inputs["pixel_values"].numpy()
        return answer.pred_masks[:, :, answer.iou_scores[0, 0].argmax()]

    click: dict[str, Any] = {"input_points": [[[[POINT.x, POINT.y]]]], "input_labels": [[[1]]]}
    best = ask("point", multimask=True, **click)
    ask("box", multimask=False, input_boxes=[[CORNERS]])
    ask("both", multimask=False, input_boxes=[[CORNERS]], input_points=[[POINTS]], input_labels=[[LABELS]])
    ask("refined", multimask=False, mask_input=best, **click)
    return answers


def predictor(config: str) -> Answers:
    """Meta's own predictor around the same network."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    from rsagent_ros.segmenters.meta_sam2 import MetaSam2, build

    torch.manual_seed(0)
    model: Any = build(config)
    answers = ours(Sam2Segmenter(MetaSam2(model, Sam2Config("unused", device="cpu"), "meta")))
    stock = SAM2ImagePredictor(model)
    side = model.image_size
    stock._bb_feat_sizes = [(side // stride, side // stride) for stride in (4, 8, 16)]  # it knows those of 1024 only
    stock.set_image(picture())

    def ask(name: str, **prompt: object) -> np.ndarray:
        masks, scores, logits = stock.predict(**prompt)
        answers[f"stock_{name}_masks"] = masks.astype(bool)
        answers[f"stock_{name}_scores"] = scores
        return logits[scores.argmax()][None]

    click = {"point_coords": np.array([[POINT.x, POINT.y]]), "point_labels": np.array([1])}
    best = ask("point", multimask_output=True, **click)
    ask("box", box=np.array(CORNERS), multimask_output=False)
    both = {"point_coords": np.array(POINTS), "point_labels": np.array(LABELS), "box": np.array(CORNERS)}
    ask("both", multimask_output=False, **both)
    ask("refined", mask_input=best, multimask_output=False, **click)
    return answers


def processors() -> Answers:
    """All architectures, each answer's name after its architecture's; without EdgeTAM where there is no timm."""
    names = ["sam2", "sam3_tracker"] + (["edgetam"] if find_spec("timm") else [])
    return {f"{name}_{what}": answer for name in names for what, answer in processor(name).items()}


if __name__ == "__main__":
    what, out, *arguments = sys.argv[1:]
    found: dict[str, Any] = predictor(*arguments) if what == "predictor" else processors()
    np.savez(out, **found)
