import errno
import fcntl
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from interdiff.errors import InputError
from interdiff.workflow.locks import claim_output, claim_results

ROOT = Path(__file__).parents[2]
HOLDER = """
import subprocess, sys
from pathlib import Path
from interdiff.workflow.locks import claim_output, claim_results
{claim}
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
child.wait()
"""
CLAIMS = {
    "results": "claim_results(sys.argv[1])",
    "output": "claim_output(Path(sys.argv[1]), 'maze/a/base/m', 'maze/a/base')",
}


@pytest.fixture
def hold(tmp_path):
    """Start a process that claims what it is told to, and that has a child which outlives it."""
    started, children = [], []

    def start(what):
        command = [sys.executable, "-c", HOLDER.format(claim=CLAIMS[what]), str(tmp_path)]
        holder = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
        started.append(holder)
        children.append(int(holder.stdout.readline()))
        return holder

    yield start
    for holder in started:
        holder.kill()
        holder.wait()
    for child in children:
        os.kill(child, 9)


def message(holder):
    return rf"process {holder.pid} on {socket.gethostname()}.*\. Wait for .*, or stop .*then start again\."


def test_a_second_snakemake_is_refused_until_the_first_has_died(tmp_path, hold):
    holder = hold("results")
    with pytest.raises(InputError, match="another snakemake works here: " + message(holder)):
        claim_results(tmp_path)
    holder.kill()
    holder.wait()
    claim_results(tmp_path)


def test_a_job_of_a_killed_snakemake_is_named(tmp_path, hold):
    holder = hold("output")
    with pytest.raises(InputError, match="still run here: maze/a/base, " + message(holder)):
        claim_results(tmp_path)


def test_an_output_has_one_maker(tmp_path, hold):
    holder = hold("output")
    with pytest.raises(InputError, match="maze/a/base: another process still makes .* maze/a/base, " + message(holder)):
        claim_output(tmp_path, "maze/a/base/m", "maze/a/base")
    claim_output(tmp_path, "maze/a/base/other", "maze/a/base")
    holder.kill()
    holder.wait()
    claim_output(tmp_path, "maze/a/base/m", "maze/a/base")


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(InputError, match=r"\.job: cannot be locked .* need a file system with locks"):
        claim_output(tmp_path, "a", "a")
