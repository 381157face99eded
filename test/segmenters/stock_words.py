"""What the stock processors of networks that take words answer beside ours: a script that runs apart, with torchvision.

python stock_words.py OUT.npz
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from with_torchvision import import_torchvision

KEPT = import_torchvision()
torch.set_num_threads(1)

from sam2_cases import picture  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForZeroShotObjectDetection,
    BertTokenizer,
    CLIPTokenizer,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    Owlv2ImageProcessor,
    Owlv2Processor,
    Sam3ImageProcessor,
    Sam3Model,
    Sam3Processor,
)

from rsagent_ros.segmenters.detector import open_detector  # noqa: E402
from rsagent_ros.segmenters.instances import to_full_size  # noqa: E402
from rsagent_ros.segmenters.sam2_config import Sam2Config  # noqa: E402
from rsagent_ros.segmenters.sam2_tensors import to_pixels  # noqa: E402
from rsagent_ros.segmenters.sam3_config import Sam3Config  # noqa: E402
from rsagent_ros.segmenters.transformers_sam3 import TransformersSam3  # noqa: E402
from rsagent_ros.weights.tiny_detectors import save_tiny_mm_grounding_dino, save_tiny_owlv2  # noqa: E402
from rsagent_ros.weights.tiny_sam3 import save_tiny_sam3  # noqa: E402

Answers = dict[str, np.ndarray]

PHRASE = "red mug"
THRESHOLD = 0.01


def sam3(folder: Path) -> Answers:
    """SAM 3's own processor around the same checkpoint."""
    save_tiny_sam3(folder)
    image = picture()
    network = TransformersSam3.load(Sam3Config(str(folder), device="cpu", threshold=THRESHOLD))
    pixels = to_pixels(image, network.input_format, network.device)
    with torch.inference_mode():
        scores, logits = network.find(network.embed(pixels), PHRASE)
    side = network.input_format.image_size
    stock = Sam3Processor(
        Sam3ImageProcessor(size={"height": side, "width": side}), CLIPTokenizer.from_pretrained(folder)
    )
    inputs = stock(images=image, text=PHRASE, return_tensors="pt")
    with torch.inference_mode():
        answer = Sam3Model.from_pretrained(folder).eval()(
            pixel_values=inputs["pixel_values"],
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
        )
    (found,) = stock.post_process_instance_segmentation(answer, THRESHOLD, 0.5, target_sizes=[image.shape[:2]])
    return {
        "ours_pixels": pixels.numpy(),
        "stock_pixels": inputs["pixel_values"].numpy(),
        "ours_scores": scores.numpy(),
        "stock_scores": found["scores"].numpy(),
        "ours_masks": to_full_size(logits.sigmoid(), image.shape[:2]),
        "stock_masks": found["masks"].bool().numpy(),
    }


def detector(save: Any, open_stock: Any, text: Any, folder: Path, image: np.ndarray) -> Answers:
    """A detector's own processor around the same checkpoint."""
    if not folder.exists():
        save(folder)
    ours = open_detector(Sam2Config("unused", device="cpu", finder=str(folder), finder_threshold=THRESHOLD))
    stock = open_stock(folder)
    inputs = stock(images=image, text=text, return_tensors="pt")
    with torch.inference_mode():
        boxes, scores = ours.find(image, PHRASE)
        pixels = ours.pixels.prepare(image, torch.device("cpu"))
        answer = AutoModelForZeroShotObjectDetection.from_pretrained(folder).eval()(**inputs)
    options = {"input_ids": inputs["input_ids"]} if "Grounding" in type(stock).__name__ else {}
    (found,) = stock.post_process_grounded_object_detection(
        answer, threshold=THRESHOLD, target_sizes=[image.shape[:2]], **options
    )
    height, width = image.shape[:2]
    corners = found["boxes"].numpy().clip(0, [width, height, width, height])
    # Those in what OWLv2 adds to make the image a square have nothing of it inside, and ours leaves them out.
    inside = (corners[:, 2:] > corners[:, :2]).all(axis=1)
    corners, stock_scores = corners[inside], found["scores"].numpy()[inside]
    order = np.argsort(-stock_scores, kind="stable")
    return {
        "ours_pixels": pixels.numpy(),
        "stock_pixels": inputs["pixel_values"].numpy(),
        "ours_scores": scores,
        "stock_scores": stock_scores[order],
        "ours_boxes": boxes,
        "stock_boxes": corners[order],
    }


def stock_dino(folder: Path) -> Any:
    """The processor of Grounding DINO, with the sizes of the tiny one."""
    pixels = GroundingDinoImageProcessor(size={"shortest_edge": 96, "longest_edge": 160})
    return GroundingDinoProcessor(pixels, BertTokenizer.from_pretrained(folder))


def stock_owl(folder: Path) -> Any:
    """The processor of OWLv2, with the size of the tiny one."""
    return Owlv2Processor(Owlv2ImageProcessor(size={"height": 96, "width": 96}), CLIPTokenizer.from_pretrained(folder))


def main(out: Path) -> None:
    """All networks, each answer's name after its network's and its picture's."""
    pictures = {"wide": picture(), "tall": picture(260, 120), "long": picture(60, 400), "small": picture(40, 50)}
    answers: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        answers |= {f"sam3_{what}": answer for what, answer in sam3(root / "sam3").items()}
        for shape, image in pictures.items():
            dino = detector(save_tiny_mm_grounding_dino, stock_dino, [[PHRASE]], root / "dino", image)
            owl = detector(save_tiny_owlv2, stock_owl, [[PHRASE]], root / "owl", image)
            answers |= {f"dino_{shape}_{what}": answer for what, answer in dino.items()}
            answers |= {f"owl_{shape}_{what}": answer for what, answer in owl.items()}
    np.savez(out, **answers)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
