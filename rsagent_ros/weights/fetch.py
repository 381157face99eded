"""Download of weights from the Hugging Face hub: announced, resumed, checked, locked.

Nothing else downloads. A broken connection resumes within a file; after a failure the next run keeps complete files.
Only files that transformers loads as data are taken (safetensors, JSON, text, templates): no pickles, no code.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from huggingface_hub import HfApi, constants, hf_hub_download
from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError, RevisionNotFoundError

from rsagent_ros.agent.errors import RunFailed, describe
from rsagent_ros.agent.outcome import ErrorCode
from rsagent_ros.weights.catalogue import Published
from rsagent_ros.weights.lock import LOCK_NAME, Lock, LockedFile, sha256, write_lock

SUFFIXES = (".safetensors", ".json", ".txt", ".jinja")

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Remote:
    """A file as the hub describes it: the SHA-256 of a large one, the git hash of any other."""

    name: str
    size: int
    sha256: str | None
    git: str | None


def fetch(name: str, published: Published, folder: Path, tell: Tell, endpoint: str | None = None) -> Lock:
    """Download weights into a folder; blocks until they are complete. Files that are there and right are kept.

    Args:
        name: Name in the catalogue.
        published: Repository and revision.
        folder: Target; made where it is missing.
        tell: Called with sentences for the user. Progress bars of single files go to stderr.
        endpoint: URL of the hub; the one that huggingface_hub is set to, if None.

    Raises:
        RunFailed: MODEL_UNAVAILABLE: the hub can't be reached, has no such weights, or they do not match their hashes.
        OSError: The folder can't be written.
    """
    hub = endpoint if endpoint is not None else constants.ENDPOINT
    commit, files = _listed(published, hub)
    total = sum(file.size for file in files)
    tell(f"{name}: {len(files)} files, {_amount(total)} from {hub}/{published.repo} at {commit[:12]}")
    tell(f"{name}: licence {published.licence}")
    if published.gated:
        tell(f"{name}: given out on request; {_access(published)}")
    folder.mkdir(parents=True, exist_ok=True)
    missing = [file for file in files if not _matches(folder / file.name, file)]
    _check_room(folder, sum(file.size for file in missing))
    for number, file in enumerate(missing, 1):
        tell(f"{name}: {number}/{len(missing)} {file.name}, {_amount(file.size)}")
        _download(replace(published, revision=commit), file, folder, hub)
    lock = Lock(
        name,
        published.repo,
        commit,
        {file.name: LockedFile(file.size, file.sha256 or sha256(folder / file.name)) for file in files},
    )
    write_lock(folder, lock)
    tell(f"{name}: complete and checked, {folder / LOCK_NAME} written")
    return lock


def _listed(published: Published, hub: str) -> tuple[str, list[_Remote]]:
    """The commit of a revision, and its files that are downloaded."""
    try:
        info = HfApi(endpoint=hub).model_info(published.repo, revision=published.revision, files_metadata=True)
    except Exception as error:  # the client lets errors of its HTTP library through, which differ between its versions
        raise _explained(error, published, hub) from error
    files = []
    for file in info.siblings or []:
        if "/" not in file.rfilename and PurePosixPath(file.rfilename).suffix in SUFFIXES and file.size is not None:
            large = None if file.lfs is None else file.lfs.sha256
            files.append(_Remote(file.rfilename, file.size, large, file.blob_id))
    if not any(file.name.endswith(".safetensors") for file in files) or info.sha is None:
        raise _unavailable(
            f"{hub}/{published.repo} at {published.revision} holds no safetensors; name another revision"
        )
    return info.sha, sorted(files, key=lambda file: file.size)


def _download(published: Published, file: _Remote, folder: Path, hub: str) -> None:
    """Download one file of a commit and check its hash."""
    try:
        # A file that is there was found to be wrong: without force the client would trust its own note about it.
        there = (folder / file.name).exists()
        hf_hub_download(
            published.repo,
            file.name,
            revision=published.revision,
            local_dir=folder,
            endpoint=hub,
            force_download=there,
        )
    except OSError as error:
        if isinstance(error, GatedRepoError | RepositoryNotFoundError) or error.errno is None:
            raise _explained(error, published, hub) from error
        raise  # a full or read-only disk
    except Exception as error:  # as above
        raise _explained(error, published, hub) from error
    if not _matches(folder / file.name, file):
        raise _unavailable(f"{folder / file.name} does not match the hash that {hub} gives for it; fetch again")


def _matches(path: Path, file: _Remote) -> bool:
    """Whether a local file has the size and hash of the remote one."""
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    if file.sha256 is not None:
        return sha256(path) == file.sha256
    content = path.read_bytes()
    git = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return git == file.git


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise _unavailable(
            f"{folder} has {_amount(free)} free and needs {_amount(needed)}; free some space, or choose another folder "
            "with --into"
        )


def _explained(error: Exception, published: Published, hub: str) -> RunFailed:
    """The error for the user: the fault, and the remedy."""
    where = f"{hub}/{published.repo}"
    match error:
        case GatedRepoError():
            return _unavailable(f"{where} is given out on request; {_access(published)}")
        case RepositoryNotFoundError():
            return _unavailable(f"there is no {where}, or it is private; run `hf auth login` if you have access")
        case RevisionNotFoundError():
            return _unavailable(f"{where} has no revision {published.revision!r}; name a branch, tag or commit")
        case OfflineModeIsEnabled():
            return _unavailable("HF_HUB_OFFLINE is set, which forbids downloads; unset it for this command")
    return _unavailable(
        f"{where} can't be downloaded ({describe(error)}); run the command again, complete files are kept, or fetch on "
        "another machine and copy the folder"
    )


def _access(published: Published) -> str:
    return (
        f"accept its licence ({published.licence}) on its page, wait until access is granted, then run "
        "`hf auth login`, or set HF_TOKEN to a token of yours"
    )


def _amount(size: int) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1_000_000_000 else f"{size / 1e6:.1f} MB"


def _unavailable(sentence: str) -> RunFailed:
    return RunFailed(ErrorCode.MODEL_UNAVAILABLE, sentence)
