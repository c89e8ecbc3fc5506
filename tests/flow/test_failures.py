"""What people see of a job that fails."""

import re
import shlex
import sys

import pytest
from conftest import copy

from interdiff.workflow.engine.dry_run import parse
from interdiff.workflow.engine.failures import NO_REASON, reason, shortened

FAILING = f"""#!{sys.executable}
import sys
from pathlib import Path

log = Path(sys.argv[sys.argv.index("--log") + 1])
log.parent.mkdir(parents=True, exist_ok=True)
log.write_text("10:00:00 begins\\n10:00:01 error: walls.txt: expected a wall around the maze\\n")
sys.exit(2)
"""
TARGET = "results/maze/demonstrations/umaze.hdf5"


@pytest.mark.parametrize("options", [(), ("--quiet", "rules", "host", "--")])
def test_a_crash_shows_the_error_and_no_identity_text(tmp_path, options):
    repository = copy(tmp_path / "repo", FAILING)
    code, text = repository.run("snakemake", "--nocolor", *options, TARGET)
    assert code != 0
    assert '{"code"' not in text
    assert "--spec ... --gpus 0" in text
    assert "returned non-zero exit status 2" in text
    if not options:
        (after,) = re.findall(r"^Error in rule demonstrations:\n(.*)$", text, re.MULTILINE)
        assert after == "    message: error: walls.txt: expected a wall around the maze"
        # A dry run prints the whole command, which `make why` reads.
        (job,) = parse(repository.snakemake("--dry-run", "--printshellcmds", TARGET))
        assert job.spec["stage"] == "maze.demonstrations"


@pytest.mark.parametrize("spec", ['{"a":1}', """{"a":"it's 'so'"}""", "{'}"])
def test_only_the_identity_text_goes(spec):
    command = f"python -m stages --spec {shlex.quote(spec)} --gpus 0 --log 'a b.txt'"
    assert shortened(f"Command '{command}' returned 1") == (
        "Command 'python -m stages --spec ... --gpus 0 --log 'a b.txt'' returned 1"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10:00:00 error: first\n10:00:01 error: a: bad\n", "error: a: bad"),
        ("10:00:00 Traceback (most recent call last):\n  File x\nValueError: no\n\n", "ValueError: no"),
        ("torch.OutOfMemoryError: CUDA\n", "torch.OutOfMemoryError: CUDA"),
        ("10:00:00 step 50 loss 0.1\n", NO_REASON),
    ],
)
def test_the_reason_is_the_last_error_of_the_log(tmp_path, text, expected):
    path = tmp_path / "log.txt"
    path.write_text(text)
    assert reason([str(path)]) == expected
    assert reason([str(tmp_path / "none.txt")]) == NO_REASON
