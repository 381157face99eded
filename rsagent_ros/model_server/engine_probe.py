"""One token from the engine: vLLM's /health stays well when the engine behind it hangs."""

from __future__ import annotations

import http.client
import json
import logging
import urllib.error
import urllib.request

log = logging.getLogger(__name__)

_COUNTERS = ("vllm:generation_tokens_total", "vllm:prompt_tokens_total")
# Loopback is never behind a proxy.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class EngineProbe:
    """Asks a server for one token."""

    def __init__(self, root: str, model: str, key: str = "") -> None:
        """Take the server's URL without the /v1, the name of its model, and its API key; nothing is sent yet."""
        self._root = root
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {key}"} if key else {})
        self._body = json.dumps({"model": model, "prompt": "a", "max_tokens": 1}).encode()

    def __call__(self, seconds: float) -> bool:
        """Whether the engine works: it answers within that many seconds, or does meanwhile for others. Blocks as long.

        What refuses the request has not reached the engine, and says nothing about it: that is True, too.
        """
        before = self._tokens()
        try:
            self._get("/v1/completions", seconds, self._body)
        except TimeoutError:
            after = self._tokens()
            return after is not None and after != before
        except (OSError, http.client.HTTPException) as error:
            if isinstance(getattr(error, "reason", None), TimeoutError):
                return False  # not even a connection
            log.debug("a token could not be asked for: %s", error)
        return True

    def _tokens(self) -> float | None:
        """Tokens that the engine has read and written; None where the server does not count them."""
        try:
            lines = self._get("/metrics", 5.0).decode("utf-8", "replace").splitlines()
            counts = [float(line.rsplit(maxsplit=1)[1]) for line in lines if line.startswith(_COUNTERS)]
        except (OSError, http.client.HTTPException, ValueError):
            return None
        return sum(counts) if counts else None

    def _get(self, path: str, seconds: float, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(self._root + path, body, self._headers)
        with _OPENER.open(request, timeout=seconds) as response:
            content: bytes = response.read()
            return content
