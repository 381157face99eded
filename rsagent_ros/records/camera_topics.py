"""Topics of a bag that are its camera: the images, and the depth and calibration that belong to them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.bag_index import BagIndex

COMPRESSED = "/compressed"
COMPRESSED_DEPTH = "/compressedDepth"
NOT_CAMERAS = (
    *("depth", "mask", "overlay", "disparity", "confidence", "infra", "compressedDepth", "theora"),
    *("label_image", "goal_image"),
)
"""Words in topics that carry images, but not those of a colour camera."""


@dataclass(frozen=True)
class CameraTopics:
    """Topics of one camera; depth and camera_info are empty where there is none."""

    image: str
    depth: str = ""
    camera_info: str = ""


def camera_topics(index: BagIndex, image: str = "", depth: str = "") -> CameraTopics:
    """The camera of a bag.

    Args:
        index: Of the bag.
        image: The topic to take; empty: the only one, or a raw one before its compressed form.
        depth: Likewise; empty: the only one with "depth" in its name, again a raw one before its compressed form.

    Raises:
        ValueError: There is no such topic, it has no images, or several could be meant; the sentence lists them.
    """
    if image:
        _check(index, image, (ros.IMAGE, ros.COMPRESSED_IMAGE))
    else:
        image = _only_image(index)
    if depth:
        _check(index, depth, (ros.IMAGE, ros.COMPRESSED_IMAGE))
    else:
        depth = _only_depth(index, image)
    infos = [topic for topic, kind in index.types.items() if kind == ros.CAMERA_INFO]
    folder = image.removesuffix(COMPRESSED).rpartition("/")[0]
    beside = f"{folder}/camera_info"
    colour = [topic for topic in infos if "depth" not in topic.lower()]
    info = beside if beside in infos else colour[0] if len(colour) == 1 else ""
    return CameraTopics(image, depth, info)


def _only_depth(index: BagIndex, image: str) -> str:
    """The one depth topic beside the image's; empty where there is none, or several."""
    named = {topic: kind for topic, kind in index.types.items() if "depth" in topic.lower() and topic != image}
    raw = [topic for topic, kind in named.items() if kind == ros.IMAGE]
    packed = [topic for topic, kind in named.items() if kind == ros.COMPRESSED_IMAGE]
    for topics in (raw, [topic for topic in packed if topic.endswith(COMPRESSED_DEPTH)], packed):
        if topics:
            return topics[0] if len(topics) == 1 else ""
    return ""


def _only_image(index: BagIndex) -> str:
    pictures = [
        topic
        for topic, kind in index.types.items()
        if kind in (ros.IMAGE, ros.COMPRESSED_IMAGE) and not any(word.lower() in topic.lower() for word in NOT_CAMERAS)
    ]
    pictures = [topic for topic in pictures if topic.removesuffix(COMPRESSED) not in _but(pictures, topic)]
    if not pictures:
        raise ValueError(f"no topic has images of a camera; images are on: {_listed(index, pictures)}")
    if len(pictures) > 1:
        raise ValueError(f"several topics have images, name one: {', '.join(sorted(pictures))}")
    return pictures[0]


def _but(topics: Iterable[str], topic: str) -> set[str]:
    return {other for other in topics if other != topic}


def _check(index: BagIndex, topic: str, kinds: tuple[str, ...]) -> None:
    kind = index.types.get(topic)
    if kind is None:
        raise ValueError(f"the bag has no images on {topic}; images are on: {_listed(index, ())}")
    if kind not in kinds:
        raise ValueError(f"{topic} is of {kind}; it must be of {' or '.join(kinds)}")


def _listed(index: BagIndex, without: Iterable[str]) -> str:
    kinds = (ros.IMAGE, ros.COMPRESSED_IMAGE)
    topics = sorted(topic for topic, kind in index.types.items() if kind in kinds and topic not in without)
    return ", ".join(topics) or "none"
