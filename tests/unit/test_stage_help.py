import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from interdiff.workflow.runner import _parser

ROOT = Path(__file__).parents[2]
STAGES = sorted(f"{path.parent.name}.{path.stem}" for path in (ROOT / "stages").glob("*/[a-z]*.py"))


@pytest.mark.parametrize("name", STAGES)
def test_help_says_what_the_stage_is_and_what_it_reads_and_writes(name, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    module = importlib.import_module(f"stages.{name}")
    text = " ".join(_parser(module.main).format_help().split())
    assert text.startswith(f"usage: python -m stages.{name} ")
    assert " ".join(module.__doc__.split()) in text
    reads = " ".join(module.main.__doc__.split())
    assert reads in text
    assert "writes" in reads.lower()


def test_help_is_printed_without_any_argument_being_needed():
    done = subprocess.run(
        [sys.executable, "-m", "stages.maze.metrics", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "--out [NAME=PATH ...] outputs, as NAME=PATH" in " ".join(done.stdout.split())
