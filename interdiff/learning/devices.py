"""Leases of this machine's GPUs: whoever computes on one holds its lock, so that no two jobs share one."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from interdiff.errors import InputError

log = logging.getLogger(__name__)

VISIBLE = "CUDA_VISIBLE_DEVICES"
NODES, CPUS = "SLURM_JOB_NUM_NODES", "SLURM_CPUS_PER_TASK"
PATIENCE = 900
"""Seconds that several processes have to save a training's state when they are asked to stop: it may be tens of gigabytes."""
POLL = 0.2
"""Seconds between looks for a free device."""


def launched() -> bool:
    """Whether this process is one of several that torch's launcher started."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def spread(count: int) -> int:
    """The nodes of a SLURM allocation over which that many devices lie: one, unless they are all that each node has."""
    nodes = int(os.environ.get(NODES, "1"))
    here = len(devices()) if nodes > 1 else 0
    return nodes if here and count == nodes * here else 1


def launcher(count: int, nodes: int = 1) -> list[str]:
    """The command that runs a module, to be named after it, in `count` processes: what `accelerate launch` runs too.

    On several nodes SLURM's `srun` starts one launcher on each, and all meet on this one.
    """
    options = ["--nproc_per_node", str(count // nodes), "--shutdown-timeout", str(PATIENCE)]
    start, meeting = [], ["--standalone"]
    if nodes > 1:
        start = [
            "srun",
            f"--nodes={nodes}",
            f"--ntasks={nodes}",
            "--ntasks-per-node=1",
            "--overlap",
            "--kill-on-bad-exit",
        ]
        if CPUS in os.environ:  # which srun does not take from there by itself
            start.append(f"--cpus-per-task={os.environ[CPUS]}")
        place = f"{socket.gethostname()}:{_free_port()}"
        meeting = ["--nnodes", str(nodes), "--rdzv_backend", "c10d", "--rdzv_endpoint", place, "--rdzv_id", place]
    return [*start, sys.executable, "-m", "torch.distributed.run", *meeting, *options, "-m", "--"]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("", 0))
        return listener.getsockname()[1]


def process_number() -> int:
    """This process's number among those that train together; process 0 alone writes."""
    return int(os.environ["RANK"]) if launched() else 0


def lease(count: int) -> list[str]:
    """Wait for `count` free devices, make them the only visible ones and hold them until this process ends.

    Jobs are served in the order in which they began to wait, near enough. Locks are per user and, inside a SLURM job,
    per job: there the scheduler has already shared out the machine, and counts each job's devices from 0.

    Raises:
        InputError: the machine, or CUDA_VISIBLE_DEVICES, has fewer.
    """
    ids = devices()
    if count > len(ids):
        raise InputError(
            f"--gpus {count}: torch finds no GPU; limit the gpu resource to 0 or install CUDA's torch"
            if not ids
            else f"--gpus {count}: only {len(ids)} GPUs ({','.join(ids)}); limit the gpu resource to that"
        )
    folder = Path(tempfile.gettempdir()) / f"interdiff-gpus-{os.getuid()}-{os.environ.get('SLURM_JOB_ID', 'local')}"
    folder.mkdir(mode=0o700, exist_ok=True)
    # One job at a time collects devices, or two that need several could wait for each other.
    log.info("waiting for %d of the GPUs %s", count, ",".join(ids))
    queue = _open(folder / "queue")
    fcntl.flock(queue, fcntl.LOCK_EX)
    held: dict[str, int] = {}
    while len(held) < count:
        for device in ids:
            if device not in held and len(held) < count and (lock := _try_lock(folder / device)) is not None:
                held[device] = lock
        if len(held) < count:
            time.sleep(POLL)
    os.close(queue)
    leased = sorted(held, key=ids.index)
    os.environ[VISIBLE] = ",".join(leased)
    return leased


def devices() -> list[str]:
    """The ids of the devices to choose from: CUDA_VISIBLE_DEVICES where it is set, else all that torch finds.

    Torch looks once, and would not see later that a lease hides some: another process asks it.
    """
    if VISIBLE in os.environ:
        return [device.strip() for device in os.environ[VISIBLE].split(",") if device.strip()]
    count = "import torch; print(torch.cuda.device_count())"
    found = subprocess.run([sys.executable, "-c", count], check=True, capture_output=True, text=True).stdout
    return [str(number) for number in range(int(found))]


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock, which outlives `exec`; None if another process has it."""
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.set_inheritable(descriptor, True)
    return descriptor
