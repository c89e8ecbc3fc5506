"""README.md, CONTRIBUTING.md, CHANGELOG.md and docs/ name only what exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
TREE = "interdiff|stages|benchmarks|rules|profiles|pretrained|examples|envs|tests|docs"
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def headings(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def proposed(text: str) -> set[str]:
    """Paths of files that a page asks its reader to write."""
    return set(re.findall(r"Save this as\s+`([^`]+)`", text))


def named(name: str) -> bool:
    """Whether a dotted name is a module, or what one defines or imports."""
    parts = name.split(".")
    for end in (len(parts), len(parts) - 1):
        path = ROOT.joinpath(*parts[:end])
        for source in (path.with_suffix(".py"), path / "__init__.py"):
            if source.exists():
                return end == len(parts) or parts[-1] in defined(source)
    return ROOT.joinpath(*parts).is_dir()


def defined(source: Path) -> set[str]:
    """Names and texts that occur in a module."""
    nodes = list(ast.walk(ast.parse(source.read_text())))
    names = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return names | texts


@each_page
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"[a-z]+://", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in headings(linked), f"{page.name} links to {target}"


@each_page
def test_modules_exist(page):
    text = page.read_text()
    written = {Path(path).with_suffix("").as_posix().replace("/", ".") for path in proposed(text)}
    modules = set(re.findall(r"\b(?:interdiff|stages|benchmarks)(?:\.[A-Za-z_]\w*)+", text)) - written
    assert not [name for name in sorted(modules) if not name.endswith("NAME") and not named(name)]


@each_page
def test_files_exist(page):
    text = page.read_text()
    paths = set(re.findall(rf"`((?:{TREE})/[\w./-]*)`", text)) - proposed(text)
    assert not [path for path in sorted(paths) if not (ROOT / path).exists()]


@each_page
def test_make_has_the_targets(page):
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert not set(re.findall(r"`make ([a-z-]+)", page.read_text())) - {*targets, "test-full"}


@pytest.mark.parametrize("domain", ["maze", "video"])
def test_artifacts_name_their_scripts(domain):
    section = re.split(r"^## ", (ROOT / "docs" / "artifacts.md").read_text(), flags=re.MULTILINE)
    (tables,) = [part for part in section if part.lower().startswith(domain)]
    scripts = set(re.findall(r"`(\w+\.py)`", tables))
    assert scripts
    stages = ROOT / "stages"
    assert not [name for name in sorted(scripts) if not ((stages / domain / name).exists() or (stages / name).exists())]


def test_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 900


def test_figures_of_the_readme_have_their_spread():
    """But for shares of exactly one, whose standard error is not known."""
    measured = ("score", "success", "Frechet", "shown", "smoothness")
    cells = []
    for table in re.findall(r"(?:^\|.*\n)+", (ROOT / "README.md").read_text(), re.MULTILINE):
        head, _, *rows = [line.strip("|").split("|") for line in table.splitlines()]
        columns = [n for n, name in enumerate(head) if name.strip().startswith(measured)]
        cells += [row[n].strip() for row in rows for n in columns]
    assert len(cells) == 5 * 3 + 7 * 3
    assert not [cell for cell in cells if "±" not in cell and cell != "1.000"]


@each_page
def test_vocabulary(page):
    if page.name != "CHANGELOG.md":  # which says what old names became
        assert not re.findall(r"\w*keypoint\w*|\bpeers?\b|learned_peers?", page.read_text(), re.IGNORECASE)


@each_page
def test_nothing_waits_to_be_written(page):
    """Long words in capitals that are no names hold a place for what comes later."""
    text = re.sub(r"```.*?```|`[^`]*`|\]\([^)]*\)|\$[^$]*\$", "", page.read_text(), flags=re.DOTALL)
    names = {"LDMVFI", "SIGTERM", "VARIANT", "README", "CONTRIBUTING", "CHANGELOG", "LICENSE", "CITATION"}
    assert not set(re.findall(r"\b[A-Z]{6,}\b|\bTODO\b|\bFIXME\b|\bTBD\b", text)) - names


def test_what_is_cited_is_among_the_references():
    code = [path for folder in ("interdiff", "stages") for path in (ROOT / folder).rglob("*.py")]
    text = " ".join(re.sub(r"\s+#?\s*", " ", path.read_text()) for path in [*PAGES, *code])
    cited = set(re.findall(r"([A-Z][\wäé-]+ (?:et al\.|& [A-Z]\w+)) \(?((?:19|20)\d\d[a-z]?)", text))
    listed = (ROOT / "docs/references.md").read_text()
    assert len(cited) > 40
    assert not [f"{who} {year}" for who, year in sorted(cited) if f"- {who} {year}." not in listed]
