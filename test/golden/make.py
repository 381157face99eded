"""Writes this folder by the product's own commands; README.md says what each item is.

    source environment/activate && python test/golden/make.py OUT

It ran once, at the commit that README.md names, and is kept to show how the files came about. It calls what was there
then: later commits need not be able to run it, they must only read what it wrote.

Some files hold absolute paths, such as a journal its scenes; all of those begin with WORK, so that a reader can put
another folder in its place.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "test")]

from demo_process import Process  # noqa: E402
from fake_hub import FakeHub  # noqa: E402
from rsagent_ros.agent.scene import Scene, load_scenes  # noqa: E402
from rsagent_ros.models.catalogue import Published  # noqa: E402
from rsagent_ros.models.fetch import fetch  # noqa: E402
from rsagent_ros.models.tiny import save_tiny  # noqa: E402
from rsagent_ros.shadow.contest import Contest  # noqa: E402

from rsagent_ros.agent.budget import Budget, CancelToken  # noqa: E402
from rsagent_ros.confidence import load as load_calibration  # noqa: E402
from rsagent_ros.policies.family import QWEN2_5_VL  # noqa: E402
from rsagent_ros.ros.client import Agent, Answer  # noqa: E402
from rsagent_ros.shadow.candidate import read_candidate  # noqa: E402
from rsagent_ros.shadow.promotion import read_promotions, write_promotions  # noqa: E402

WORK = Path("/tmp/rsagent-golden")
SIZE = (96, 72)
BUDGET = "600"
START_SECONDS = 60.0
REMAPS = [word for name in ("image", "camera_info", "depth") for word in ("-r", f"{name}:=/camera/{name}")]
RIGHT = 0.7
"""IoU from which on the operator accepts a mask as it is; pictures of this size allow no more."""


def main(out: Path) -> None:
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    os.chdir(WORK)
    configurations()
    robot()
    one_picture()
    evaluations()
    predictions()
    calibrations()
    shadow()
    training_data()
    training()
    miniature()
    weights()
    (WORK / "expected.json").write_text(json.dumps(expected(), indent=1) + "\n", encoding="utf-8")
    for name in ("logs", "tiny", "harder"):
        shutil.rmtree(WORK / name, ignore_errors=True)
    shutil.copytree(WORK, out, dirs_exist_ok=True)


def rsagent(*words: str | Path, codes: tuple[int, ...] = (0,)) -> None:
    print("rsagent", *words, flush=True)
    done = subprocess.run([sys.executable, "-m", "rsagent_ros.cli", *map(str, words)], check=False)
    if done.returncode not in codes:
        raise SystemExit(f"exit code {done.returncode}")


def configurations() -> None:
    """What users write."""
    (WORK / "config").mkdir()
    shutil.copy(ROOT / "config" / "agent.yaml", WORK / "config")
    shutil.copytree(ROOT / "config" / "serve", WORK / "config" / "serve")
    (WORK / "config" / "candidate.yaml").write_text("policy: reference\nsegmenter: classical\nview_side: 768\n")
    (WORK / "config" / "incumbent.yaml").write_text("policy: reference\nsegmenter: classical\nview_side: 64\n")


def robot() -> None:
    """Records, a bag and the truth, over ROS 2: the demo's table through a small camera."""
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    logs = WORK / "logs"
    logs.mkdir()
    with ExitStack() as camera:
        camera.enter_context(Process("camera", [
            str(ROOT / "examples" / "sim_camera.py"), "--ros-args", "-p", f"width:={SIZE[0]}", "-p",
            f"height:={SIZE[1]}", "-p", "fps:=1.0", "-p", f"truth_dir:={WORK / 'scenes'}",
        ], logs))  # fmt: skip
        scenes = wait_for_scenes()
        with ExitStack() as stack:
            bag = stack.enter_context(ExitStack())
            agent = start_agent(stack, "records")
            topics = [f"/camera/{name}" for name in ("image", "camera_info", "depth")]
            topics += [f"/agent/{name}" for name in ("goal", "result", "verdict")]
            words = [str(ROOT / "examples" / "record_bag.py"), str(WORK / "bag")]
            words += [word for topic in topics for word in ("--topic", topic)]
            bag.enter_context(Process("bag", words, logs))
            time.sleep(4.0)  # it looks for new topics every now and then, and the camera shows one picture a second
            ask(agent, "golden-found", scenes[0])
            ask(agent, "golden-absent", scenes[2])
            time.sleep(0.5)
            bag.close()
            ask(agent, "golden-relation", scenes[1])
            question = ask(agent, "golden-ambiguous", scenes[5])
            ask(agent, "golden-follow-up", scenes[6], follows=question.goal_id)
            ask(agent, "golden-gave-up", scenes[4], max_turns=1)
        with ExitStack() as stack:
            agent = start_agent(stack, "records", "-p", "second_look:=true")
            ask(agent, "golden-second-look", scenes[3])
        with ExitStack() as stack:
            agent = start_agent(stack, "redacted", "-p", "record_redaction:=surroundings")
            ask(agent, "golden-redacted", scenes[0])


