"""A SLURM cluster of this one machine with two fake GPUs, without systemd, munge, cgroups or a database."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
DAEMONS = "/usr/sbin"


class Cluster:
    """Its programs, run with its configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = os.pathsep.join([str(folder / "bin"), os.environ["PATH"], DAEMONS])
        self.environment = os.environ | {"PATH": path, "SLURM_CONF": str(folder / "slurm.conf")}

    def run(self, *command: str) -> str:
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def jobs(self) -> list[dict[str, str]]:
        """All jobs, ended ones too, by the field names of `scontrol show job`."""
        text = self.run("scontrol", "show", "job", "--details", "--oneliner")
        return [
            dict(word.split("=", 1) for word in line.split() if "=" in word)
            for line in text.splitlines()
            if line.startswith("JobId=")
        ]

    def job(self, comment: str) -> dict[str, str]:
        """The last job that Snakemake submitted for a rule and its wildcards, empty if there is none yet."""
        return next((job for job in reversed(self.jobs()) if job.get("Comment") == comment), {})


def wait_for(condition, seconds: float, what: str):
    """The first true value of a condition."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"after {seconds} s: {what}"
        time.sleep(0.1)
    return value


@contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    """Start the daemons; stop them and their jobs at the end."""
    for name in ("state", "spool", "bin"):
        (folder / name).mkdir()
    values = {"host": socket.gethostname().split(".")[0], "user": getpass.getuser(), "folder": folder}
    values |= dict(zip(("controller_port", "node_port"), _free_ports(2), strict=True))
    for name in ("slurm.conf", "gres.conf"):
        (folder / name).write_text((HERE / name).read_text().format(**values))
    it = Cluster(folder)
    # Snakemake's job step hides SLURM_CONF from srun, and /etc/slurm is not this test's to write.
    shim = folder / "bin/srun"
    srun = shutil.which("srun", path=it.environment["PATH"])
    shim.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {srun} "$@"\n')
    shim.chmod(0o755)
    daemons = []
    try:
        for command in (["slurmctld", "-D", "-c", "-i"], ["slurmd", "-D", "-N", values["host"]]):
            with (folder / f"{command[0]}.out").open("w") as stream:
                daemons.append(subprocess.Popen(command, env=it.environment, stdout=stream, stderr=stream))
        wait_for(lambda: _idle(it), 30, "the node is not idle")
        yield it
    finally:
        subprocess.run(["scancel", "--user", values["user"]], env=it.environment)
        deadline = time.monotonic() + 30
        while _busy(it) and time.monotonic() < deadline:
            time.sleep(0.2)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait(30)


def _idle(it: Cluster) -> bool:
    done = subprocess.run(["sinfo", "--noheader", "-o", "%t"], env=it.environment, capture_output=True, text=True)
    return done.stdout.strip() == "idle"


def _busy(it: Cluster) -> bool:
    done = subprocess.run(["squeue", "--noheader"], env=it.environment, capture_output=True)
    return bool(done.stdout.strip())


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
