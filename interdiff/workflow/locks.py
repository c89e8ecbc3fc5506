"""Who works on results: locks that the kernel lets go when their process ends, however it ends."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
from pathlib import Path

from interdiff.errors import InputError

FOLDER = ".locks"
"""Below the results root; a lock file says who has held it last."""


def claim_results(results: str | Path) -> None:
    """Take a results root for this process, a `snakemake` that starts jobs, until it ends.

    Raises:
        InputError: another `snakemake` has it, or a job of one that was killed still runs.
    """
    folder = Path(results) / FOLDER
    _hold(folder / "snakemake", f"{results}: another snakemake works here", "")
    # Snakemake removes a job's outputs before it starts it again: it must not come to that.
    jobs = [holder for path in sorted(folder.glob("*.job")) if (holder := _holder(path))]
    if jobs:
        raise InputError(
            f"{results}: jobs of an earlier snakemake, which has been killed, still run here: {'; '.join(jobs)}."
            " Wait for them, or stop them on that machine with kill and their process number (training saves"
            " its progress first); then start again."
        )


def claim_output(results: Path, output: str, label: str) -> None:
    """Take an output, named by its path below the results root, for this process until it ends.

    Raises:
        InputError: another process still makes it.
    """
    name = hashlib.sha256(output.encode()).hexdigest()[:16]
    _hold(results / FOLDER / f"{name}.job", f"{label}: another process still makes these files", f"{label}, ")


def _hold(path: Path, problem: str, prefix: str) -> None:
    """Lock a file for the life of this process; processes that it starts do not inherit the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    if not _lock(descriptor, path, fcntl.LOCK_EX):
        holder = _text(descriptor)
        os.close(descriptor)
        raise InputError(f"{problem}: {holder}. Wait for it, or stop it with kill on that machine; then start again.")
    os.truncate(descriptor, 0)
    job = os.environ.get("SLURM_JOB_ID")
    where = f"{socket.gethostname()} (SLURM job {job})" if job else socket.gethostname()
    os.write(descriptor, f"{prefix}process {os.getpid()} on {where}".encode())


def _holder(path: Path) -> str | None:
    """Who holds a lock file, if anyone does."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        return None if _lock(descriptor, path, fcntl.LOCK_SH) else _text(descriptor)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, path: Path, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise InputError(
            f"{path}: cannot be locked ({error.strerror}); results need a file system with locks (flock)"
        ) from error
    return True


def _text(descriptor: int) -> str:
    return os.read(descriptor, 500).decode(errors="replace") or "an unknown process"
