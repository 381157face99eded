from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openai", reason="the chat server's policy needs the package openai")

from rsagent_ros.policies.chat_server import ChatServerConfig
from rsagent_ros.policies.chat_server.policy import ChatServerPolicy


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"model": " "}, "model is empty; name the model as the server does"),
        ({"base_url": "127.0.0.1:8000"}, "write it like http://127.0.0.1:8000/v1"),
        ({"base_url": "ftp://host/v1"}, "write it like http://"),
        ({"base_url": "http:///v1"}, "write it like http://"),
        ({"family": "llava"}, "this agent knows qwen2_5_vl"),
        ({"side": 20}, "use a larger side"),
        ({"temperature": float("nan")}, "temperature is nan; allowed: 0 to 2"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"top_p": 0.0}, "top_p is 0.0"),
        ({"top_k": -1}, "top_k is -1"),
        ({"repetition_penalty": float("inf")}, "repetition_penalty is inf"),
        ({"max_images": 0}, "max_images is 0; allowed: 1 to 1000"),
        ({"connect_timeout": 0.0}, "connect_timeout is 0.0"),
        ({"stall_timeout": float("inf")}, "stall_timeout is inf"),
        ({"retries": -1}, "retries is -1; allowed: 0 to 10"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_can(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ChatServerConfig(**({"model": "m"} | settings))


@pytest.mark.parametrize("url", ["http://me:secret@host/v1", "http://host/v1?key=secret", "http://host/v1#secret"])
def test_a_key_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="api_key_file") as caught:
        ChatServerConfig("m", url)
    assert "secret" not in str(caught.value)


def test_the_key_comes_from_the_variable_or_from_the_file_which_counts_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RSAGENT_API_KEY", raising=False)
    assert ChatServerConfig("m").api_key() == ""
    monkeypatch.setenv("MY_KEY", "from-variable\n")
    assert ChatServerConfig("m", api_key_env="MY_KEY").api_key() == "from-variable"
    (tmp_path / "key").write_text("from-file\n", encoding="utf-8")
    assert ChatServerConfig("m", api_key_env="MY_KEY", api_key_file=str(tmp_path / "key")).api_key() == "from-file"


@pytest.mark.parametrize("content", [b"", b"two words\n", b"one\ntwo", b"x" * 2_000, b"\xff\xfe"])
def test_a_key_file_without_one_key_is_refused_and_not_repeated(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=str(path)) as caught:
        ChatServerPolicy(ChatServerConfig("m", api_key_file=str(path)))
    assert "one\ntwo" not in str(caught.value)
    assert "words" not in str(caught.value)


def test_a_key_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="FileNotFoundError; it must be a readable text file"):
        ChatServerConfig("m", api_key_file=str(tmp_path / "none")).api_key()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8000/v1", True),
        ("http://localhost/v1", True),
        ("http://[::1]:8000/v1", True),
        ("http://127.0.0.1.example.org/v1", False),
        ("https://example.org/v1", False),
    ],
)
def test_which_server_is_on_this_machine(url: str, expected: bool) -> None:
    assert ChatServerConfig("m", url).on_loopback is expected


def test_each_family_has_its_pictures() -> None:
    pixels = ChatServerPolicy(ChatServerConfig("m", family="qwen2_5_vl", side=300)).pictures
    assert (pixels.side, pixels.multiple, pixels.coordinates) == (300, 28, "pixels")
    thousandths = ChatServerPolicy(ChatServerConfig("m", family="qwen3_vl")).pictures
    assert (thousandths.multiple, thousandths.coordinates) == (32, "thousandths")