def start_agent(stack: ExitStack, records: str, *words: str) -> Agent:
    node = ["-m", "rsagent_ros.ros.program", "--ros-args", "--params-file", str(ROOT / "config" / "agent.yaml")]
    node += ["-p", f"record_dir:={WORK / records}", *words, *REMAPS]
    stack.enter_context(Process("agent", node, WORK / "logs"))
    agent = stack.enter_context(Agent(wait=START_SECONDS))
    agent.wait_until_active(START_SECONDS)
    return agent


def ask(agent: Agent, goal_id: str, scene: Scene, follows: str = "", max_turns: int = 0) -> Answer:
    """Send one goal, and say what is true."""
    answer = agent.segment(
        scene.instruction, goal_id=goal_id, follows=follows, max_turns=max_turns, time_budget=60.0, timeout=120.0
    )
    print(f"{goal_id}: {scene.instruction!r}: {answer.outcome}", flush=True)
    truth = np.logical_or.reduce(scene.masks) if scene.masks else None
    right = answer.outcome == scene.expected
    if right and truth is not None and answer.mask is not None:
        right = bool((answer.mask & truth).sum() / (answer.mask | truth).sum() >= RIGHT)
    mask = None if right or truth is None else np.asarray(truth, dtype=np.bool_)
    agent.judge(answer.goal_id, right, absent=not scene.masks, mask=mask, note="the simulator's truth")
    time.sleep(0.5)
    return answer


def wait_for_scenes() -> list[Scene]:
    until = time.monotonic() + START_SECONDS
    while not (WORK / "scenes" / "scenes.jsonl").is_file():
        if time.monotonic() > until:
            raise TimeoutError("the camera wrote no truth")
        time.sleep(0.1)
    return list(load_scenes(WORK / "scenes"))


def one_picture() -> None:
    image = sorted((WORK / "scenes" / "images").iterdir())[0].relative_to(WORK)
    rsagent("run", image, "the green ball", "--out", "run", "--budget", BUDGET, "--quiet")


def evaluations() -> None:
    rsagent("evaluate", "records", "records", "--out", "evaluation", "--budget", BUDGET, "--show", "1", "--quiet")
    rsagent("evaluate", "scenes", "scenes", "--out", "evaluation-scenes", "--budget", BUDGET, "--show", "0",
            "--second-look", "--quiet")  # fmt: skip
    rsagent("replay", "bag", "--out", "replayed", codes=(0, 3))
    for folder in (WORK / "replayed").iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)  # as `run` has them


def predictions() -> None:
    """Another system's masks: those of the evaluation."""
    folder = WORK / "predictions"
    folder.mkdir()
    rows = []
    for line in (WORK / "evaluation-scenes" / "results.jsonl").read_text().splitlines()[1:]:
        data = json.loads(line)
        mask = data["mask"] if data["row"]["outcome"] == "found" else None
        rows.append({"id": data["row"]["id"], "mask": mask, "confidence": 0.5 if mask else None})
    text = "".join(json.dumps({key: value for key, value in row.items() if key != "confidence" or value}) + "\n"
                   for row in rows)  # fmt: skip
    (folder / "predictions.jsonl").write_text(text, encoding="utf-8")
    rsagent("score", "--truth", "scenes", "--dataset", "scenes", "--predictions", "predictions", "--out", "scored",
            "--show", "0", "--quiet")  # fmt: skip


def calibrations() -> None:
    """Fitted to more answers than are kept here."""
    simulate = [sys.executable, "-m", "rsagent_training.simulate", "harder", "--seed", "7", "--count", "80"]
    subprocess.run([*simulate, "--size", "160x120"], check=True)
    rsagent("evaluate", "scenes", "harder", "--out", "logs/harder", "--budget", BUDGET, "--show", "1", "--quiet")
    (WORK / "calibration").mkdir()
    for method in ("platt", "isotonic"):
        rsagent("calibrate", "logs/harder", "--out", f"calibration/{method}.json", "--method", method)


def shadow() -> None:
    """A contest, and a promotion as the node's service makes it."""
    rsagent("shadow", "records", "--incumbent", "config/incumbent.yaml", "--candidate", "config/candidate.yaml",
            "--out", "shadow", "--goals", "2", "--budget", BUDGET, "--quiet")  # fmt: skip
    sides = [read_candidate(Path("config") / f"{name}.yaml") for name in ("incumbent", "candidate")]
    budget = Budget(float(BUDGET))
    with Contest(Path("records"), Path("shadow"), sides[0], sides[1], budget=budget, needed=2) as contest:
        contest.play(CancelToken())
        found = read_promotions(Path("shadow")).promote(sides[1], sides[0], contest.standing(), "service")
    write_promotions(Path("shadow"), found)


