"""Python's logging on its way to the node's logger, and so to the console and `/rosout`, tracebacks included."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from rclpy.impl.rcutils_logger import RcutilsLogger

LOGGER = "rsagent_ros"
"""The package's loggers are below this one."""


class RosHandler(logging.Handler):
    """Passes records on to a node's logger, which keeps its own level."""

    def __init__(self, log: RcutilsLogger) -> None:
        """Pass on to that logger."""
        super().__init__()
        self._log = log
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record, its traceback on the lines below."""
        try:
            line = self.format(record)
        except Exception:  # a message that does not fit its arguments must not end the thread that logs it
            self.handleError(record)
            return
        if record.levelno >= logging.CRITICAL:  # a line of code each: rclpy's logger allows one severity per line
            self._log.fatal(line)
        elif record.levelno >= logging.ERROR:
            self._log.error(line)
        elif record.levelno >= logging.WARNING:
            self._log.warning(line)
        elif record.levelno >= logging.INFO:
            self._log.info(line)
        else:
            self._log.debug(line)


@contextmanager
def bridged(log: RcutilsLogger) -> Iterator[None]:
    """Pass on what the package logs within the block."""
    logger, handler = logging.getLogger(LOGGER), RosHandler(log)
    level = logger.level
    logger.setLevel(int(log.get_effective_level()))  # ROS and Python count levels alike
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
