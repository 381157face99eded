"""The messages of `msg/` without ROS: their definitions as text, and a store that writes and reads them as CDR.

A test holds the text against `msg/`.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

GOAL, TURN, RESULT = "rsagent_ros/msg/Goal", "rsagent_ros/msg/Turn", "rsagent_ros/msg/Result"
MASK, VERDICT = "rsagent_ros/msg/Mask", "rsagent_ros/msg/Verdict"
IMAGE, COMPRESSED_IMAGE = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
CAMERA_INFO, STRING = "sensor_msgs/msg/CameraInfo", "std_msgs/msg/String"

DEFINITIONS = """
== Goal
string id
string previous_id
string instruction
string camera
builtin_interfaces/Time stamp
sensor_msgs/Image image
sensor_msgs/CameraInfo camera_info
sensor_msgs/Image depth
float32 time_budget
uint8 max_turns
uint8 priority
bool track
bool reground
== Instance
sensor_msgs/Image mask
sensor_msgs/RegionOfInterest roi
uint32 area
float32 confidence
int32 track_id
bool has_pose
geometry_msgs/PoseStamped pose
geometry_msgs/Vector3 size
== Mask
std_msgs/Header header
string goal_id
sensor_msgs/Image image
float32 confidence
bool partial
== Result
uint8 UNKNOWN=0
uint8 FOUND=1
uint8 NOT_IN_VIEW=2
uint8 AMBIGUOUS=3
uint8 GAVE_UP=4
uint8 CANCELED=5
uint8 PREEMPTED=6
uint8 SHUTDOWN=7
uint8 FAILED=8
uint16 NONE=0
uint16 INVALID_GOAL=10
uint16 FOLLOW_UP_UNKNOWN=11
uint16 REJECTED_BUSY=12
uint16 NOT_ACTIVE=13
uint16 NO_PUBLISHER=20
uint16 QOS_MISMATCH=21
uint16 NO_FRAME=22
uint16 STALE_FRAME=23
uint16 NEEDS_BUFFER=24
uint16 STAMP_NOT_BUFFERED=25
uint16 BAD_IMAGE=26
uint16 UNKNOWN_CAMERA=27
uint16 MODEL_UNAVAILABLE=30
uint16 POLICY_FAILED=31
uint16 SEGMENTER_FAILED=32
uint16 OUT_OF_MEMORY=33
uint16 CONTEXT_TOO_LONG=34
uint16 TIME_SPENT=40
uint16 TURNS_SPENT=41
uint16 TOKENS_SPENT=42
uint16 NOT_UNDERSTOOD=43
uint16 UNSURE=44
uint16 INTERNAL=99
std_msgs/Header header
string goal_id
string instruction
string camera
uint8 outcome
uint16 error_code
string error_msg
bool partial
bool degraded
Instance[] instances
Instance[] candidates
string question
string reason
bool has_view_direction
geometry_msgs/Vector3 view_direction
string hidden_by
uint16 turns
uint32 prompt_tokens
uint32 cached_tokens
uint32 sampled_tokens
string policy
string segmenter
Timings timings
string trace
== Timings
float32 frame
float32 policy
float32 tools
float32 total
== Turn
std_msgs/Header header
string goal_id
string instruction
uint16 index
string reply
string thought
string tool
string arguments
string error_code
string error_msg
string observation
sensor_msgs/RegionOfInterest view
uint16 mask_id
float32 score
uint32 area
sensor_msgs/RegionOfInterest roi
sensor_msgs/CompressedImage overlay
float32 reply_seconds
float32 tool_seconds
uint32 prompt_tokens
uint32 cached_tokens
uint32 sampled_tokens
string record
== Verdict
uint8 OPERATOR=1
uint8 GRASP=2
uint8 PLANNER=3
builtin_interfaces/Time stamp
string goal_id
uint8 source
bool accepted
bool absent
sensor_msgs/Image corrected_mask
string note
"""


@cache
def typestore() -> Typestore:
    """The types of ROS 2 Jazzy and ours. Those of the messages used here are the same in Humble."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = {}
    for part in DEFINITIONS.split("== ")[1:]:
        name, _, definition = part.partition("\n")
        types.update(get_types_from_msg(definition, f"rsagent_ros/msg/{name}"))
    store.register(types)
    return store


def blank(msgtype: str, **fields: Any) -> Any:
    """A message with these fields; the others are at their defaults, as in a constructor of rclpy."""
    store = typestore()
    values = {name: _zero(kind) for name, kind in store.fielddefs[msgtype][1] if name not in fields}
    return store.types[msgtype](**values, **fields)


def _zero(kind: Any) -> Any:
    node, detail = kind
    match node:
        case Nodetype.NAME:
            # The one type here whose definition has a default that is not zero; rosbags does not keep defaults.
            return blank(detail, w=1.0) if detail == "geometry_msgs/msg/Quaternion" else blank(detail)
        case Nodetype.BASE:
            return "" if detail[0] == "string" else False if detail[0] == "bool" else 0
    (element, name), size = detail  # an array, or a sequence, for which the size is its bound
    if element is Nodetype.BASE and name[0] != "string":
        return np.zeros(size if node is Nodetype.ARRAY else 0, name[0])
    return [_zero((element, name)) for _ in range(size)] if node is Nodetype.ARRAY else []


def serialize(message: Any) -> bytes:
    """A message of the store as CDR."""
    return bytes(typestore().serialize_cdr(message, message.__msgtype__))


@cache
def definition(msgtype: str) -> str:
    """The whole definition of a type, with all it is made of, as files carry it (`ros2msg`)."""
    return typestore().generate_msgdef(msgtype, ros_version=2)[0]
