"""Fails unless the miniature ran through all stages and learned something: its results are the one argument."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import mean

LEAST_GAIN = 0.1

policies = json.loads(Path(sys.argv[1]).read_bytes())["policies"]
quality = {
    name: mean(policies[name][max(policies[name], key=int)]["iou"])
    for name in ("untrained", "sft", "control", "grpo", "rft")
}
print("IoU on held-out scenes:", ", ".join(f"{name} {value:.2f}" for name, value in quality.items()))
if quality["sft"] < quality["untrained"] + LEAST_GAIN:
    sys.exit(f"SFT gained less than {LEAST_GAIN} over the untrained policy")
