"""Old name of `rsagent_ros.ros.client.AsyncAgent`, kept for programs written before the client had its own package."""

import warnings

from rsagent_ros.ros.client import AsyncAgent

__all__ = ["AsyncAgent"]

warnings.warn(
    "rsagent_ros.ros.async_client is deprecated: import AsyncAgent from rsagent_ros.ros.client",
    DeprecationWarning,
    stacklevel=2,
)
