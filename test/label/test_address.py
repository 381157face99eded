"""Where the page is."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from rsagent_ros.label.address import PORTS, SECRET_BYTES, address_of, user_secret


def test_the_same_records_have_the_same_address_and_others_another(tmp_path: Path) -> None:
    secret = b"s" * SECRET_BYTES
    one = address_of(tmp_path / "a", secret)
    assert address_of(tmp_path / "a", secret) == one
    others = [address_of(tmp_path / "b", secret), address_of(tmp_path / "a", b"t" * SECRET_BYTES)]
    for other in others:
        assert other.token != one.token
    assert one.port in PORTS
    assert len(one.token) == 24
    assert one.url == f"http://127.0.0.1:{one.port}/{one.token}/"


def test_the_secret_is_the_users_alone_and_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    secret = user_secret()
    assert len(secret) == SECRET_BYTES
    assert user_secret() == secret
    assert stat.S_IMODE((tmp_path / "rsagent/label.key").stat().st_mode) == 0o600
    monkeypatch.setenv("XDG_STATE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_secret() != secret
    assert (tmp_path / ".local/state/rsagent/label.key").is_file()


@pytest.mark.parametrize("what", ["a file in the way", "another length"])
def test_a_secret_that_can_not_be_kept_is_told_and_another_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    if what == "another length":
        (tmp_path / "rsagent").mkdir()
        (tmp_path / "rsagent/label.key").write_bytes(b"short")
    else:
        (tmp_path / "rsagent").touch()
    assert len(user_secret()) == SECRET_BYTES
    assert user_secret() != user_secret()
    assert "will not find the server after a restart" in caplog.text
