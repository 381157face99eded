"""Numbers of objects in the label image."""

from __future__ import annotations

import numpy as np
from rsagent_ros.msg import Instance

from rsagent_ros.ros.outputs.found_object import found_objects, label_numbers
from rsagent_ros.ros.outputs.label_image import label_array


def test_numbers_are_different_and_follow_from_track_ids() -> None:
    assert label_numbers([-1, -1, -1]) == [1, 2, 3]
    assert label_numbers([7, 8]) == [8, 9]
    assert label_numbers([1, -1, -1]) == [2, 1, 3]
    assert label_numbers([254, 255, -1]) == [255, 1, 2]
    assert 0 not in label_numbers(list(range(600)))


def test_of_two_that_overlap_the_smaller_one_is_on_top() -> None:
    large, small = np.zeros((2, 20, 20), np.bool_)
    large[:10], small[5:7, 5:7] = True, True
    objects = found_objects("g", "a thing", [Instance(track_id=-1), Instance(track_id=-1)], [small, large])
    labels = label_array(objects, (20, 20))
    assert labels.dtype == np.uint8
    assert (labels[6, 6], labels[0, 0], labels[15, 15]) == (1, 2, 0)


def test_more_than_a_byte_holds_take_sixteen_bits() -> None:
    masks = np.zeros((300, 20, 20), np.bool_)
    for number, mask in enumerate(masks):
        mask[number // 20, number % 20] = True
    labels = label_array(found_objects("g", "a thing", [Instance(track_id=-1)] * 300, masks), (20, 20))
    assert labels.dtype == np.uint16
    assert int(labels.max()) == 300


def test_an_object_without_pixels_is_none() -> None:
    nothing = np.zeros((20, 20), np.bool_)
    assert found_objects("g", "a thing", [Instance(track_id=-1)], [nothing]) == []
    assert not label_array([], (20, 20)).any()
