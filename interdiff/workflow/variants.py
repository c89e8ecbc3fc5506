"""Named variants: overrides merged on a parent, and which variant's artifact each stage uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field, PrivateAttr

from interdiff.errors import InputError
from interdiff.learning.settings import TrainingSettings
from interdiff.settings import BASE, Name, Section, modules, validated


@dataclass(frozen=True)
class Node:
    """A stage of a pipeline: its own section of the settings, and the stages whose outputs it reads."""

    section: str
    upstream: tuple[str, ...] = ()


def merge(parent: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`parent` with `overrides`: mappings are merged key by key, everything else (lists too) is replaced.

    So is a mapping by one of another `class`, whose arguments are its own.
    """
    merged = dict(parent)
    for key, value in overrides.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        alike = both and value.get("class", merged[key].get("class")) == merged[key].get("class")
        merged[key] = merge(merged[key], value) if alike else value
    return merged


def difference(parent: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides that `merge` turns `parent` into `values` with."""
    changed: dict[str, Any] = {}
    for key, value in values.items():
        both = isinstance(value, Mapping) and isinstance(parent.get(key), Mapping)
        if both and value.get("class") == parent[key].get("class"):
            if nested := difference(parent[key], value):
                changed[key] = nested
        elif key not in parent or value != parent[key]:
            changed[key] = value
    return changed


def parents(variants: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The parent of every variant, parents first, then by name: the order of declaration has no effect.

    Raises:
        InputError: an unknown parent or a cycle (names the variant), or a variant called `base`.
    """
    if BASE in variants:
        raise InputError(f"variants.{BASE}: this name is taken by the settings that variants start from")
    found = {name: overrides.get("from", BASE) for name, overrides in sorted(variants.items())}
    ordered: dict[str, str] = {}
    for name in found:
        chain = [name]
        while (parent := found[chain[-1]]) != BASE:
            if parent not in found:
                known = ", ".join([BASE, *found])
                raise InputError(f"variants.{chain[-1]}.from: unknown variant {parent!r}; expected one of {known}")
            if parent in chain:
                raise InputError(f"variants.{name}.from: a cycle, {' -> '.join([*chain, parent])}")
            chain.append(parent)
        ordered |= {link: found[link] for link in reversed(chain)}
    return ordered


def seeded(name: str, seed: int) -> str:
    """The name of a variant whose networks are all trained with another seed."""
    return f"{name}_seed{seed}"


def fanned_out(
    base: Section, overrides: Mapping[str, Mapping[str, Any]], seeds: Mapping[str, Sequence[int]]
) -> dict[str, Mapping[str, Any]]:
    """`overrides` with a variant for every further training seed of a variant.

    It descends from those of its parents with the same seed, so that all of one seed share what the variants share.

    Raises:
        InputError: seeds of an unknown variant, or a variant that has one of these names already.
    """
    ancestry, fanned = parents(overrides), dict(overrides)
    for name, numbers in seeds.items():
        if name != BASE and name not in overrides:
            raise InputError(f"seeds.{name}: unknown variant; expected one of {', '.join([BASE, *overrides])}")
        for seed in numbers:
            fanned[seeded(BASE, seed)] = training_seeds(base, seed)
            link = name
            while link != BASE:
                own = {key: value for key, value in overrides[link].items() if key != "from"}
                fanned[seeded(link, seed)] = own | {"from": seeded(ancestry[link], seed)}
                link = ancestry[link]
    if taken := sorted(name for name in overrides if fanned[name] is not overrides[name]):
        raise InputError(f"variants.{taken[0]}: this name is that of a variant with another seed")
    return fanned


def training_seeds(section: Section, seed: int) -> dict[str, Any]:
    """The overrides that give all training below a section a seed."""
    found: dict[str, Any] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, TrainingSettings):
            found[name] = {"seed": seed}
        elif isinstance(value, Section) and (below := training_seeds(value, seed)):
            found[name] = below
    return found


