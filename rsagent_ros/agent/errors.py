"""The three levels of failure inside an episode.

`ReplyError`: the policy said something that can't be done; it is told, and spends a turn.
`ToolFailed`: the call was valid but the tool has nothing to give; the policy sees it and adapts.
`RunFailed`: nothing sensible can follow; the goal ends as FAILED with an error code.
"""

from __future__ import annotations

import traceback

from rsagent_ros.agent.outcome import ErrorCode


def plain(text: str) -> str:
    """A text that messages and files can hold: what UTF-8 has no form for, half of a surrogate pair, becomes "?"."""
    return text.encode("utf-8", "replace").decode()


def describe(error: BaseException) -> str:
    """Type and message of an error from anywhere on one line, at most 500 characters, even where `str` of it fails."""
    return plain(" ".join(traceback.format_exception_only(error)[0].split())[:500])


class ReplyError(Exception):
    """A reply that is not one valid tool call. Raised before any state changes.

    Attributes:
        code: Short stable name of the mistake, such as `no_call` or `out_of_range`.
        message: One sentence for the policy: what is wrong, and what would be right.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = plain(message)


class ToolFailed(Exception):
    """A valid call that had no usable effect, such as a prompt on which nothing was segmented.

    Attributes:
        code: Short stable name, such as `empty_mask`.
        message: One sentence for the policy.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = plain(message)


class RunFailed(Exception):
    """The goal can't go on. Policies and segmenters raise it; it becomes the result's error code and sentence.

    Attributes:
        code: Error code of the result, equal to the constant in `msg/Result.msg`.
        message: One sentence for the user: what, where, and what to do.
    """

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(f"{code.name}: {message}")
        self.code = code
        self.message = plain(message)

    def __reduce__(self) -> tuple[type[RunFailed], tuple[ErrorCode, str]]:
        """Pickled with both: a failure in another process is read with them."""
        return type(self), (self.code, self.message)