def training_data() -> None:
    (WORK / "config" / "synthesize.yaml").write_text("balanced: false\nmin_iou: 0.5\nmatch_iou: 0.5\n")
    rsagent("synthesize", "scenes", "--out", "trajectories", "--family", "qwen2_5_vl", "--view-side", "112",
            "--config", "config/synthesize.yaml", "--seed", "3")  # fmt: skip
    rsagent("collect", "own/scenes", "--records", "records", "--trajectories", "own/trajectories",
            "--config", "config/synthesize.yaml")  # fmt: skip


OPTIMISATION: dict[str, Any] = {
    "learning_rate": 1e-3, "precision": "float32", "checkpointing": False, "device_batch": 2, "cpu": True,
    "save_every": 1, "schedule": "constant", "warmup_share": 0.0,
}  # fmt: skip
LORA = {"rank": 1, "alpha": 2, "targets": ["q_proj"]}


def training() -> None:
    """Two runs on a tiny random checkpoint, broken off before their end; what they became is beside them."""
    save_tiny(QWEN2_5_VL, WORK / "tiny")
    sft = {
        "checkpoint": str(WORK / "tiny"), "trajectories": [str(WORK / "trajectories")], "batch": 2, "epochs": 1,
        "min_iou": 0.5, "lora": LORA, "optimisation": OPTIMISATION,
    }  # fmt: skip
    grpo = {
        "checkpoint": str(WORK / "tiny"), "mix": [{"scenes": str(WORK / "scenes")}], "batch": 2, "samples": 2,
        "steps": 2, "max_turns": 2, "max_reply_tokens": 12, "side": 112, "segmenter": "classical", "beta": 0.0,
        "lora": LORA, "optimisation": OPTIMISATION,
    }  # fmt: skip
    (WORK / "runs").mkdir()
    for name, recipe in (("sft", sft), ("grpo", grpo)):
        (WORK / "config" / f"{name}.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
        run = WORK / "runs" / name
        rsagent(name, f"config/{name}.yaml", "--out", run)
        (run / "final").rename(WORK / "runs" / f"{name}-adapter")
        steps = sorted(run.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        for step in steps[1:]:
            shutil.rmtree(step)


def miniature() -> None:
    (WORK / "config" / "miniature.yaml").write_text(
        "lessons:\n  - {lesson: one, scenes: 32, epochs: 1, learning_rate: 2.0e-3}\n"
        "practice: {scenes: 4, steps: 1, batch: 2, samples: 2, lora: {rank: 1, alpha: 2, targets: [q_proj]}}\n"
        "held_out: 4\nbatch: 16\ncontrol: 1.0\nmax_turns: 2\nmax_reply_tokens: 12\n"
    )
    rsagent("miniature", "config/miniature.yaml", "--out", "logs/miniature")
    (WORK / "miniature").mkdir()
    for name in ("recipe.yaml", "results.json", "seconds.json"):
        shutil.copy(WORK / "logs" / "miniature" / name, WORK / "miniature")


def weights() -> None:
    """What `rsagent models fetch` leaves, from a hub on this machine."""
    import huggingface_hub.constants

    huggingface_hub.constants.HF_HUB_OFFLINE = False
    published = Published("someone/small", 1, "free", "golden")
    files = {"config.json": b'{"model_type": "small"}\n', "model.safetensors": bytes(range(256))}
    with FakeHub(published.repo, files) as hub:
        fetch("small", published, WORK / "models" / "small", print, hub.url)
    shutil.rmtree(WORK / "models" / "small" / ".cache")


def expected() -> dict[str, Any]:
    """What a reader must find."""
    scenes = list(load_scenes(WORK / "scenes"))
    evidence = [
        [0.95, 0.99, 0.9, 0.0, 0.0, 0.25, 0.0, None, None],
        [0.6, 0.7, None, 0.69, 0.5, 0.75, 1.1, -0.3, None],
        [0.2, 0.4, 0.1, 1.4, 0.8, 1.0, 0.0, None, 0.5],
    ]
    matrix = np.array(evidence, dtype=np.float64)
    return {
        "release": version(),
        "scenes": {
            scene.id: {
                "instruction": scene.instruction, "expected": scene.expected, "image": digest(scene.image),
                "masks": [digest(mask) for mask in scene.masks],
                "depth": None if scene.depth is None else digest(scene.depth),
                "previous": [[one.instruction, one.question] for one in scene.previous],
            }
            for scene in scenes
        },
        "giou": {name: giou(name) for name in ("evaluation", "evaluation-scenes", "scored")},
        "evidence": evidence,
        "confidences": {
            kind: load_calibration(WORK / "calibration" / f"{kind}.json").confidences(matrix).tolist()
            for kind in ("platt", "isotonic")
        },
    }  # fmt: skip


def giou(folder: str) -> float:
    return float(json.loads((WORK / folder / "report.json").read_bytes())["metrics"]["giou"]["value"])


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def version() -> str:
    done = subprocess.run([sys.executable, "-m", "rsagent_ros.cli", "--version"], check=True, capture_output=True)
    return done.stdout.decode().split()[-1]


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
