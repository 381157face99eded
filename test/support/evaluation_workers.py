"""What worker processes of the tests load: Ray pickles these by their names in this module."""

from __future__ import annotations

import os
from pathlib import Path

from evaluation_cases import fake_models
from fakes import FINISH, SEGMENT, FakeConversation, FakePolicy, Slow

from rsagent_ros.agent.budget import CancelToken
from rsagent_ros.agent.chat import Message
from rsagent_ros.agent.policy import Reply, ReplyLimits
from rsagent_ros.backends import Models


class DyingPolicy(FakePolicy):
    """Ends its process when the episode with that number of a file begins, so often in all."""

    def __init__(self, notes: Path, at: int, deaths: int) -> None:
        super().__init__(count_tokens=True, remember=False)
        self.notes, self.at, self.deaths = notes, at, deaths
        self.begun = 0

    def open(self) -> FakeConversation:
        self.begun += 1
        if self.begun == self.at and len(list(self.notes.iterdir())) < self.deaths:
            (self.notes / f"{os.getpid()}").touch()
            os._exit(1)
        return super().open()


class OpenFakes:
    """Opens fakes, and notes in which process it did."""

    def __init__(self, notes: Path) -> None:
        self.notes = notes

    def __call__(self) -> Models:
        (self.notes / f"{os.getpid()}-{len(list(self.notes.iterdir()))}").touch()
        return fake_models()


class OpenDying:
    """Opens a policy that dies."""

    def __init__(self, notes: Path, at: int, deaths: int) -> None:
        self.notes, self.at, self.deaths = notes, at, deaths

    def __call__(self) -> Models:
        return fake_models(DyingPolicy(self.notes, self.at, self.deaths))


class KillingPolicy(FakePolicy):
    """Ends its process when it is asked for one thing; other answers take long enough to be under way beside it."""

    def __init__(self, thing: str) -> None:
        super().__init__((Slow(0.3, SEGMENT), FINISH), remember=False)
        self.thing = thing

    def open(self) -> FakeConversation:
        super().open()
        return KillingConversation(self, [])


class KillingConversation(FakeConversation):
    """Looks for the thing before it replies."""

    _policy: KillingPolicy

    def reply(self, new_messages: list[Message], *, limits: ReplyLimits, cancel: CancelToken) -> Reply:
        if any(self._policy.thing in message.text for message in new_messages):
            os._exit(1)
        return super().reply(new_messages, limits=limits, cancel=cancel)


class OpenKilling:
    """Opens a policy that dies whenever it is asked for one thing."""

    def __init__(self, thing: str) -> None:
        self.thing = thing

    def __call__(self) -> Models:
        return fake_models(KillingPolicy(self.thing))


def cannot_load() -> Models:
    """Fails as a missing checkpoint does."""
    raise FileNotFoundError("no checkpoint here")
