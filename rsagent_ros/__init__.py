"""A robot looks for what it is told in words: an agent thinks, segments, corrects itself, and ends with a checked mask.

The agent is in `agent/`, policies in `policies/`, segmentation models in `segmenters/`; only `ros/` knows ROS.
"""

from pathlib import Path
from pkgutil import extend_path

__version__ = "0.1.0"

# Sources and generated messages share this package's name, but not always a folder. The sources come first, looked up
# through the links of a symlinked install, so that a new module works before the next build. The messages are found on
# PYTHONPATH.
__path__ = extend_path([str(Path(__file__).resolve().parent)], __name__)
