"""A table-top world in MuJoCo, and its camera: colour, depth, and the exact mask of every thing.

Needs an OpenGL library: OSMesa, which takes no display (system package `libosmesa6`), unless the environment variable
`MUJOCO_GL` names another. It is read when this module is first imported.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from rsagent_ros.data.camera import PinholeCamera
from rsagent_training.simulation import textures
from rsagent_training.simulation.layout import Item, Vocabulary, arrange
from rsagent_training.simulation.meshes import Array, Mesh, block
from rsagent_training.simulation.room import TABLE_HEIGHT, TABLE_SIZE, Room, furnish

os.environ.setdefault("MUJOCO_GL", "osmesa")
try:
    import mujoco  # it reads MUJOCO_GL while it is imported
except (ImportError, AttributeError, RuntimeError) as error:
    raise ImportError(
        "the simulator needs MuJoCo (in the checkout: pip install -e '.[sim]') and an OpenGL library (on Debian and "
        f"Ubuntu: apt install libosmesa6); MUJOCO_GL is {os.environ['MUJOCO_GL']!r} and that failed: {error}"
    ) from error

_ROOM = (5.0, 2.4)


class Stream(IntEnum):
    """Independent streams of random numbers of one seed, so that a change in one does not reshuffle the others."""

    SETTING = 0
    THINGS = 1
    ROOM_PAINT = 2
    PAINT = 3
    NOISE = 4
    GOALS = 5


@dataclass(frozen=True)
class Rendering:
    """Image, depth and truth at one moment.

    Attributes:
        rgb: (H, W, 3) uint8.
        depth: (H, W) float32 metres along the optical axis; NaN where there is nothing.
        masks: For each thing by name, (H, W) bool: its visible pixels, none of them shared. All False when hidden.
        whole: For each thing by name, the pixels it would have inside this picture if nothing stood before it.
        camera: The pinhole.
        pose: (4, 4) transform from the optical frame to the world frame, metres.
        t: Seconds.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float32]
    masks: dict[str, NDArray[np.bool_]]
    whole: dict[str, int]
    camera: PinholeCamera
    pose: Array
    t: float


