"""Set-up of the tests of the training package."""

import os

# MuJoCo reads this when it is imported, and a test that asks whether it is there imports it before the simulator does.
os.environ.setdefault("MUJOCO_GL", "osmesa")
