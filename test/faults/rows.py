"""All rows of the matrix, in the order of the table."""

from __future__ import annotations

from faults import camera, disk, goals, models, process, server

KINDS = {
    "Models": models.ROWS,
    "Camera and depth": camera.ROWS,
    "Goals": goals.ROWS,
    "Disk": disk.ROWS,
    "Model server": server.ROWS,
    "Clocks": camera.CLOCK_ROWS,
    "Process": process.ROWS,
}
ROWS = tuple(row for rows in KINDS.values() for row in rows)
