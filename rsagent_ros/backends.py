"""The policies and segmenters there are, by the name that parameters and flags use. Imported only when chosen.

To use them:

    with open_models(Choice(policy="local", settings={"local.checkpoint": "/models/qwen"})) as models:
        drive(Episode(frame, "the red mug", models.segmenter, pictures=models.policy.pictures), models.policy)

`add_arguments` and `chosen` do the same for a command line.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, fields, replace
from types import TracebackType
from typing import Any, TypeVar

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.agent.policy import Policy
from rsagent_ros.agent.segmenter import Segmenter, tools_with
from rsagent_ros.policies.chat_server import ChatServerConfig, open_chat_server
from rsagent_ros.policies.fallback import FallbackPolicy
from rsagent_ros.policies.local import LocalConfig, load_local_policy
from rsagent_ros.segmenters.sam2_config import Sam2Config
from rsagent_ros.segmenters.sam3_config import Sam3Config
from rsagent_ros.settings import Setting, settings_of
from rsagent_ros.trackers.tracker import Tracker

POLICIES = ("chat_server", "local", "reference")
SEGMENTERS = ("classical", "sam2", "sam3")
NO_FALLBACK = ""
MIN_SIDE, MAX_SIDE = 64, 4096
"""Range of `view_side`, pixels."""

CONFIGS: dict[str, type[Any]] = {
    "local": LocalConfig,
    "chat_server": ChatServerConfig,
    "sam2": Sam2Config,
    "sam3": Sam3Config,
}
"""Settings of a backend; the others have none."""

SETTINGS: dict[str, Setting] = {
    f"{name}.{key}": known for name, config in CONFIGS.items() for key, known in settings_of(config).items()
}
"""Settings of all backends, by names such as `local.checkpoint`."""

DEFAULTS: dict[str, Any] = {
    f"{name}.{part.name}": part.default
    for name, config in CONFIGS.items()
    for part in fields(config)
    if f"{name}.{part.name}" in SETTINGS
}

Config = TypeVar("Config")


@dataclass(frozen=True)
class Choice:
    """Policy, segmenter, and their settings.

    Attributes:
        policy, segmenter: One of POLICIES, one of SEGMENTERS.
        fallback_policy: The policy while the chat server is lost; empty for none.
        view_side: Longest side of the clean pictures in the chat, pixels.
        settings: Values by the names of SETTINGS; those left out are at their defaults.

    Raises:
        ValueError: A name that does not exist, a value out of its range, or a fallback for what is no server.
    """

    policy: str = "reference"
    segmenter: str = "classical"
    fallback_policy: str = NO_FALLBACK
    view_side: int = 768
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, name, known in (
            ("policy", self.policy, POLICIES),
            ("segmenter", self.segmenter, SEGMENTERS),
            ("fallback_policy", self.fallback_policy, (NO_FALLBACK, *POLICIES)),
        ):
            if name not in known:
                raise ValueError(f"there is no {kind} {name!r}; choose one of {', '.join(filter(None, known))}")
        if self.fallback_policy and (self.policy != "chat_server" or self.fallback_policy == self.policy):
            raise ValueError(
                f"fallback_policy is {self.fallback_policy!r} and policy is {self.policy!r}: a fallback stands in for "
                "chat_server, and is another policy"
            )
        if not MIN_SIDE <= self.view_side <= MAX_SIDE:
            raise ValueError(f"view_side is {self.view_side}; allowed: {MIN_SIDE} to {MAX_SIDE} pixels")
        for name, value in self.settings.items():
            if name not in SETTINGS:
                raise ValueError(f"there is no setting {name!r}; docs/parameters.md lists them")
            if not SETTINGS[name].allows(value):
                raise ValueError(f"{name} is {value!r}; allowed: {SETTINGS[name].limits}")

    def config(self, kind: type[Config], name: str, **more: Any) -> Config:
        """The settings of one backend.

        Raises:
            RunFailed: MODEL_UNAVAILABLE: they contradict each other; the message names them.
        """
        prefix = f"{name}."
        values = {key.removeprefix(prefix): value for key, value in self.settings.items() if key.startswith(prefix)}
        try:
            return kind(**values, **more)
        except ValueError as error:
            raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, f"{prefix}{error}") from error


class Models:
    """A policy, a segmenter and a tracker, loaded. A context manager: `close` lets go of connections.

    Attributes:
        policy, segmenter: These.
        tracker: Follows what was found; None where nothing is followed.
    """

    def __init__(self, policy: Policy, segmenter: Segmenter[Any], closing: ExitStack | None = None) -> None:
        self.policy = policy
        self.segmenter = segmenter
        self.tracker: Tracker | None = None
        self._closing = ExitStack() if closing is None else closing

    @property
    def lost(self) -> str:
        """The reason why the fallback stands in for the policy; empty as long as it does not."""
        return self.policy.status.reason if isinstance(self.policy, FallbackPolicy) else ""

    def close(self) -> None:
        """Close what was opened; replies under way are broken off. Blocks for about a second at most."""
        self._closing.close()

    def __enter__(self) -> Models:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def open_models(choice: Choice) -> Models:
    """Load policy and segmenter, and hold what is set against what is there. Blocks while they load.

    Raises:
        RunFailed: A model can't be used; one sentence that says what to do. OUT_OF_MEMORY.
    """
    # The hub's client reads it when it is imported: nothing is ever downloaded at a start.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    with ExitStack() as opened:
        segmenter = _segmenter(choice)
        policy = _policy(choice, segmenter, opened)
        return Models(policy, segmenter, opened.pop_all())


def _policy(choice: Choice, segmenter: Segmenter[Any], opened: ExitStack) -> Policy:
    if choice.policy != "chat_server":
        return _in_process(choice.policy, choice, PictureFormat(choice.view_side))
    config = choice.config(ChatServerConfig, "chat_server", side=choice.view_side)
    # The server's check compiles the grammar of these tools, so that no goal has to wait for it.
    tools = ",".join(tools_with(segmenter, config.pictures.tools))
    primary = open_chat_server(replace(config, tools=tools))
    opened.callback(primary.close)
    if choice.fallback_policy == NO_FALLBACK:
        primary.check()
        return primary
    fallback = _in_process(choice.fallback_policy, choice, primary.pictures)
    try:
        both = FallbackPolicy(primary, fallback, primary.check)
    except ValueError as error:
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, f"fallback_policy: {error}") from error
    opened.callback(both.close)
    return both


def _in_process(name: str, choice: Choice, pictures: PictureFormat) -> Policy:
    """A policy of this process; `pictures` for those that take any."""
    if name == "local":
        return load_local_policy(choice.config(LocalConfig, "local", side=choice.view_side))
    from rsagent_ros.baseline.policy import ReferencePolicy

    return ReferencePolicy(pictures)


def _segmenter(choice: Choice) -> Segmenter[Any]:
    if choice.segmenter == "classical":
        from rsagent_ros.baseline.segmenter import ClassicalSegmenter

        return ClassicalSegmenter()
    try:
        return _sam2(choice) if choice.segmenter == "sam2" else _sam3(choice)
    except ImportError as error:
        needed = f"the segmenter {choice.segmenter} needs torch and transformers ({error})"
        sentence = f"{needed}; in the checkout: pip install -e '.[models]'"
        raise RunFailed(ErrorCode.MODEL_UNAVAILABLE, sentence) from error


def _sam2(choice: Choice) -> Segmenter[Any]:
    config = choice.config(Sam2Config, "sam2")
    from rsagent_ros.segmenters.sam2 import open_sam2
    from rsagent_ros.segmenters.sam2_finder import open_sam2_finder

    segmenter = open_sam2_finder(config) if config.finder else open_sam2(config)
    segmenter.warm_up()
    return segmenter


def _sam3(choice: Choice) -> Segmenter[Any]:
    config = choice.config(Sam3Config, "sam3")
    from rsagent_ros.segmenters.sam3 import open_sam3

    segmenter = open_sam3(config)
    segmenter.warm_up()
    return segmenter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags for everything in a Choice; `chosen` reads them."""
    parser.add_argument(
        "--policy", choices=POLICIES, default=Choice.policy, help="chooses the tool calls (%(default)s)"
    )
    parser.add_argument(
        "--segmenter", choices=SEGMENTERS, default=Choice.segmenter, help="draws the masks (%(default)s)"
    )
    parser.add_argument(
        "--fallback-policy", choices=POLICIES, default=NO_FALLBACK, help="the policy while the chat server is lost"
    )
    parser.add_argument(
        "--view-side", type=int, default=Choice.view_side, metavar="PIXELS", help="of the pictures (%(default)s)"
    )
    groups = {name: parser.add_argument_group(f"settings of {name}") for name in CONFIGS}
    for name, known in SETTINGS.items():
        kind: Callable[[str], Any] = type(DEFAULTS[name])
        options: dict[str, Any] = {"action": argparse.BooleanOptionalAction} if kind is bool else {"type": kind}
        if kind is not bool:
            options["metavar"] = "|".join(known.choices) or kind.__name__.upper()
        help_text = (known.meaning + (f" [{known.unit}]" if known.unit else "")).replace("%", "%%")
        group = groups[name.partition(".")[0]]
        group.add_argument(f"--{name}", default=argparse.SUPPRESS, help=f"{help_text} ({DEFAULTS[name]!r})", **options)


def chosen(arguments: argparse.Namespace) -> Choice:
    """The Choice of flags that `add_arguments` added.

    Raises:
        ValueError: They contradict each other.
    """
    given = vars(arguments)
    settings = {name: given[name] for name in SETTINGS if name in given}
    return Choice(arguments.policy, arguments.segmenter, arguments.fallback_policy, arguments.view_side, settings)
