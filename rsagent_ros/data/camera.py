"""Pinhole camera: how metres in front of it become pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PinholeCamera:
    """A pinhole camera without distortion, in pixels; optical frame (x right, y down, z forward)."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
