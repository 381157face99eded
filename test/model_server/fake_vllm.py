"""A model server without a model: `fake_vllm.py serve NAME ... --port PORT`, with faults to inject.

The environment variable FAKE_VLLM names a folder. Each start adds a line to `starts` there: its process id and that of
a worker that it starts. The file `mode` says what it does, and is read again at each health check: `well`, `sick`,
`exit` (ends at once with code 3), `stubborn` (does not end when asked to), `junk` (answers with no HTTP).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

FOLDER = Path(os.environ["FAKE_VLLM"])


def mode() -> str:
    return (FOLDER / "mode").read_text(encoding="utf-8")


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        if mode() == "junk":
            self.wfile.write(b"junk\r\n\r\n")
            return
        self.send_response(503 if mode() == "sick" else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()


def main() -> None:
    if mode() == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    worker = subprocess.Popen(["sleep", "600"])
    with (FOLDER / "starts").open("a", encoding="utf-8") as starts:
        starts.write(f"{os.getpid()} {worker.pid}\n")
    if mode() == "exit":
        sys.exit(3)
    HTTPServer.allow_reuse_address = True
    HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()


main()
