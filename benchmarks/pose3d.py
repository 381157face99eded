"""Accuracy of the pose of an object. Simulated table tops through the model of a real depth camera.

    python benchmarks/pose3d.py [--seeds A:B]

Two errors, both distances in space: of the mean of the visible surface, against that of the true depth over the true
mask; and of the centre of the box, against the middle of the object's own bounding box, most of which the camera does
not see. Three cameras: exact depth; a time-of-flight camera and an active stereo camera as `seen_by` models them.
Objects of 300 pixels or more, 60 % of them visible, at 0.5 to 1.4 m; errors are given per metre of depth. Seeds 0:200
are held out. The process is held to one CPU core.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from dataclasses import dataclass
from importlib.util import find_spec

import cv2
import numpy as np
from entry import Entry, at_most, not_here, reported
from numpy.typing import NDArray

from rsagent_ros.agent.mask import area
from rsagent_ros.data.camera import PinholeCamera
from rsagent_ros.images import depth_in_metres
from rsagent_ros.pose3d import NoPose, Pose3d, estimate_pose

HELD_OUT = range(120, 136)
LIMIT_CM = 1.0
LIMIT_MS = 5.0
LEAST_PIXELS = 300
LEAST_VISIBLE = 0.6


@dataclass(frozen=True)
class Sensor:
    """Noise model of a depth camera.

    Attributes:
        name: For the table.
        noise: Standard deviation in metres at one metre; it grows with the square of the depth.
        smear: Pixels over which edges are averaged (odd); 1 for none.
        holes: Share of the picture without depth, in blotches of about 8 pixels.
        step: Metres to which depth is rounded.
    """

    name: str
    noise: float
    smear: int
    holes: float
    step: float


SENSORS = (
    Sensor("exact", 0.0, 1, 0.0, 0.0),
    Sensor("time of flight", 0.001, 3, 0.10, 0.001),
    Sensor("active stereo", 0.002, 7, 0.25, 0.001),
)


@dataclass(frozen=True)
class Error:
    """Errors of one object in metres, the sigma that was claimed, and the time it took."""

    surface: float
    centre: float
    std: float
    depth: float
    milliseconds: float


def run() -> list[Entry]:
    """Measure; about a minute."""
    if find_spec("mujoco") is None:
        return [not_here("pose3d", "needs MuJoCo: pip install -e '.[sim]'")]
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:1])
    try:
        return measured(HELD_OUT)
    finally:
        os.sched_setaffinity(0, allowed)


def measured(seeds: range) -> list[Entry]:
    """The entries for these worlds."""
    errors: dict[str, list[Error]] = {sensor.name: [] for sensor in SENSORS}
    refused = dict.fromkeys(errors, 0)
    for seed in seeds:
        for sensor in SENSORS:
            for error in _errors(seed, sensor):
                if error is None:
                    refused[sensor.name] += 1
                else:
                    errors[sensor.name].append(error)
    entries = []
    for name, found in errors.items():
        surface = [error.surface / error.depth * 100 for error in found]
        centre = [error.centre / error.depth * 100 for error in found]
        claimed = np.mean([error.surface < 2 * error.std for error in found])
        note = (
            f"{len(found)} objects, {refused[name]} refused; p90 {np.percentile(surface, 90):.2f}; "
            f"{claimed:.0%} within two of the claimed sigmas"
        )
        entries.append(
            at_most(f"pose: visible surface, {name}, median at 1 m", statistics.median(surface), "cm", LIMIT_CM, note)
        )
        note = f"p90 {np.percentile(centre, 90):.2f}; unseen parts are not extrapolated"
        entries.append(reported(f"centre of the box, {name}, median at 1 m", statistics.median(centre), "cm", note))
    spent = [error.milliseconds for found in errors.values() for error in found]
    note = f"p95 {np.percentile(spent, 95):.1f}; plane, box and up to 20,000 points"
    entries.append(
        at_most("pose from a 640x480 mask and depth, median", statistics.median(spent), "ms", LIMIT_MS, note)
    )
    return entries


def _errors(seed: int, sensor: Sensor) -> list[Error | None]:
    """Errors of every object of a world; None for one that was refused."""
    from rsagent_training.simulate import World

    rng = np.random.default_rng([seed, 77])
    found: list[Error | None] = []
    with World(seed) as world:
        frame = world.render()
        depth = seen_by(sensor, frame.depth, rng)
        for item in world.items:
            mask = frame.masks[item.name]
            if area(mask) < max(LEAST_PIXELS, LEAST_VISIBLE * frame.whole[item.name]):
                continue
            before = time.perf_counter()
            pose: Pose3d | NoPose = estimate_pose(mask, depth, frame.camera, frame.rgb)
            spent = (time.perf_counter() - before) * 1000
            if isinstance(pose, NoPose):
                found.append(None)
                continue
            surface = _surface(mask, frame.depth, frame.camera)
            corners = item.vertices.min(axis=0), item.vertices.max(axis=0)
            centre = ((corners[0] + corners[1]) / 2 - frame.pose[:3, 3]) @ frame.pose[:3, :3]
            found.append(
                Error(
                    float(np.linalg.norm(pose.surface - surface)),
                    float(np.linalg.norm(pose.position - centre)),
                    pose.std,
                    float(surface[2]),
                    spent,
                )
            )
    return found


def seen_by(sensor: Sensor, depth: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """True depth as a camera would give it: (H, W) metres, through 16UC1 where it rounds."""
    seen = depth + sensor.noise * depth**2 * rng.standard_normal(depth.shape).astype(np.float32)
    if sensor.smear > 1:
        kernel = np.ones((3, 3), np.uint8)
        known = np.nan_to_num(seen, nan=5.0)
        edges = cv2.dilate(known, kernel) - cv2.erode(known, kernel) > 0.02
        seen = np.where(edges, cv2.blur(known, (sensor.smear, sensor.smear)), seen)
    if sensor.holes > 0:
        blotches = rng.random((depth.shape[0] // 8, depth.shape[1] // 8)).astype(np.float32)
        seen[cv2.resize(blotches, depth.shape[::-1], interpolation=cv2.INTER_CUBIC) > 1 - sensor.holes] = np.nan
    if sensor.step == 0:
        return seen.astype(np.float32)
    millimetres = np.nan_to_num(np.rint(seen / sensor.step) * sensor.step * 1000, nan=0.0)
    return depth_in_metres(np.clip(millimetres, 0, 65535).astype(np.uint16), "16UC1")


def _surface(mask: NDArray[np.bool_], depth: NDArray[np.float32], camera: PinholeCamera) -> NDArray[np.float64]:
    """Mean of the true visible surface."""
    rows, columns = np.nonzero(mask)
    z = depth[rows, columns].astype(np.float64)
    x, y = (columns - camera.cx) / camera.fx * z, (rows - camera.cy) / camera.fy * z
    return np.stack([x, y, z], axis=1).mean(axis=0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", default="120:136", help="A:B (default: %(default)s)")
    first, _, end = parser.parse_args().seeds.partition(":")
    for entry in measured(range(int(first), int(end))):
        print(entry)
