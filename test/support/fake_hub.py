"""A Hugging Face hub on loopback: a real HTTP server with one model in one revision, and faults to inject."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class FakeHub:
    """Serves `files` as REPO at `main` and at COMMIT. Use as a context manager.

    Attributes:
        files: By name; those that end with .safetensors are given as large files with a SHA-256.
        lies: Names of files whose content is served with one byte changed.
        break_after: By name: after that many bytes the connection is closed, once.
        refuse: Answer everything with this status and X-Error-Code.
        refuse_after_break: What becomes of `refuse` once a connection was broken: the hub is gone for good.
        requests: "METHOD path range" of each, in order.
    """

    def __init__(self, repo: str, files: dict[str, bytes]) -> None:
        self.repo = repo
        self.files = files
        self.lies: set[str] = set()
        self.break_after: dict[str, int] = {}
        self.refuse: tuple[HTTPStatus, str] | None = None
        self.refuse_after_break: tuple[HTTPStatus, str] | None = None
        self.requests: list[str] = []
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments: object) -> None:
                pass

            def do_GET(self) -> None:
                hub._answer(self, body=True)

            def do_HEAD(self) -> None:
                hub._answer(self, body=False)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        self.requests.append(f"{request.command} {request.path} {request.headers.get('Range', '')}".strip())
        if self.refuse is not None:
            status, code = self.refuse
            _send(request, status, b"{}", {"X-Error-Code": code})
        elif re.fullmatch(f"/api/models/{self.repo}/revision/(main|{COMMIT})", request.path.partition("?")[0]):
            _send(request, HTTPStatus.OK, json.dumps(self._described()).encode(), {})
        elif found := re.fullmatch(f"/{self.repo}/resolve/{COMMIT}/(.+)", request.path.partition("?")[0]):
            self._send_file(request, found[1], body=body)
        else:
            missing = "RevisionNotFound" if self.repo in request.path else "RepoNotFound"
            _send(request, HTTPStatus.NOT_FOUND, b"{}", {"X-Error-Code": missing})

    def _described(self) -> dict[str, object]:
        siblings = []
        for name, content in self.files.items():
            sibling: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": _git(content)}
            if name.endswith(".safetensors"):
                digest = hashlib.sha256(content).hexdigest()
                sibling["lfs"] = {"sha256": digest, "size": len(content), "pointerSize": 134}
            siblings.append(sibling)
        return {"id": self.repo, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}

    def _send_file(self, request: BaseHTTPRequestHandler, name: str, *, body: bool) -> None:
        content = self.files[name]
        tag = hashlib.sha256(content).hexdigest() if name.endswith(".safetensors") else _git(content)
        if name in self.lies:
            content = content[:-1] + bytes([content[-1] ^ 1])
        first = 0
        if given := re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", "")):
            first = int(given[1])
        headers = {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        status = HTTPStatus.PARTIAL_CONTENT if first else HTTPStatus.OK
        whole = content[first:]
        _send(request, status, b"", headers, length=len(whole))
        if not body:
            return
        cut = self.break_after.pop(name, None)
        request.wfile.write(whole[:cut])
        if cut is not None:
            request.close_connection = True
            self.refuse = self.refuse_after_break


def _send(
    request: BaseHTTPRequestHandler,
    status: HTTPStatus,
    content: bytes,
    headers: dict[str, str],
    length: int | None = None,
) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.send_header("Content-Length", str(len(content) if length is None else length))
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(content)


def _git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
