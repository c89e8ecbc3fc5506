"""Files of public data sets from the Hugging Face hub: looked up first, and fetched onwards from where a killed run stopped.

huggingface_hub begins every download anew, also into a local folder, and removes what a failed one has left. Its `http_get`
can begin anywhere in a file, so what was fetched is kept here, under a name that stands for the content.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers

from interdiff.errors import InputError
from interdiff.files import atomic_path, file_sha256

TIMEOUT = 10.0
"""Seconds until the hub must have answered the first question."""


def fetch_shard(
    repository: str,
    revision: str,
    file: str,
    target: Path,
    folder: Path,
    bar: type[Any] | None = None,
    endpoint: str | None = None,
) -> None:
    """Fetches a file of a data set to `target`, whole or not at all.

    Args:
        folder: keeps what was fetched until it is whole; on the file system of `target`, and for this file alone.
        bar: class of the progress bar, in the manner of tqdm; by default huggingface_hub's.
        endpoint: address of the hub; by default that of HF_ENDPOINT.

    Raises:
        InputError: there is no connection, repository, revision or file, too little space on the disk, or what arrived is
            not what the hub announced. Names the file, and says where another run goes on.
    """
    where = f"{file} of {repository} at {revision}"
    with _explained(where):
        url = hf_hub_url(repository, file, repo_type="dataset", revision=revision, endpoint=endpoint)
        found = get_hf_file_metadata(url, timeout=TIMEOUT, endpoint=endpoint, retry_on_errors=False)
    if found.size is None or found.etag is None:
        raise InputError(f"{where}: the hub does not tell its size")
    part = _part(folder, found.etag, found.size)
    _check_space(where, folder, found.size - part.stat().st_size)
    with _explained(where):
        _fetch(url, part, found.size, where, target.name, bar)
    _check(part, found.size, found.etag, where)
    with atomic_path(target) as temporary:
        os.replace(part, temporary)
    with suppress(OSError):
        folder.rmdir()


def _part(folder: Path, etag: str, size: int) -> Path:
    """What there is of a content so far, made if it is not there; parts of earlier contents are removed."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{hashlib.sha256(etag.encode()).hexdigest()[:32]}.part"
    for other in folder.glob("*.part"):
        if other != part or other.stat().st_size > size:
            other.unlink()
    part.touch()
    return part


def _check_space(where: str, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(f"{where}: {needed:,} bytes are to be fetched; {folder} has {free:,} bytes free")


def _fetch(url: str, part: Path, size: int, where: str, label: str, bar: type[Any] | None) -> None:
    """Appends to a part what it lacks; a lost connection is tried again a few times."""
    have = part.stat().st_size
    if have == size:
        return
    headers = build_hf_headers(headers={"Accept-Encoding": "identity"})
    try:
        with part.open("ab") as stream:
            http_get(url, stream, resume_size=have, headers=headers, displayed_filename=label, tqdm_class=bar)
    except httpx2.TransportError as error:
        done = f"{part.stat().st_size:,} of {size:,} bytes"
        raise InputError(f"{where}: connection lost after {done}; run again to go on from there ({error})") from error


def _check(part: Path, size: int, etag: str, where: str) -> None:
    """That a part is whole; the tag of a large file is its SHA-256. One that is damaged is removed."""
    have = part.stat().st_size
    if have < size:
        raise InputError(f"{where}: {have:,} of {size:,} bytes arrived; run again to go on from there")
    if have > size or (re.fullmatch("[0-9a-f]{64}", etag) and file_sha256(part) != etag):
        part.unlink()
        raise InputError(f"{where}: what arrived is not what the hub announced; run again to fetch it anew")


@contextmanager
def _explained(where: str) -> Iterator[None]:
    """What goes wrong with the hub, as InputError."""
    try:
        yield
    except RevisionNotFoundError as error:
        raise InputError(f"{where}: the data set has no such revision") from error
    except EntryNotFoundError as error:
        raise InputError(f"{where}: the data set has no such file") from error
    except RepositoryNotFoundError as error:
        raise InputError(f"{where}: the hub has no such data set, or shows it to members alone") from error
    except HFValidationError as error:
        raise InputError(f"{where}: not the name of a data set ({error})") from error
    except HfHubHTTPError as error:
        raise InputError(f"{where}: the hub refuses it with status {error.response.status_code}") from error
    except OfflineModeIsEnabled as error:
        raise InputError(f"{where}: no connection to the hub, as HF_HUB_OFFLINE is set") from error
    except httpx2.HTTPError as error:
        raise InputError(f"{where}: no connection to the hub ({error})") from error
