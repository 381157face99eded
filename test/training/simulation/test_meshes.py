"""Bodies: closed, outside out, standing on the table, of a believable size."""

from __future__ import annotations

import numpy as np
import pytest

from rsagent_training.simulation import meshes
from rsagent_training.simulation.catalogue import KINDS, SIZES
from rsagent_training.simulation.meshes import Mesh


def volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return float((a * np.cross(b, c)).sum() / 6.0)


def test_a_turned_half_circle_is_a_sphere() -> None:
    bend = np.linspace(-np.pi / 2, np.pi / 2, 65)
    ball = meshes.turned(np.column_stack([np.cos(bend), np.sin(bend)]), segments=96)
    assert volume(ball) == pytest.approx(4 / 3 * np.pi, rel=0.01)
    assert np.allclose(ball.normals, ball.vertices, atol=0.05)


def test_edges_of_a_turned_cylinder_stay_sharp() -> None:
    cylinder = meshes.turned([(0.0, 0.0), (1.0, 0.0), (1.0, 2.0), (0.0, 2.0)])
    assert volume(cylinder) == pytest.approx(2 * np.pi, rel=0.01)
    assert set(np.round(np.abs(cylinder.normals[:, 2]), 6)) == {0.0, 1.0}


def test_a_bent_tube_has_the_volume_of_its_path() -> None:
    angle = np.linspace(0.0, np.pi / 2, 60)
    path = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(60)])
    bend = meshes.tube(path, (0.1, 0.1), up=(0.0, 0.0, 1.0), sides=60)
    assert volume(bend) == pytest.approx(np.pi * 0.1**2 * np.pi / 2, rel=0.02)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_a_sound_body(kind: str) -> None:
    shape = KINDS[kind].build(np.random.default_rng(3))
    assert shape.vertices[:, 2].min() == pytest.approx(0.0, abs=1e-9)
    longest = np.ptp(shape.vertices, axis=0).max()
    assert 0.04 < longest < 0.36
    for part in shape.parts:
        corners = part.mesh.vertices[part.mesh.faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        agree = (across * part.mesh.normals[part.mesh.faces].mean(axis=1)).sum(axis=1)
        assert (agree > 0.0).mean() > 0.99, "faces and their normals point to different sides"
        assert np.allclose(np.linalg.norm(part.mesh.normals, axis=1), 1.0)


def test_there_are_enough_kinds_and_their_sizes_can_be_told_apart() -> None:
    wanted = {"mug", "bowl", "bottle", "can", "plate", "spoon", "book", "ball", "box", "cylinder", "cone", "banana"}
    assert wanted < set(KINDS)
    assert SIZES["medium"] / SIZES["small"] >= 1.4
    assert SIZES["large"] / SIZES["medium"] >= 1.4


@pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind].lies])
def test_what_lies_down_still_touches_the_table(kind: str) -> None:
    upright = KINDS[kind].build(np.random.default_rng(4))
    lying = upright.laid_down()
    assert lying.vertices[:, 2].min() == pytest.approx(0.0, abs=1e-9)
    assert np.ptp(lying.vertices[:, 0]) == pytest.approx(np.ptp(upright.vertices[:, 2]))
    assert sum(volume(part.mesh) for part in lying.parts) == pytest.approx(
        sum(volume(part.mesh) for part in upright.parts)
    )
