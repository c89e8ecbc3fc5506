import json
from itertools import product
from pathlib import Path

import pytest
import yaml

from interdiff.settings import Section
from interdiff.workflow.config_reference import FILES, reference, schema

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", FILES)
def test_the_documents_are_those_of_the_typed_configuration(name):
    assert (ROOT / "docs" / name).read_text() == FILES[name](), "run `make docs`"


def keys(values, path=""):
    for key, value in values.items():
        yield f"{path}{key}"
        if isinstance(value, dict):
            yield from keys(value, f"{path}{key}.")


def test_every_key_of_the_schema_is_in_the_reference_with_its_meaning():
    definitions = json.loads(schema())
    rows = [line.split(" | ") for line in reference().splitlines() if line.startswith("| `")]
    named = {row[0].strip("| `") for row in rows}
    for group in [definitions, *definitions["$defs"].values()]:
        assert set(group["properties"]) <= named
    assert all(row[-1].strip(" |") for row in rows)


def every(section):
    for kind in section.__subclasses__():
        yield kind
        yield from every(kind)


def test_no_two_sections_write_the_same_keys():
    """What two of them have alike is a section that both are of."""
    own = {
        kind: {
            (name, field.description, str(field.annotation), repr(field.default))
            for name, field in kind.model_fields.items()
            if name in kind.__annotations__ and field.description
        }
        for kind in every(Section)
    }
    shared = {(a, b): keys & own[b] for (a, keys), b in product(own.items(), own) if a is not b}
    assert {pair: keys for pair, keys in shared.items() if len(keys) > 1} == {}


def test_bounds_defaults_and_groups_are_shown():
    text = reference()
    assert "| `frames` | integer | `128` | ≥ 2 | T, points per sequence |" in text
    assert "## `maze.base.segment_cost.training`, `maze.base.selector.training`, `maze.base.keyframes.training`" in text
    assert "## `maze.layouts.NAME`" in text


def test_the_configuration_file_holds_no_key_that_the_reference_lacks():
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    named = {line.split("`")[1] for line in reference().splitlines() if line.startswith("| `")}
    base = values["maze"]["base"]
    free = set(base["keyframes"]["mix"]) | set(base["refiner"]["mix"])
    assert {path.rsplit(".")[-1] for path in keys(base)} - free <= named
