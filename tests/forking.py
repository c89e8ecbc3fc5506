"""`python -m ...` of a test's copy of the repository: for each a process is forked that has imported the libraries.

Torch and diffusers take ten seconds of processor time to import, more than most jobs of the smoke run take; what is the
repository's own is imported by each job from its own folder.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path

SNAKEMAKE = (
    "h5py",
    "jinja2",
    "mujoco",
    "numba",
    "numpy",
    "pandas",
    "platformdirs",
    "pydantic",
    "scipy.ndimage",
    "smart_open",
    "snakemake.cli",
    "snakemake.executors.local",
    "snakemake.report.html_reporter",
    "snakemake.storage",
    "snakemake.workflow",
)
STAGES = (
    "accelerate",
    "cv2",
    "diffusers.loaders.single_file_utils",
    "diffusers.models.autoencoders.autoencoder_kl_wan",
    "diffusers.models.transformers.transformer_wan",
    "einops",
    "h5py",
    "matplotlib.pyplot",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.system_metrics.system_metrics_monitor",
    "mlflow.tracking",
    "mujoco",
    "numba",
    "pandas",
    "peft",
    "scipy.ndimage",
    "torch._dynamo",
    "transformers",
)
# In place of `python`: hands its command line, environment and streams over, and ends as the job ends.
CLIENT = """#!{python} -IS
import json
import os
import signal
import socket
import sys

if sys.argv[1:2] == ["-u"]:  # as torch's launcher starts its processes
    del sys.argv[1]
if sys.argv[1:2] != ["-m"]:
    os.execv("{python}", ["{python}", *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect("{address}")
    job = json.dumps({{"argv": sys.argv[2:], "cwd": os.getcwd(), "env": dict(os.environ)}}).encode()
    socket.send_fds(connection, [len(job).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(job)
    pid = int.from_bytes(connection.recv(4), "big")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: os.kill(pid, number))
    code = connection.recv(1)
sys.exit(code[0] if code else 1)
"""


@contextlib.contextmanager
def forking(folder: Path, libraries: Sequence[str]) -> Iterator[Path]:
    """The path of a program that takes the place of `python` as long as the context lasts."""
    folder.mkdir(exist_ok=True)
    address = folder / "socket"
    with subprocess.Popen([sys.executable, __file__, address, *libraries], stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        program = folder / "python"
        program.write_text(CLIENT.format(python=sys.executable, address=address))
        program.chmod(0o755)
        yield program
        process.terminate()


def serve(listener: socket.socket) -> None:
    """Two processes for each connection: one runs the command, the other waits for its end and reports it."""
    while True:
        connection, _ = listener.accept()
        if not os.fork():
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            job = os.fork()
            if not job:
                listener.close()
                end(run(connection))
            connection.sendall(job.to_bytes(4, "big"))
            code = os.waitstatus_to_exitcode(os.waitpid(job, 0)[1])
            connection.sendall(bytes([code if code >= 0 else 128 - code]))
            os._exit(0)
        connection.close()


def run(connection: socket.socket) -> int:
    """Run the command of a connection in this process, as a fresh one would: its exit code."""
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    with connection, connection.makefile("rb") as reader:
        job = json.loads(reader.read(int.from_bytes(size, "big")))
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["env"])
    own = (folder for folder in job["env"].get("PYTHONPATH", "").split(os.pathsep) if folder)
    sys.path[:1] = [job["cwd"], *own]
    sys.argv[:] = job["argv"]
    try:
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        if not isinstance(stop.code, str):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def end(code: int) -> None:
    """End as Python does, but do not take the libraries apart: that would copy their memory first."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    address, *libraries = sys.argv[1:]
    for name in libraries:
        importlib.import_module(name)
    # What a job starts is forked too.
    sys.executable = str(Path(address).with_name("python"))
    gc.freeze()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        # Nobody waits for those who wait for jobs.
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        serve(listener)
