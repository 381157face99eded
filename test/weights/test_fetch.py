"""Fetching from a hub on loopback: complete, checked, resumed, locked; and every way in which it can go wrong."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub", reason="the extra [models] is not installed")

import huggingface_hub.constants
from fake_hub import COMMIT, FakeHub

from rsagent_ros.agent.errors import RunFailed
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.weights.catalogue import CATALOGUE, Published
from rsagent_ros.weights.fetch import fetch
from rsagent_ros.weights.lock import LOCK_NAME, Lock, verify

PUBLISHED = Published("someone/small", 1, "free", "test")
WEIGHTS = "model.safetensors"
LARGE = bytes(range(256)) * 100_000  # the client writes 10 MB at a time: less could not be resumed
FILES = {"config.json": b"{}", "merges.txt": b"a b", WEIGHTS: b"w" * 100_000}


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests run under, these go out, to loopback."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    with FakeHub(PUBLISHED.repo, dict(FILES)) as hub:
        yield hub


@pytest.fixture
def get(hub: FakeHub, tmp_path: Path) -> Callable[..., tuple[Lock, list[str]]]:
    """Fetch into `tmp_path / "small"`; returns the lock and what the user was told."""

    def get(published: Published = PUBLISHED, endpoint: str = hub.url) -> tuple[Lock, list[str]]:
        told: list[str] = []
        return fetch("small", published, tmp_path / "small", told.append, endpoint), told

    return get


Get = Callable[..., tuple[Lock, list[str]]]


def refused(get: Get, sentence: str, **arguments: object) -> None:
    with pytest.raises(RunFailed, match=sentence) as failure:
        get(**arguments)
    assert failure.value.code is ErrorCode.MODEL_UNAVAILABLE
    assert "\n" not in failure.value.message


def test_what_is_wanted_comes_whole_and_is_locked(hub: FakeHub, get: Get, tmp_path: Path) -> None:
    hub.files |= {"pytorch_model.bin": b"pickle", "modeling.py": b"code", "onnx/model.json": b"{}", "README.md": b"#"}
    lock, told = get()
    folder = tmp_path / "small"
    assert {path.name for path in folder.iterdir() if path.is_file()} == {*FILES, LOCK_NAME}
    assert all((folder / name).read_bytes() == content for name, content in FILES.items())
    assert (lock.repo, lock.commit, set(lock.files)) == (PUBLISHED.repo, COMMIT, set(FILES))
    assert verify(folder) == lock
    assert "3 files, 0.1 MB" in told[0], "the size is said first"
    assert "licence free" in told[1]
    assert [line.split()[1] for line in told[2:5]] == ["1/3", "2/3", "3/3"]


def test_what_is_there_and_right_is_not_asked_for_again(hub: FakeHub, get: Get, tmp_path: Path) -> None:
    get()
    shutil.rmtree(tmp_path / "small" / ".cache")  # a folder that was copied has no notes of the client's
    hub.requests.clear()
    get()
    assert [request.split()[0] for request in hub.requests] == ["GET"], "only the list"


@pytest.mark.parametrize("spoil", [b"", b"w" * 99_999 + b"v"])
@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_what_is_there_and_wrong_is_replaced(get: Get, tmp_path: Path, name: str, spoil: bytes) -> None:
    get()
    (tmp_path / "small" / name).write_bytes(spoil)
    get()
    assert (tmp_path / "small" / name).read_bytes() == FILES[name]


def test_a_broken_connection_is_taken_up_again(hub: FakeHub, get: Get, tmp_path: Path) -> None:
    hub.files[WEIGHTS] = LARGE
    hub.break_after[WEIGHTS] = 21_000_000
    get()
    assert (tmp_path / "small" / WEIGHTS).read_bytes() == LARGE
    assert any(request.endswith("bytes=20971520-") for request in hub.requests)


def test_a_fetch_that_failed_keeps_its_complete_files(hub: FakeHub, get: Get, tmp_path: Path) -> None:
    hub.files[WEIGHTS] = LARGE
    hub.break_after[WEIGHTS] = 21_000_000
    hub.refuse_after_break = (HTTPStatus.FORBIDDEN, "")
    refused(get, "can't be downloaded .*run the command again")
    assert not (tmp_path / "small" / LOCK_NAME).exists()
    hub.refuse = None
    hub.requests.clear()
    get()
    assert (tmp_path / "small" / WEIGHTS).read_bytes() == LARGE
    asked = [request.split()[1].rpartition("/")[2] for request in hub.requests if "resolve" in request]
    assert set(asked) == {WEIGHTS}


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_content_that_does_not_match_its_hash_is_refused(hub: FakeHub, get: Get, tmp_path: Path, name: str) -> None:
    hub.lies.add(name)
    refused(get, f"{name} does not match the hash")
    assert not (tmp_path / "small" / LOCK_NAME).exists()
    hub.lies.clear()
    get()
    verify(tmp_path / "small")


def test_a_fixed_commit_is_asked_for_by_its_name(hub: FakeHub, get: Get) -> None:
    get(Published(PUBLISHED.repo, 1, "free", "test", COMMIT))
    assert any(f"revision/{COMMIT}" in request for request in hub.requests)


@pytest.mark.parametrize(
    ("published", "sentence"),
    [
        (Published("someone/else", 1, "", ""), "there is no .*someone/else, or it is private"),
        (Published(PUBLISHED.repo, 1, "", "", "v9"), "has no revision 'v9'"),
    ],
)
def test_what_the_hub_does_not_have(get: Get, published: Published, sentence: str) -> None:
    refused(get, sentence, published=published)


def test_a_checkpoint_that_is_given_out_on_request(hub: FakeHub, get: Get) -> None:
    hub.refuse = (HTTPStatus.FORBIDDEN, "GatedRepo")
    refused(get, r"is given out on request; accept its licence \(free\) .*`hf auth login`, or set HF_TOKEN")


def test_one_that_is_gated_says_so_before_it_comes(get: Get) -> None:
    _, told = get(replace(PUBLISHED, gated=True))
    assert "licence free" in told[1]
    assert "given out on request; accept its licence (free) on its page" in told[2]
    assert " 1/3 " in told[3]


def test_a_checkpoint_without_safetensors(hub: FakeHub, get: Get) -> None:
    hub.files = {"config.json": b"{}", "pytorch_model.bin": b"pickle"}
    refused(get, "holds no safetensors")


def test_no_hub(get: Get) -> None:
    with FakeHub("a/b", {}) as gone:
        url = gone.url
    refused(get, "can't be downloaded .*another machine", endpoint=url)


def test_offline_by_choice(get: Get, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    refused(get, "HF_HUB_OFFLINE is set")


def test_a_disk_without_room_is_seen_before_anything_comes(
    hub: FakeHub, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = shutil.disk_usage("/")._replace(free=1_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    refused(get, r"has 0.0 MB free and needs 0.1 MB; .*--into")
    assert not any("resolve" in request for request in hub.requests)


def test_a_folder_that_can_not_be_written(get: Get, tmp_path: Path) -> None:
    (tmp_path / "small").write_text("a file")
    with pytest.raises(FileExistsError):
        get()


def test_the_catalogue_names_repositories_once() -> None:
    assert len({item.repo for item in CATALOGUE.values()}) == len(CATALOGUE)
    for name, item in CATALOGUE.items():
        assert name == name.lower()
        assert item.repo.count("/") == 1
        assert item.megabytes > 0
        assert item.licence
