"""Run by vLLM's own Python: CPU-seconds that xgrammar takes to compile the regular expression on stdin.

The vocabulary is Mistral's of 130,000 words, which comes with vLLM. Prints the least of three times.
"""

from __future__ import annotations

import base64
import json
import sys
import time
from pathlib import Path

import mistral_common  # type: ignore[import-not-found]
import xgrammar  # type: ignore[import-not-found]


def main() -> None:
    path = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
    words = json.loads(path.read_text(encoding="utf-8"))["vocab"]
    vocabulary = [base64.b64decode(word["token_bytes"]) for word in words][:130_000]
    known = xgrammar.TokenizerInfo(vocabulary, xgrammar.VocabType.RAW, stop_token_ids=[2])
    regex = sys.stdin.read()
    times = []
    for _ in range(3):
        compiler = xgrammar.GrammarCompiler(known, cache_enabled=False)
        started = time.process_time()
        compiler.compile_regex(regex)
        times.append(time.process_time() - started)
    sys.stdout.write(f"{len(vocabulary)} {min(times)}\n")


main()
