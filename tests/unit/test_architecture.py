"""The arrows of the design, section 3: who may import whom, and how large a module and a folder may be."""

import ast
import re
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("interdiff", "stages")
    for path in sorted((ROOT / folder).rglob("*.py"))
}
LAYERS = {
    "": "interdiff < stages",
    "interdiff": "errors < axes, files, own_code < settings < learning, plotting, tables < keyframes < two_phase"
    " < maze, video < workflow",
    "interdiff.maze": "world < planner < baselines < evaluation < figures < plan",
    "interdiff.video": (
        "attention, codec < data < backbone, interpolators < distillation < planner, evaluation < figures < show"
        " < pipeline_parts < pipeline_base < pipeline, student_pipeline"
    ),
}
"""Parts of a package from the ground up: a part imports only what is below it."""
FACADES = {"interdiff.maze"}
"""Packages that hand names on, and so are not empty."""


def imports(name):
    """The modules of this repository that one imports, at its head or inside a function."""
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in FILES)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name} imports by a relative name"
            found = {f"{node.module}.{alias.name}" for alias in node.names} & FILES.keys()
            yield from found or {node.module} & FILES.keys()


ARROWS = sorted({(name, other) for name in FILES for other in imports(name) if name != other})


@pytest.mark.parametrize("package", LAYERS)
def test_arrows_point_down(package):
    height = {part: level for level, parts in enumerate(LAYERS[package].split(" < ")) for part in parts.split(", ")}
    broken = []
    for importer, imported in ARROWS:
        one, other = (part_of(name, package) for name in (importer, imported))
        if one != other and {one, other} <= height.keys() and height[one] <= height[other]:
            broken.append(f"{importer} imports {imported}")
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize("package", LAYERS)
def test_every_part_has_its_place(package):
    named = {part for parts in LAYERS[package].split(" < ") for part in parts.split(", ")}
    assert {part_of(name, package) for name in FILES} - {None} == named


def part_of(name, package):
    """The module or folder of a package that a module lies in; None outside it."""
    above = package.split(".") if package else []
    own = name.split(".")
    return own[len(above)] if own[: len(above)] == above != own else None


def test_no_circles_among_modules():
    circle = circles(ARROWS)
    assert not circle, "\n".join(f"{importer} imports {imported}" for importer, imported in circle)


@pytest.mark.parametrize("package", [name for name, path in FILES.items() if path.name == "__init__.py"])
def test_no_circles_among_the_parts_of_a_folder(package):
    parts = [(part_of(importer, package), part_of(imported, package)) for importer, imported in ARROWS]
    circle = circles(arrow for arrow in parts if None not in arrow and arrow[0] != arrow[1])
    assert not circle, "\n".join(f"{package}: {importer} imports {imported}" for importer, imported in circle)


def circles(arrows):
    """Those arrows that are left when what imports nothing, or is imported by nothing, is taken away again and again."""
    arrows = set(arrows)
    while ends := {importer for importer, _ in arrows} ^ {imported for _, imported in arrows}:
        arrows = {arrow for arrow in arrows if not ends & set(arrow)}
    return sorted(arrows)


def test_modules_are_short():
    """But for the tests that share one smoke run."""
    paths = [*FILES.values(), *(path for path in (ROOT / "tests").rglob("*.py") if path.name != "test_smoke.py")]
    lines = {path: path.read_text().count("\n") for path in paths}
    assert {path: count for path, count in lines.items() if count > 300} == {}


def test_folders_are_small():
    """But for `stages`: one script per rule."""
    modules = Counter(name.rpartition(".")[0] for name, path in FILES.items() if path.name != "__init__.py")
    assert {name: count for name, count in modules.items() if count > 14 and not name.startswith("stages")} == {}


def test_stages_repeat_no_three_statements():
    """What two stages do alike is a module beside them."""
    found = defaultdict(set)
    for name, path in FILES.items():
        bodies = [node.body for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
        if name.startswith("stages."):
            for body in bodies:
                lines = [ast.unparse(statement) for statement in body]
                for three in zip(lines, lines[1:], lines[2:], strict=False):
                    found[three].add(name)
    assert {three: names for three, names in found.items() if len(names) > 1} == {}


def test_packages_hold_no_code_of_their_own():
    assert {name for name, path in FILES.items() if path.name == "__init__.py" and path.read_text()} == FACADES


def test_the_workflow_begins_without_torch():
    """Whose import takes as long as the rest of a dry run."""
    files = [ROOT / "Snakefile", *sorted((ROOT / "rules").rglob("*.smk"))]
    modules = {
        name for file in files for name in re.findall(r"^(?:from|import) (interdiff[\w.]*)", file.read_text(), re.M)
    }
    assert len(modules) > 9
    code = f"import sys, {', '.join(sorted(modules))}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not {"torch", "diffusers", "transformers", "pandas", "matplotlib"} & set(loaded.split())
