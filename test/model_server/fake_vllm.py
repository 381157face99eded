"""A model server without a model: `fake_vllm.py serve NAME ... --port PORT`, with faults to inject.

The environment variable FAKE_VLLM names a folder. Each start adds a line to `starts` there: its process id and that of
a worker that it starts. The file `mode` says what it does, and is read again at each health check: `well`, `sick`,
`exit` (ends at once with code 3), `stubborn` (does not end when asked to), `junk` (answers with no HTTP), `hung` (is
healthy, and gives no token), `busy` (gives no token either, but others get theirs).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
        if self.path == "/health":
            with (FOLDER / "checked").open("a", encoding="utf-8") as checked:
                checked.write(f"{os.getpid()}\n")
        counted = f'vllm:generation_tokens_total{{engine="0"}} {time.monotonic() if mode() == "busy" else 7.0}\n'
        content = counted.encode() if self.path == "/metrics" else b""
        self.send_response(503 if mode() == "sick" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with (FOLDER / "asked").open("a", encoding="utf-8") as asked:
            asked.write(f"{body['max_tokens']} {body['model']} {self.headers['Authorization']}\n")
        while mode() in ("hung", "busy"):
            time.sleep(0.02)
        self.send_response(200)
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
    ThreadingHTTPServer.allow_reuse_address = True
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()


main()
