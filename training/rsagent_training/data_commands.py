"""`rsagent collect`, `questions` and `synthesize`: flags, and nothing heavy until one of them runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.backends import add_arguments, chosen
from rsagent_ros.policies.chat_server import ChatServerConfig
from rsagent_ros.policies.family import FAMILIES, family_of
from rsagent_ros.yaml_file import read_yaml
from rsagent_training.command_line import with_exit_code

_NO_FAMILY = "default"


def add_collect(commands: Any) -> None:
    """Add `rsagent collect`."""
    parser = commands.add_parser(
        "collect",
        help="collect training scenes from records, datasets and the simulator",
        description="Scenes of a robot's records (only goals with a verdict), of the datasets that evaluation reads, "
        "and of the simulator.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="where the scenes go")
    parser.add_argument(
        "--records", type=Path, action="append", default=[], metavar="PATH", help="a robot's records; more than once"
    )
    parser.add_argument(
        "--dataset", action="append", default=[], metavar="KIND:PATH[:SPLIT]",
        help="a dataset of a kind that `rsagent evaluate` knows, such as refcocog:/data/refcocog:train; more than once",
    )  # fmt: skip
    parser.add_argument("--images", default="", metavar="DIR", help="COCO's train2014, for RefCOCO and its kin")
    parser.add_argument("--simulate", type=int, default=0, metavar="COUNT", help="scenes of the simulator")
    parser.add_argument("--vocabulary", choices=("plain", "full"), default="full", help="of the simulator's goals")
    parser.add_argument("--most", type=int, default=0, metavar="N", help="of the others at most, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of the draw, and of the first simulated world")
    parser.add_argument(
        "--exclude", type=Path, action="append", default=[], metavar="SCENES",
        help="a folder of scenes to whose pictures nothing may be alike, such as a test set's; more than once",
    )  # fmt: skip
    parser.add_argument("--place", default="", metavar="NAME", help="where the records were made, for `rsagent split`")
    parser.add_argument("--trajectories", type=Path, metavar="DIR", help="also the robot's own episodes, there")
    parser.add_argument("--config", type=Path, metavar="YAML", help="filters of --trajectories, as synthesize.yaml")
    parser.set_defaults(command=with_exit_code(_collect))


def add_split(commands: Any) -> None:
    """Add `rsagent split`."""
    parser = commands.add_parser(
        "split",
        help="share scenes out among training and tests",
        description="Share scenes out so that no two parts have alike pictures, or scenes of one bag, of one minute, "
        "or of one day at one place.",
    )
    parser.add_argument("folder", type=Path, metavar="SCENES", help="a folder of scenes")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the parts go")
    parser.add_argument(
        "--share", action="append", default=[], metavar="NAME=SHARE",
        help="a part, such as train=0.8; shares add up to 1 (default: train=0.8, val=0.1, test=0.1)",
    )  # fmt: skip
    parser.add_argument(
        "--by", choices=("day", "place", "record"), default="day",
        help="keep one day at one place together, or all of a place, or only alike pictures, bags and minutes "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the draw")
    parser.set_defaults(command=with_exit_code(_split))


def add_questions(commands: Any) -> None:
    """Add `rsagent questions`."""
    parser = commands.add_parser(
        "questions",
        help="have a model write implicit questions about scenes",
        description="A model behind a server writes implicit questions about the things in scenes. Kept are those that "
        "do not name their answer and that another model, the policy, solves sometimes but not always.",
    )
    parser.add_argument("scenes", type=Path, nargs="+", metavar="SCENES", help="folders of scenes")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the scenes with questions go")
    parser.add_argument("--writer", required=True, metavar="MODEL", help="who writes, as its server names it")
    parser.add_argument("--writer-url", default=ChatServerConfig.base_url, metavar="URL", help="(default: %(default)s)")
    parser.add_argument("--writer-key-file", default="", metavar="FILE", help="that holds the server's API key")
    parser.add_argument("--config", type=Path, metavar="YAML", help="as config/training/questions.yaml")
    _add_workers(parser)
    add_arguments(parser)
    parser.set_defaults(command=with_exit_code(_questions))


def add_synthesize(commands: Any) -> None:
    """Add `rsagent synthesize`."""
    parser = commands.add_parser(
        "synthesize",
        help="make training trajectories",
        description="A teacher runs the agent's episode on every scene; kept is what is right, good, short, worth "
        "learning and unlike the rest, in balance. A run that was killed goes on where it was.",
    )
    parser.add_argument("scenes", type=Path, nargs="+", metavar="SCENES", help="folders of scenes")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the trajectories go")
    parser.add_argument("--attempts", type=Path, metavar="DIR", help="where attempts are kept (default: OUT/attempts)")
    parser.add_argument("--config", type=Path, metavar="YAML", help="as config/training/synthesize.yaml")
    parser.add_argument(
        "--teacher", choices=("expert", "policy"), default="expert",
        help="the scripted expert that sees the truth, or the policy that --policy names (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--family", choices=[_NO_FAMILY, *(family.model_type for family in FAMILIES)], default=_NO_FAMILY,
        help="of the model that shall learn from the expert: its pictures and coordinates (default: 0..1000)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the expert (default: 0)")
    _add_workers(parser)
    add_arguments(parser)
    parser.set_defaults(command=with_exit_code(_synthesize))


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes, or actors on Ray (default: 1)")
    parser.add_argument("--ray", metavar="ADDRESS", help="of a Ray cluster: auto, local, or ray://HOST:PORT")


def _collect(arguments: argparse.Namespace) -> str:
    from rsagent_ros.datasets import Dataset, list_examples
    from rsagent_training import collect
    from rsagent_training.near_duplicates import SeenPictures
    from rsagent_training.scene_index import SceneIndex
    from rsagent_training.synthesis.config import SynthesisConfig

    if not (arguments.records or arguments.dataset or arguments.simulate > 0):
        raise ValueError("there is nothing to collect from; give --records, --dataset or --simulate")
    if arguments.trajectories and len(arguments.records) != 1:
        raise ValueError("--trajectories are of one place of records; give --records once")
    config = read_yaml(arguments.config, SynthesisConfig) if arguments.config else SynthesisConfig(balanced=False)
    datasets = [collect.dataset_of(text, arguments.images) for text in arguments.dataset]
    datasets += [Dataset("records", str(path)) for path in arguments.records]
    more = collect.simulated(arguments.simulate, arguments.seed, arguments.vocabulary) if arguments.simulate > 0 else ()
    listings = (one for dataset in datasets for one in list_examples(dataset))
    exclude = SeenPictures.of(map(SceneIndex, arguments.exclude)) if arguments.exclude else None
    filters = collect.collect(
        listings,
        arguments.folder,
        more=more,
        most=arguments.most,
        seed=arguments.seed,
        exclude=exclude,
        place=arguments.place,
    )
    if arguments.trajectories:
        scenes = SceneIndex(arguments.folder)
        collect.own_trajectories(arguments.records[0], scenes, arguments.trajectories, config)
    return f"{filters.left} scenes of {filters.entered}: {arguments.folder / 'report.md'}"


def _split(arguments: argparse.Namespace) -> str:
    from rsagent_training.split import split

    shares = {}
    for text in arguments.share or ("train=0.8", "val=0.1", "test=0.1"):
        name, sign, share = text.partition("=")
        if not sign or not name.isidentifier():
            raise ValueError(f"--share {text!r} must be NAME=SHARE, such as train=0.8")
        shares[name] = float(share)
    counts = split(arguments.folder, arguments.out, shares, by=arguments.by, seed=arguments.seed)
    return ", ".join(f"{count} scenes in {arguments.out / name}" for name, count in counts.items())


def _questions(arguments: argparse.Namespace) -> str:
    from rsagent_training.asking.config import QuestionsConfig
    from rsagent_training.asking.solver import SolverConfig
    from rsagent_training.asking.writer import WriterConfig
    from rsagent_training.questions import ask

    _check_workers(arguments)
    config = read_yaml(arguments.config, QuestionsConfig) if arguments.config else QuestionsConfig()
    server = ChatServerConfig(
        model=arguments.writer,
        base_url=arguments.writer_url,
        api_key_file=arguments.writer_key_file,
        family=config.writer_family,
        temperature=config.writer_temperature,
        seed=config.seed,
        constrained=False,  # JSON, not a tool call
    )
    data = ask(
        arguments.scenes, arguments.out, WriterConfig(server, config), SolverConfig(chosen(arguments), config),
        workers=arguments.workers, ray=arguments.ray,
    )  # fmt: skip
    counts = data["questions"]
    return f"{counts['left']} questions of {counts['entered']}: {arguments.out / 'report.md'}"


def _synthesize(arguments: argparse.Namespace) -> str:
    from rsagent_training.synthesis.attempt import TeacherConfig
    from rsagent_training.synthesis.config import SynthesisConfig
    from rsagent_training.synthesize import synthesize

    _check_workers(arguments)
    if arguments.seed < 0:
        raise ValueError(f"--seed is {arguments.seed}; it must be 0 or more")
    config = read_yaml(arguments.config, SynthesisConfig) if arguments.config else SynthesisConfig()
    side = arguments.view_side
    known = arguments.family != _NO_FAMILY
    pictures = family_of(arguments.family).pictures(side) if known else PictureFormat(side)
    teacher = TeacherConfig(arguments.teacher, chosen(arguments), pictures, arguments.seed, config)
    data = synthesize(
        arguments.scenes, arguments.out, teacher,
        attempts=arguments.attempts, workers=arguments.workers, ray=arguments.ray,
    )  # fmt: skip
    kept, made = data["kept"]["trajectories"], data["funnel"]["entered"]
    return f"{kept} trajectories of {made} attempts: {arguments.out / 'report.md'}"


def _check_workers(arguments: argparse.Namespace) -> None:
    if arguments.workers < 1:
        raise ValueError(f"--workers is {arguments.workers}; at least 1 is needed")
