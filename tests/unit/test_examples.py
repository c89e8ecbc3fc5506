"""The method on one page runs, is one page, and uses the core folders alone."""

import ast
import re
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "two_phase.py"


def test_the_example_is_one_page_of_the_core():
    text = EXAMPLE.read_text()
    assert len(text.splitlines()) < 120
    modules = [node.module for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
    folders = {name.split(".")[1] for name in modules if name.startswith("interdiff")}
    assert folders == {"keyframes", "two_phase", "learning"}


def test_phase_2_corrects_what_was_interpolated(tmp_path):
    command = [sys.executable, EXAMPLE, tmp_path / "curves.png", "40"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    error = {
        name: float(value)
        for name, value in re.findall(r"^(.+?) +\d+ tokens +mean squared error (.+)$", done.stdout, re.M)
    }
    assert set(error) == {"interpolated", "refined", "all frames"}
    assert error["refined"] < error["interpolated"]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
