import pytest
from pydantic import Field

from interdiff.errors import InputError
from interdiff.learning.settings import TrainingSettings
from interdiff.settings import Section
from interdiff.workflow.variants import Node, Variants, merge, parents
from interdiff.workflow.variants import resolve as variants_of

STAGES = {"data": Node("data"), "train": Node("train", ("data",)), "draw": Node("draw", ("train",))}


def resolve(base, variants):
    settings, ancestry = {"base": base}, parents(variants)
    for name, parent in ancestry.items():
        settings[name] = merge(settings[parent], {k: v for k, v in variants[name].items() if k != "from"})
    return Variants(settings, ancestry, STAGES)


BASE = {"data": {"n": 1}, "train": {"lr": 1, "net": {"d": 1, "h": 2}}, "draw": {"k": 8}}


def test_mappings_merge_and_lists_replace():
    assert merge({"a": {"b": 1, "c": [1, 2]}}, {"a": {"c": [3]}}) == {"a": {"b": 1, "c": [3]}}


def test_a_variant_owns_what_differs_and_everything_downstream():
    variants = resolve(BASE, {"wide": {"train": {"net": {"d": 9}}}, "few": {"from": "wide", "draw": {"k": 4}}})
    assert variants.section("train", "wide") == {"lr": 1, "net": {"d": 9, "h": 2}}
    assert [variants.owner(s, "wide") for s in STAGES] == ["base", "wide", "wide"]
    assert [variants.owner(s, "few") for s in STAGES] == ["base", "wide", "few"]


def test_an_override_that_changes_nothing_owns_nothing():
    variants = resolve(BASE, {"same": {"train": {"lr": 1}}})
    assert {variants.owner(s, "same") for s in STAGES} == {"base"}


def test_the_order_of_declaration_does_not_matter():
    declared = {"b": {"from": "c"}, "a": {"from": "b"}, "c": {"draw": {"k": 2}}}
    reverse = dict(reversed(declared.items()))
    assert parents(declared) == parents(reverse) == {"c": "base", "b": "c", "a": "b"}
    assert list(parents(declared)) == list(parents(reverse))


def test_cycles_and_unknown_names_are_refused():
    with pytest.raises(InputError, match=r"variants\.a\.from: a cycle, a -> b -> a"):
        parents({"a": {"from": "b"}, "b": {"from": "a"}})
    with pytest.raises(InputError, match=r"variants\.a\.from: unknown variant 'x'"):
        parents({"a": {"from": "x"}})
    with pytest.raises(InputError, match="unknown variant 'x'"):
        resolve(BASE, {}).owner("data", "x")


class Training(Section):
    """A stage with training."""

    training: TrainingSettings = Field(default_factory=TrainingSettings)


class Loaded(Training):
    """A stage whose weights may come from elsewhere."""

    pretrained: str | None = "weights"


class LoadedWhole(Section):
    """All stages, of which the first is not trained but where a variant says so."""

    train: Loaded = Field(default_factory=Loaded)
    draw: Training = Field(default_factory=Training)


class Draw(Section):
    """A stage without."""

    k: int = 8


class Whole(Section):
    """All stages."""

    train: Training = Field(default_factory=Training)
    draw: Draw = Field(default_factory=Draw)


TWO = {"train": Node("train"), "draw": Node("draw", ("train",))}
FANNED = {"few": {"draw": {"k": 4}}, "fewer": {"from": "few", "draw": {"k": 2}}}


def test_seeds_fan_a_variant_out_and_what_a_seed_trains_is_shared_along_the_line_of_descent():
    variants = variants_of(Whole(), FANNED, TWO, "maze.variants", {"fewer": [1, 2], "base": [1]})
    assert variants.of_all_seeds("fewer") == ["fewer", "fewer_seed1", "fewer_seed2"]
    assert variants.of_all_seeds("few") == ["few"]
    assert variants.section("train", "fewer_seed2")["training"]["seed"] == 2
    assert variants.section("draw", "fewer_seed2") == {"k": 2}
    assert [variants.owner(stage, "fewer_seed1") for stage in TWO] == ["base_seed1", "fewer_seed1"]
    assert variants.owner("draw", "few_seed1") == "few_seed1"
    assert variants.owner("train", "fewer") == "base"


def test_seeds_share_pretrained_weights_and_train_what_a_variant_trains():
    variants = variants_of(LoadedWhole(), {"own": {"train": {"pretrained": None}}}, TWO, "x", {"base": [1], "own": [1]})
    assert variants.owner("train", "base_seed1") == "base"
    assert variants.owner("draw", "base_seed1") == "base_seed1"
    assert variants.owner("train", "own_seed1") == "own_seed1"
    assert variants.section("train", "own_seed1")["training"]["seed"] == 1


def test_seeds_of_what_is_not_there_are_refused():
    with pytest.raises(InputError, match=r"seeds\.x: unknown variant; expected one of base, few, fewer"):
        variants_of(Whole(), FANNED, TWO, "maze.variants", {"x": [1]})
    with pytest.raises(InputError, match=r"variants\.base_seed1: this name is that of a variant with another seed"):
        variants_of(Whole(), {"base_seed1": {}}, TWO, "maze.variants", {"base": [1]})
