"""The README's animated picture: one recorded goal, turn by turn. `make readme-pictures` draws it from the demo.

python .ci/readme_pictures.py out/demo/records --goal "the small red box left of the blue cylinder"
"""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rsagent_ros.agent.annotation import annotate, answer_annotations
from rsagent_ros.agent.mask import fitted
from rsagent_ros.agent.pictures import PictureFormat
from rsagent_ros.records.reader import read_records
from rsagent_ros.records.record import Record

ROOT = Path(__file__).resolve().parents[1]
GOAL = "the small red box left of the blue cylinder"

WIDTH, HEIGHT, TEXT_HEIGHT = 640, 480, 132
MARGIN, LINE, COLUMNS, MOST_LINES = 14, 21, 82, 3
COLOURS = 200
SECONDS = (1.5, 3.5, 4.0)
"""Durations of the question, of each turn and of the answer."""

BACKGROUND, SOFT, BRIGHT = (24, 26, 30), (150, 160, 175), (240, 242, 245)


def main(argv: Sequence[str] | None = None) -> int:
    """Draw the picture; returns the exit code."""
    parser = argparse.ArgumentParser(description="Draw one recorded goal as an animated GIF.")
    parser.add_argument("records", type=Path, help="a record, or a folder of records")
    parser.add_argument("--goal", default=GOAL, help="its instruction (%(default)r)")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/goal.gif", help="file to write (%(default)s)")
    arguments = parser.parse_args(argv)
    record = next((one for one in read_records(arguments.records) if one.trace.instruction == arguments.goal), None)
    if record is None:
        parser.error(f"{arguments.records} has no record of {arguments.goal!r}; `make demo` makes some")
    pictures = [picture.quantize(COLOURS, dither=Image.Dither.NONE) for picture in draw(record)]
    asked, turn, answered = (round(1000 * seconds) for seconds in SECONDS)
    durations = [asked, *[turn] * (len(pictures) - 2), answered]
    pictures[0].save(
        arguments.out, save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=True
    )
    print(f"{arguments.out}: {len(pictures)} pictures, {arguments.out.stat().st_size // 1000} kB")
    return 0


def draw(record: Record) -> Iterator[Image.Image]:
    """The question, each turn, and the answer."""
    trace = record.trace
    yield canvas(record.image, f"“{trace.instruction}”", "What the robot sees.")
    shown: NDArray[np.uint8] = record.image
    for turn in trace.turns:
        picture = turn.shown(record.image, PictureFormat(WIDTH))
        shown = shown if picture is None else picture.pixels
        called = turn.tool or turn.error_code
        yield canvas(shown, f"{turn.index}. {called}", turn.thought)
    answer = annotate(record.image, answer_annotations(trace), *fitted(trace.width, trace.height, WIDTH))
    words = f"after {trace.seconds:.2f} s, confidence {min(trace.confidences, default=0.0):.2f}"
    yield canvas(answer, str(trace.outcome).replace("_", " "), words)


def canvas(pixels: NDArray[np.uint8], title: str, words: str) -> Image.Image:
    """An (h, w, 3) RGB picture as large as it fits, above a title and words."""
    picture = Image.fromarray(pixels)
    scale = min(WIDTH / picture.width, HEIGHT / picture.height)
    picture = picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    drawn = Image.new("RGB", (WIDTH, HEIGHT + TEXT_HEIGHT), BACKGROUND)
    drawn.paste(picture, ((WIDTH - picture.width) // 2, (HEIGHT - picture.height) // 2))
    pen = ImageDraw.Draw(drawn)
    pen.text((MARGIN, HEIGHT + MARGIN), title, BRIGHT, font=ImageFont.load_default(20))
    lines = textwrap.wrap(words, COLUMNS, max_lines=MOST_LINES, placeholder=" ...")
    for number, line in enumerate(lines):
        position = (MARGIN, HEIGHT + MARGIN + 34 + number * LINE)
        pen.text(position, line, SOFT, font=ImageFont.load_default(15))
    return drawn


if __name__ == "__main__":
    raise SystemExit(main())