class World:
    """One seeded table top and its renderer; use it as a context manager, or call `close`.

    The same seed, vocabulary and size give the same bytes on the same machine. Not thread-safe: an OpenGL context
    belongs to the thread that made it.

    Attributes:
        seed: What everything is drawn from.
        vocabulary: As given.
        room: Room, light and camera.
        items: The things on the table, in the order they were put there.
    """

    def __init__(
        self,
        seed: int,
        *,
        vocabulary: Vocabulary = "full",
        size: tuple[int, int] = (640, 480),
        room: Room | None = None,
        items: Sequence[Item] | None = None,
    ) -> None:
        """Arranges the scene and opens a renderer.

        Args:
            seed: Not negative.
            vocabulary: "plain" has geometric things and drawings (household things are clutter); "full" has all kinds.
            size: (width, height) in pixels.
            room: A room of one's own instead of a drawn one.
            items: Things of one's own instead of drawn ones.

        Raises:
            ValueError: A seed below 0, or a size without pixels.
        """
        if seed < 0 or min(size) < 1:
            raise ValueError(f"seed {seed} must be 0 or more, size {size} must be positive")
        self.seed = seed
        self.vocabulary = vocabulary
        self.room = furnish(np.random.default_rng([seed, Stream.SETTING])) if room is None else room
        things = np.random.default_rng([seed, Stream.THINGS])
        self.items = arrange(self.room, vocabulary, things) if items is None else tuple(items)
        self._camera = self.room.view.camera(*size)
        self._model = self._spec().compile()
        self._data = mujoco.MjData(self._model)
        mujoco.mj_forward(self._model, self._data)
        self._options = mujoco.MjvOption()
        self._renderer = mujoco.Renderer(self._model, height=size[1], width=size[0])

    def __enter__(self) -> World:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the OpenGL context. Safe to call twice."""
        self._renderer.close()

    def render(self, t: float = 0.0, *, truth: bool = True) -> Rendering:
        """The picture at `t` seconds; t = 0 is the camera at rest.

        Takes 0.1 to 0.2 s at 640x480 on a CPU; a good third less without `truth`, when `masks` and `whole` are empty.
        """
        pose = self.room.view.pose(t)
        self._data.cam_xpos[0] = pose[:3, 3]
        # MuJoCo's camera looks along its -z, with y up; the optical frame has z forward and y down.
        self._data.cam_xmat[0] = (pose[:3, :3] @ np.diag([1.0, -1.0, -1.0])).ravel()
        self._renderer.update_scene(self._data, 0, self._options)
        clean = self._renderer.render()
        rng = np.random.default_rng([self.seed, Stream.NOISE, round(abs(t) * 1e6)])
        noise = self.room.noise * rng.standard_normal(clean.shape, dtype=np.float32)
        rgb = np.clip(np.rint(clean + noise), 0, 255).astype(np.uint8)
        self._renderer.enable_depth_rendering()
        depth = self._renderer.render()
        self._renderer.enable_segmentation_rendering()
        owners = self._owners()
        depth[owners < 0] = np.nan
        bodies = dict(enumerate(self.items, start=1)) if truth else {}
        masks = {item.name: owners == body for body, item in bodies.items()}
        whole = {item.name: self._alone(body) for body, item in bodies.items()}
        self._renderer.disable_segmentation_rendering()
        return Rendering(rgb, depth, masks, whole, self._camera, pose, t)

    def _owners(self) -> NDArray[np.int32]:
        """(H, W) body of every pixel: 0 the room, k the k-th item, -1 nothing."""
        geoms = self._renderer.render()[:, :, 0]
        return np.where(geoms >= 0, self._model.geom_bodyid[geoms], -1)

    def _alone(self, body: int) -> int:
        """Pixels of one body with everything else out of the way."""
        self._model.geom_group[:] = np.where(self._model.geom_bodyid == body, 0, 5)
        self._renderer.update_scene(self._data, 0, self._options)
        count = int(np.count_nonzero(self._owners() == body))
        self._model.geom_group[:] = 0
        return count

    def _spec(self) -> mujoco.MjSpec:
        """The scene in MuJoCo's own terms: the room in the world body, one body for each thing."""
        spec = mujoco.MjSpec()
        spec.visual.global_.offwidth, spec.visual.global_.offheight = self._camera.width, self._camera.height
        spec.visual.quality.offsamples = 4
        spec.visual.quality.shadowsize = 2048
        spec.visual.headlight.ambient = [self.room.ambient] * 3
        spec.visual.headlight.diffuse = [0.0] * 3
        spec.visual.headlight.specular = [0.0] * 3
        spec.stat.extent, spec.visual.map.znear, spec.visual.map.zfar = 1.0, 0.05, 20.0
        spec.worldbody.add_camera(name="camera", fovy=self.room.view.field_of_view)
        self._add_lamps(spec)
        self._add_room(spec)
        rng = np.random.default_rng([self.seed, Stream.PAINT])
        for item in self.items:
            self._add_item(spec, item, rng)
        return spec

    def _add_lamps(self, spec: mujoco.MjSpec) -> None:
        for lamp in self.room.lamps:
            spec.worldbody.add_light(
                pos=lamp.position,
                dir=-np.asarray(lamp.position) / np.linalg.norm(lamp.position),
                type=mujoco.mjtLightType.mjLIGHT_SPOT,
                diffuse=lamp.strength,
                specular=[0.5 * share for share in lamp.strength],
                castshadow=lamp.shadow,
                cutoff=85.0,
                exponent=0.0,
            )

    def _add_room(self, spec: mujoco.MjSpec) -> None:
        rng = np.random.default_rng([self.seed, Stream.ROOM_PAINT])
        width, height = _ROOM
        table = block(TABLE_SIZE).moved((0.0, 0.0, -TABLE_SIZE[2]))
        floor = block((2 * width, 2 * width, 0.02)).moved((0.0, 0.0, -TABLE_HEIGHT - 0.02))
        wall = block((2 * width, 0.02, height)).moved((0.0, 1.5, -TABLE_HEIGHT))
        for name, mesh, surface in (
            ("table", table, self.room.table),
            ("floor", floor, self.room.floor),
            ("wall", wall, self.room.wall),
        ):
            _add_texture(spec, name, surface.paint(*surface.tones, rng))
            material = spec.add_material(name=name, specular=0.1, shininess=0.2)
            material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
            _add_geom(spec, spec.worldbody, name, mesh.tiled(surface.repeat))

    def _add_item(self, spec: mujoco.MjSpec, item: Item, rng: np.random.Generator) -> None:
        half = item.yaw / 2.0
        body = spec.worldbody.add_body(name=item.name, pos=item.position, quat=[np.cos(half), 0.0, 0.0, np.sin(half)])
        shine = float(rng.uniform(0.05, 0.45))
        for number, part in enumerate(item.shape.parts):
            name = f"{item.name}/{number}"
            material = spec.add_material(
                name=name, specular=shine, shininess=0.5, rgba=[*(part.colour or item.tones[0]), 1.0]
            )
            if part.colour is None and item.pattern != "plain":
                _add_texture(spec, name, textures.pattern(item.pattern, *item.tones, rng))
                material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
                material.rgba = [1.0] * 4
            _add_geom(spec, body, name, part.mesh)


def _add_texture(spec: mujoco.MjSpec, name: str, picture: textures.Texture) -> None:
    texture = spec.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, nchannel=3)
    texture.height, texture.width = picture.shape[:2]
    texture.data = picture.tobytes()


def _add_geom(spec: mujoco.MjSpec, body: mujoco.MjsBody, name: str, mesh: Mesh) -> None:
    """A mesh and its geom, both called `name`, as the material is."""
    spec.add_mesh(
        name=name,
        uservert=mesh.vertices.ravel(),
        usernormal=mesh.normals.ravel(),
        usertexcoord=mesh.uv.ravel(),
        userface=mesh.faces.ravel(),
        # A shell has an inertia whatever its volume; nothing moves here, but the compiler wants one.
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
    )
    body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_MESH, meshname=name, material=name, contype=0, conaffinity=0)
