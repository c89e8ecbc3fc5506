"""Configurations that are valid, and what they stand for."""

import pytest
import yaml
from pydantic import BaseModel
from test_config import ROOT

from interdiff import settings
from interdiff.errors import InputError
from interdiff.workflow import config
from interdiff.workflow.config import Config, load_config
from interdiff.workflow.pipelines import maze as maze_settings
from interdiff.workflow.variants import merge


def test_what_stages_are_told_is_valid_again():
    """They check it themselves, with every key of it given."""
    maze = load_config({}).maze
    for section in (*maze.layouts.values(), maze.base, maze.report.rollouts, maze.report.unseen):
        assert type(section).model_validate(section.model_dump()) == section
    with pytest.raises(InputError, match=r"layouts\.umaze: dt and origin are about source, which is null"):
        load_config({"maze": {"layouts": {"umaze": {"map": "umaze", "dt": 0.02}}}})


def test_a_preset_stands_for_its_sizes():
    config = load_config({"maze": {"base": {"refiner": {"network": "log"}}}})
    assert config.maze.base.refiner.network.d_model == 384


def test_every_key_is_described():
    named = {name: value for module in (config, settings, maze_settings) for name, value in vars(module).items()}
    models = [m for m in named.values() if isinstance(m, type) and issubclass(m, BaseModel)]
    assert len(models) > 20
    bare = [f"{m.__name__}.{k}" for m in models for k, f in m.model_fields.items() if not f.description]
    assert not bare


@pytest.mark.parametrize("profile", sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml")))
def test_shipped_configurations_are_valid(profile):
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    for path in yaml.safe_load((ROOT / f"profiles/{profile}/config.yaml").read_text()).get("configfile", []):
        values = merge(values, yaml.safe_load((ROOT / path).read_text()))
    loaded = load_config(values)
    # Jobs are told every key of their settings, those that have their default too.
    assert Config.model_validate_json(loaded.model_dump_json()) == loaded
