"""Address of a folder's page: the same at every start, so that a page that is open finds the server again."""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
PORTS = range(20_000, 32_768)
"""Below those that systems hand out to outgoing connections."""

SECRET_BYTES = 32


@dataclass(frozen=True)
class Address:
    """A port of loopback, and the token with which every path begins."""

    port: int
    token: str

    @property
    def url(self) -> str:
        """Address of the page."""
        return f"http://{HOST}:{self.port}/{self.token}/"


def address_of(records: Path, secret: bytes) -> Address:
    """The address for these records: nobody can tell it without the secret."""
    digest = hmac.digest(secret, os.fsencode(records.absolute()), hashlib.sha256)
    port = PORTS[int.from_bytes(digest[18:22]) % len(PORTS)]
    return Address(port, base64.urlsafe_b64encode(digest[:18]).decode())


def user_secret() -> bytes:
    """The user's secret: made at the first start, and readable for nobody else.

    Where it can't be kept the address is another one at every start; a warning in the log says so.
    """
    base = os.environ.get("XDG_STATE_HOME", "")
    file = (Path(base) if os.path.isabs(base) else Path.home() / ".local/state") / "rsagent/label.key"
    fresh = secrets.token_bytes(SECRET_BYTES)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return _kept(file)
        with os.fdopen(handle, "wb") as out:
            out.write(fresh)
    except (OSError, ValueError) as error:
        log.warning("%s; a page that is open now will not find the server after a restart", error)
    return fresh


def _kept(file: Path) -> bytes:
    secret = file.read_bytes()
    if len(secret) != SECRET_BYTES:
        raise ValueError(f"{file} has {len(secret)} bytes, not {SECRET_BYTES}: remove it")
    return secret
