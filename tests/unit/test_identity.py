import json

import pytest

from interdiff.errors import InputError
from interdiff.workflow.identity import _closure, _file, _parsed, code_hashes, packages, spec

DEEP = '''from ..far import h
import numpy


def g():
    """Doc."""
    return h  # why
'''

FILES = {
    "stages/__init__.py": "",
    "stages/toy.py": "from interdiff import leaf\nfrom interdiff.errors import InputError\nimport torch.nn\n",
    "stages/other.py": "import json\n",
    "interdiff/__init__.py": '"""Only a docstring."""\n',
    "interdiff/errors.py": "from interdiff import hidden\n",
    "interdiff/hidden.py": "x = 1\n",
    "interdiff/leaf.py": "def f():\n    from .sub.deep import g\n    return g\n",
    "interdiff/sub/__init__.py": "value = 1\n",
    "interdiff/sub/deep.py": DEEP,
    "interdiff/far.py": "h = 1\n",
    "interdiff/learning/environment.py": "threads = 1\n",
}


@pytest.fixture
def repo(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def hashes(repo, module="stages.toy"):
    for cached in (_closure, _file, _parsed):
        cached.cache_clear()
    return code_hashes(module, repo)


def test_the_closure_follows_every_kind_of_import(repo):
    names = [
        "interdiff/far.py",
        "interdiff/leaf.py",
        "interdiff/sub/__init__.py",
        "interdiff/sub/deep.py",
        "stages/toy.py",
    ]
    assert list(hashes(repo)) == names
    assert list(hashes(repo, "stages.other")) == ["stages/other.py"]
    assert list(packages("stages.toy", repo)) == ["numpy", "torch"]


def test_only_code_changes_a_hash(repo):
    before = hashes(repo)
    deep = repo / "interdiff/sub/deep.py"
    original = deep.read_text()
    deep.write_text(original.replace("# why", "# because").replace("Doc.", "Other.").replace("return h", "return  h"))
    assert hashes(repo) == before
    deep.write_text(original.replace("return h", "return h + 1"))
    after = hashes(repo)
    assert {name for name in before if before[name] != after[name]} == {"interdiff/sub/deep.py"}
    deep.write_text(original)
    assert hashes(repo) == before


def test_excluded_modules_and_their_imports_stay_out(repo):
    before = hashes(repo)
    (repo / "interdiff/errors.py").write_text("from interdiff import far\nx = 2\n")
    (repo / "interdiff/hidden.py").write_text("x = 2\n")
    assert hashes(repo) == before


def test_the_spec_is_canonical_and_complete(repo):
    source = repo / "data.bin"
    source.write_bytes(b"1")
    one = spec("toy", {"a": 1, "b": 2}, root=repo, threads=2, sources=[source])
    same = spec("toy", {"b": 2, "a": 1}, root=repo, threads=2, sources=[source])
    swapped = spec("toy", {"a": 2, "b": 1}, root=repo, threads=2, sources=[source])
    assert one == same != swapped
    assert set(json.loads(one)) == {"stage", "settings", "code", "packages", "threads", "sources"}
    source.write_bytes(b"2")
    assert spec("toy", {"a": 1, "b": 2}, root=repo, threads=2, sources=[source]) != one


def test_a_digest_is_the_same_in_every_version_of_python(repo):
    assert hashes(repo)["interdiff/sub/deep.py"] == "da9ab4149bae"


def test_missing_modules_and_broken_files_are_named(repo):
    with pytest.raises(InputError, match=r"stages\.none"):
        hashes(repo, "stages.none")
    (repo / "interdiff/far.py").write_text("def\n")
    with pytest.raises(InputError, match=r"far\.py: not valid Python"):
        hashes(repo)