@dataclass(frozen=True)
class Variants:
    """Merged settings by variant name (with `base`), each variant's parent, and the pipeline's stages.

    seeds: further training seeds of variants, each of which is a variant too.
    """

    settings: Mapping[str, Mapping[str, Any]]
    parents: Mapping[str, str]
    stages: Mapping[str, Node]
    models: Mapping[str, Section] = field(default_factory=dict)
    seeds: Mapping[str, Sequence[int]] = field(default_factory=dict)
    # Every rule asks for these of every variant.
    _owners: dict[tuple[str, str], str] = field(default_factory=dict, repr=False, compare=False)
    _followed: dict[str, list[str]] = field(default_factory=dict, repr=False, compare=False)

    def of_all_seeds(self, variant: str) -> list[str]:
        """A variant and the same with its further training seeds."""
        self._check(variant)
        return [variant, *(seeded(variant, seed) for seed in self.seeds.get(variant, ()))]

    def owner(self, stage: str, variant: str) -> str:
        """The most distant ancestor from which on a stage's settings and all of its upstream's stay the same.

        Its artifact is the variant's: a variant has files of its own only where it differs from its parent.
        """
        self._check(variant)
        if (stage, variant) not in self._owners:
            own = variant == BASE or not self._same(stage, variant, self.parents[variant])
            self._owners[stage, variant] = variant if own else self.owner(stage, self.parents[variant])
        return self._owners[stage, variant]

    def section(self, stage: str, variant: str) -> Any:
        """A stage's own settings in a variant."""
        self._check(variant)
        return self.settings[variant][self.stages[stage].section]

    def followed(self, stage: str) -> list[str]:
        """A stage and all that it follows, in the pipeline's order."""
        if stage not in self._followed:
            found = {stage, *self._ancestors(stage)}
            self._followed[stage] = [name for name in self.stages if name in found]
        return self._followed[stage]

    def implementations(self, stage: str, variant: str) -> list[str]:
        """Modules that the settings of a stage, and of all that it follows, choose by name."""
        self._check(variant)
        sections = {self.stages[name].section for name in self.followed(stage)}
        return sorted({module for section in sections for module in modules(getattr(self.models[variant], section))})

    def _check(self, variant: str) -> None:
        if variant not in self.settings:
            known = ", ".join(self.settings)
            raise InputError(f"unknown variant {variant!r}; expected one of {known}")

    def _same(self, stage: str, one: str, other: str) -> bool:
        return all(_at_work(self.section(s, one)) == _at_work(self.section(s, other)) for s in self.followed(stage))

    def _ancestors(self, stage: str) -> Iterator[str]:
        for upstream in self.stages[stage].upstream:
            yield upstream
            yield from self._ancestors(upstream)


def _at_work(section: Any) -> Any:
    """A stage's settings but for the training that pretrained weights stand in for."""
    if isinstance(section, Mapping) and section.get("pretrained"):
        return {key: value for key, value in section.items() if key != "training"}
    return section


def resolve(
    base: Section,
    overrides: Mapping[str, Mapping[str, Any]],
    stages: Mapping[str, Node],
    prefix: str,
    seeds: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> Variants:
    """All variants merged on their parents and validated as `base` was; InputError with the keys below `prefix`."""
    overrides = fanned_out(base, overrides, seeds)
    ancestry = parents(overrides)
    models = {BASE: base}
    for name, parent in ancestry.items():
        own = {key: value for key, value in overrides[name].items() if key != "from"}
        models[name] = validated(type(base), merge(models[parent].model_dump(), own), f"{prefix}.{name}")
    return Variants({name: model.model_dump() for name, model in models.items()}, ancestry, stages, models, seeds)


class WithVariants(Section):
    """A pipeline's configuration: what its variants change; its own checks set `_resolved`."""

    variants: dict[Name, dict[str, Any]] = Field(
        default_factory=dict,
        description="overrides of base (or of the variant named by `from:`) by variant name",
    )
    seeds: dict[Name, list[Annotated[int, Field(ge=0)]]] = Field(
        default_factory=dict,
        description="further training seeds by variant (or base): NAME_seedN is the same with seed N for all its networks, and"
        " tables that compare planners give means over all of a variant's seeds",
    )
    _resolved: Variants = PrivateAttr()

    def resolved(self) -> Variants:
        """All variants merged, with `base`, and who owns which artifact."""
        return self._resolved
