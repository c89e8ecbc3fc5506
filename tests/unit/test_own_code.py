"""Code of networks of one's own counts among what results depend on."""

import json

import pytest
from test_own_networks import OTHERS, ROOT, package  # noqa: F401

from interdiff.errors import InputError
from interdiff.workflow.identity import _closure, _file, _parsed, code_hashes, spec


def fresh_hashes(module):
    for cached in (_closure, _file, _parsed):
        cached.cache_clear()
    return code_hashes(module, ROOT)


def test_code_outside_of_the_repository_counts_with_what_it_imports(package, monkeypatch):  # noqa: F811
    others = package / "my_package/others.py"
    others.write_text(f"import beside\nfrom interdiff.maze.planner import segment_cost\n{OTHERS}")
    before = fresh_hashes("my_package.others")
    own = {"beside.py", "my_package/deep.py", "my_package/others.py"}
    assert own == {name for name in before if not name.startswith("interdiff/")}
    assert "interdiff/learning/networks.py" in before
    (package / "my_package/deep.py").write_text("# Why.\nscale = 2\n")
    assert fresh_hashes("my_package.others") == before
    (package / "my_package/deep.py").write_text("scale = 3\n")
    after = fresh_hashes("my_package.others")
    assert [name for name in before if before[name] != after[name]] == ["my_package/deep.py"]
    text = spec("maze.refiner", {}, root=ROOT, threads=1, implementations=["my_package.others"])
    assert own < json.loads(text)["code"].keys()


def test_of_an_installed_package_its_own_modules_count(package, tmp_path, monkeypatch):  # noqa: F811
    installed = tmp_path / "site-packages"
    package.rename(installed)
    monkeypatch.syspath_prepend(str(installed))
    (installed / "my_package/others.py").write_text(f"import beside\n{OTHERS}")
    assert {"my_package/deep.py", "my_package/others.py"} == set(fresh_hashes("my_package.others"))


def test_a_missing_module_of_ones_own_is_named():
    with pytest.raises(InputError, match=r"module my_package\.none: no such file under .*, nor on Python's path"):
        fresh_hashes("my_package.none")
