"""`rsagent models`: fetch weights beforehand, verify them again, or make tiny random ones."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.weights.catalogue import CATALOGUE, Published

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_commands(commands: Commands) -> None:
    """Add `models` to the subcommands of `rsagent`."""
    models = commands.add_parser("models", help="download, verify or make checkpoints", description=__doc__)
    actions = models.add_subparsers(title="actions", required=True, metavar="ACTION")

    fetch = actions.add_parser(
        "fetch",
        help="download weights and check their hashes",
        description="Download weights from the Hugging Face hub, each into a folder of its name, with a lock file "
        "of their hashes. Run it again after a failure: what is complete is kept. Nothing else in rsagent downloads.",
        epilog=_catalogue(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    fetch.add_argument(
        "names", nargs="+", type=_published, metavar="NAME", help="one of those below; NAME@REVISION for a fixed commit"
    )
    fetch.add_argument("--into", type=Path, default=Path("models"), metavar="DIR", help="default ./%(default)s")
    fetch.set_defaults(command=_fetch)

    verify = actions.add_parser("verify", help="check fetched weights against their lock files")
    verify.add_argument("folder", type=Path, metavar="DIR", help="a fetched folder, or the folder that holds them")
    verify.set_defaults(command=_verify)

    tiny = actions.add_parser(
        "tiny",
        help="make tiny random checkpoints",
        description="Make a tiny random checkpoint of each architecture, for tests and the dry run of a deployment: "
        "they load like real ones, run on any CPU in milliseconds, and answer nonsense.",
    )
    tiny.add_argument("folder", type=Path, metavar="DIR", help="each goes into a new folder in it")
    tiny.set_defaults(command=_tiny)


def _catalogue() -> str:
    rows = [
        f"  {name:24} {item.megabytes / 1000:5.1f} GB  {item.use}; {item.licence}{'; gated' * item.gated}"
        for name, item in CATALOGUE.items()
    ]
    gated = "gated: accept the licence on the repository's page, then run `hf auth login`, or set HF_TOKEN to a token"
    return "\n".join(["names:", *rows, "", gated])


def _published(text: str) -> tuple[str, Published]:
    """NAME or NAME@REVISION of the catalogue."""
    name, at, revision = text.partition("@")
    if name not in CATALOGUE or (at and not revision):
        raise argparse.ArgumentTypeError(f"there is no {text!r}; choose from {', '.join(CATALOGUE)}")
    return name, replace(CATALOGUE[name], revision=revision) if revision else CATALOGUE[name]


def _fetch(arguments: argparse.Namespace) -> int:
    try:
        from rsagent_ros.weights.fetch import fetch
    except ImportError as error:
        raise _needs_models(error) from error
    for name, published in arguments.names:
        fetch(name, published, arguments.into / name, _tell)
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from rsagent_ros.weights.lock import LOCK_NAME, locked_folders, verify

    folders = locked_folders(arguments.folder)
    if not folders:
        raise RunFailed(
            ErrorCode.MODEL_UNAVAILABLE,
            f"{arguments.folder} holds no {LOCK_NAME}; name a folder that `rsagent models fetch` made",
        )
    for folder in folders:
        lock = verify(folder)
        size = sum(file.size for file in lock.files.values())
        _tell(f"{folder}: {len(lock.files)} files, {size / 1e6:.1f} MB, as {lock.repo} had them at {lock.commit[:12]}")
    return 0


def _tiny(arguments: argparse.Namespace) -> int:
    try:
        from rsagent_ros.weights.tiny import save_tiny
        from rsagent_ros.weights.tiny_detectors import save_tiny_mm_grounding_dino, save_tiny_owlv2
        from rsagent_ros.weights.tiny_sam2 import (
            save_tiny_edgetam,
            save_tiny_sam2,
            save_tiny_sam2_video,
            save_tiny_sam3_tracker,
        )
        from rsagent_ros.weights.tiny_sam3 import save_tiny_sam3
    except ImportError as error:
        raise _needs_models(error) from error
    from transformers.utils.logging import disable_progress_bar

    from rsagent_ros.policies.family import FAMILIES

    disable_progress_bar()
    folder: Path = arguments.folder
    for family in FAMILIES:
        save_tiny(family, folder / family.model_type)
        _tell(f"{folder / family.model_type}: a policy, {family.name}")
    for name, save, use in (
        ("sam2", save_tiny_sam2, "a segmenter, SAM 2.1"),
        ("sam2_video", save_tiny_sam2_video, "a segmenter and a tracker, SAM 2.1 with its memory for video"),
        ("sam3_tracker", save_tiny_sam3_tracker, "a segmenter, the tracker of SAM 3"),
        ("sam3", save_tiny_sam3, "a segmenter that takes words, SAM 3"),
        ("mm_grounding_dino", save_tiny_mm_grounding_dino, "a finder for sam2, MM-Grounding-DINO"),
        ("owlv2", save_tiny_owlv2, "a finder for sam2, OWLv2"),
    ):
        save(folder / name)
        _tell(f"{folder / name}: {use}")
    try:
        save_tiny_edgetam(folder / "edgetam")
    except ImportError:
        _tell("no edgetam: its encoder needs timm and torchvision")
    else:
        _tell(f"{folder / 'edgetam'}: a segmenter, EdgeTAM")
    return 0


def _needs_models(error: ImportError) -> RunFailed:
    return RunFailed(
        ErrorCode.MODEL_UNAVAILABLE, f"{error.name} is not installed; in the checkout: pip install -e '.[models]'"
    )


def _tell(sentence: str) -> None:
    print(sentence, flush=True)
