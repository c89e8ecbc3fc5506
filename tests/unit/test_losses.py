"""Losses read like the paper: short, of a batch that was drawn elsewhere, and apart from what samples."""

import ast
from pathlib import Path

import pytest

from interdiff.workflow.identity import code_hashes

ROOT = Path(__file__).parents[2]
MODULES = [path for path in sorted((ROOT / "interdiff").rglob("*.py")) if "losses" in str(path.relative_to(ROOT))]
LOSSES = [
    pytest.param(node, id=f"{path.relative_to(ROOT)}:{node.name}")
    for path in MODULES
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.FunctionDef) and node.name.endswith("_loss")
]


@pytest.mark.parametrize("node", LOSSES)
def test_a_loss_is_short_and_draws_nothing(node):
    assert node.end_lineno - node.lineno + 1 < 25
    arguments = {argument.arg for argument in node.args.args}
    assert "generator" not in arguments, "a batch draws, a loss does not"
    called = {
        call.func.attr for call in ast.walk(node) if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
    }
    assert not called & {"rand", "randn", "randint", "multinomial", "exponential_"}


def test_there_are_losses():
    assert len(LOSSES) > 8


@pytest.mark.parametrize(
    "stage",
    ["maze.samples", "maze.anchors", "maze.drive", "maze.unseen", "video.samples", "video.anchors", "video.generated"],
)
def test_a_change_of_a_loss_makes_no_samples_anew(stage):
    assert not [name for name in code_hashes(f"stages.{stage}", ROOT) if "losses" in name]
