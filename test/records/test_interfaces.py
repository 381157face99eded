"""Our messages without ROS: the definitions are those of msg/, and files that hold them are read by anybody."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from rsagent_ros.records import interfaces as ros
from rsagent_ros.records.interfaces import blank, definition, serialize, typestore

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["Goal", "Instance", "Mask", "Result", "Timings", "Turn", "Verdict"]


@pytest.mark.parametrize("name", NAMES)
def test_definitions_are_those_of_the_files(name: str) -> None:
    kind = f"rsagent_ros/msg/{name}"
    in_file = get_types_from_msg((ROOT / f"msg/{name}.msg").read_text(), kind)
    assert typestore().fielddefs[kind] == in_file[kind]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_embedded_is_enough_to_read_it(name: str) -> None:
    kind = f"rsagent_ros/msg/{name}"
    store = get_typestore(Stores.EMPTY)
    store.register(get_types_from_msg(definition(kind), kind))
    assert store.hash_rihs01(kind) == typestore().hash_rihs01(kind)
    message = blank(kind)
    assert store.serialize_cdr(store.deserialize_cdr(serialize(message), kind), kind) == serialize(message)


def test_messages_are_the_same_in_humble() -> None:
    store = get_typestore(Stores.ROS2_HUMBLE)
    for kind in (ros.IMAGE, ros.COMPRESSED_IMAGE, ros.CAMERA_INFO, ros.STRING):
        # RegionOfInterest and the like included; field names of CameraInfo are lower case in both.
        assert store.fielddefs[kind] == typestore().fielddefs[kind]


def test_a_blank_message_is_zero() -> None:
    info = blank(ros.CAMERA_INFO, width=3)
    assert (info.width, info.height, info.distortion_model) == (3, 0, "")
    assert np.array_equal(info.k, np.zeros(9))
    assert info.d.size == 0
    assert info.header.stamp.sec == 0
    assert blank(ros.RESULT).instances == []
