"""Words to instances: the baseline segmenter's `find` on phrases about simulated table tops.

    python benchmarks/find.py [--phrases N]

One phrase for each held-out world of the plain vocabulary, in turn one with a noun alone, with a colour, for anything
of a colour, and with a noun that is not in the vocabulary, of which there is no instance. Instances are matched to the
true ones as candidates are (docs/evaluation.md): an IoU of 0.5 or more.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec

import numpy as np
from entry import Entry, not_here, reported
from numpy.typing import NDArray

from rsagent_ros.agent.mask import Mask, whole
from rsagent_ros.baseline.segmenter import ClassicalSegmenter
from rsagent_ros.scoring.matching import MATCH_IOU, matched_ious

PHRASES = 200
UNKNOWN = ("mug", "red bottle", "spoon", "blue book")


def run() -> list[Entry]:
    """The figures; about three minutes."""
    if find_spec("mujoco") is None or find_spec("rsagent_training") is None:
        return [not_here("find: instance F1", "the extra [sim] is not installed")]
    return figures(PHRASES)


def figures(count: int) -> list[Entry]:
    """Precision, recall and F1 over the instances of so many phrases."""
    segmenter = ClassicalSegmenter()
    found = right = wanted = 0
    exact, seconds = [], []
    for image, words, truths in phrases(count):
        started = time.perf_counter()
        encoding = segmenter.encode(image)
        detections = segmenter.find(encoding, words)
        seconds.append(time.perf_counter() - started)
        masks = [whole(one.part, one.box, (image.shape[0], image.shape[1])) for one in detections]
        pairs = matched_ious(masks, truths)
        found, right, wanted = found + len(masks), right + len(pairs), wanted + len(truths)
        exact.append(len(masks) == len(truths) == len(pairs))
    f1 = 2 * right / max(1, found + wanted)
    return [
        reported("find: instance F1", f1, "", f"{count} phrases, {wanted} instances; IoU of {MATCH_IOU:g} or more"),
        reported("find: precision", right / max(1, found), "", f"{found} found"),
        reported("find: recall", right / max(1, wanted), ""),
        reported("find: phrases with exactly the right instances", float(np.mean(exact)), ""),
        reported("find: seconds a phrase, median", float(np.median(seconds)), "s", "640x480"),
    ]


def phrases(count: int) -> Iterator[tuple[NDArray[np.uint8], str, list[Mask]]]:
    """Image, phrase and true masks, one for each world."""
    from rsagent_training.simulation import semantics
    from rsagent_training.simulation.subject import subject_of
    from rsagent_training.simulation.world import World

    given = 0
    for seed in range(2 * count):
        if given == count:
            return
        with World(seed, vocabulary="plain") as world:
            rendering = world.render()
            subject = subject_of(world, rendering)
            kind = given % 4
            if kind == 3:
                given += 1
                yield rendering.rgb, UNKNOWN[given % len(UNKNOWN)], []
                continue
            # Only phrases about which people can't disagree.
            sure = [
                (phrase.words, names)
                for phrase, answer in subject.phrases()
                if (names := semantics.every(answer)) is not None
                and kind == (2 if phrase.noun in subject.generic else 0 if phrase.colour is None else 1)
                and (phrase.colour is not None or phrase.noun in subject.nouns)
            ]
        if sure:
            words, names = sure[seed % len(sure)]
            given += 1
            yield rendering.rgb, words, [rendering.masks[name] for name in names]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--phrases", type=int, default=PHRASES, help="(default: 200)")
    for entry in figures(parser.parse_args(argv).phrases):
        print(f"{entry.name}: {entry.value} {entry.unit} ({entry.note})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
