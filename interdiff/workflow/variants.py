"""Named variants: overrides merged on a parent, and which variant's artifact each stage uses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field, PrivateAttr

from interdiff.errors import InputError
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


@dataclass(frozen=True)
class Variants:
    """Merged settings by variant name (with `base`), each variant's parent, and the pipeline's stages."""

    settings: Mapping[str, Mapping[str, Any]]
    parents: Mapping[str, str]
    stages: Mapping[str, Node]
    models: Mapping[str, Section] = field(default_factory=dict)

    def owner(self, stage: str, variant: str) -> str:
        """The most distant ancestor from which on a stage's settings and all of its upstream's stay the same.

        Its artifact is the variant's: a variant has files of its own only where it differs from its parent.
        """
        self._check(variant)
        while variant != BASE and self._same(stage, variant, self.parents[variant]):
            variant = self.parents[variant]
        return variant

    def section(self, stage: str, variant: str) -> Any:
        """A stage's own settings in a variant."""
        self._check(variant)
        return self.settings[variant][self.stages[stage].section]

    def followed(self, stage: str) -> list[str]:
        """A stage and all that it follows, in the pipeline's order."""
        return [name for name in self.stages if name in {stage, *self._ancestors(stage)}]

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
        return all(self.section(s, one) == self.section(s, other) for s in self.followed(stage))

    def _ancestors(self, stage: str) -> Iterator[str]:
        for upstream in self.stages[stage].upstream:
            yield upstream
            yield from self._ancestors(upstream)


def resolve(
    base: Section, overrides: Mapping[str, Mapping[str, Any]], stages: Mapping[str, Node], prefix: str
) -> Variants:
    """All variants merged on their parents and validated as `base` was; InputError with the keys below `prefix`."""
    ancestry = parents(overrides)
    models = {BASE: base}
    for name, parent in ancestry.items():
        own = {key: value for key, value in overrides[name].items() if key != "from"}
        models[name] = validated(type(base), merge(models[parent].model_dump(), own), f"{prefix}.{name}")
    return Variants({name: model.model_dump() for name, model in models.items()}, ancestry, stages, models)


class WithVariants(Section):
    """A pipeline's configuration: what its variants change; its own checks set `_resolved`."""

    variants: dict[Name, dict[str, Any]] = Field(
        default_factory=dict,
        description="overrides of base (or of the variant named by `from:`) by variant name",
    )
    _resolved: Variants = PrivateAttr()

    def resolved(self) -> Variants:
        """All variants merged, with `base`, and who owns which artifact."""
        return self._resolved
