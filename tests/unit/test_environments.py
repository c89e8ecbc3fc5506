import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = PROJECT["dependencies"]
EXTRAS = [pin for pins in PROJECT["optional-dependencies"].values() for pin in pins if pin != "interdiff[workflow]"]


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.name)
def test_environments_pin_what_pyproject_pins(path):
    requirements = yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]
    assert set(requirements) <= {*PINS, *EXTRAS}
    assert requirements == sorted(requirements)


def test_every_dependency_is_pinned():
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", pin) for pin in PINS + EXTRAS)
