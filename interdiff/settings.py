"""What every section of the configuration is made of, and the sections of both domains."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ValidationError,
)
from pydantic_core.core_schema import CoreSchema, no_info_after_validator_function

from interdiff.errors import InputError

BASE = "base"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


def expanded(path: str) -> str:
    """A path with `~` and variables of the environment in it; ValueError where one is not set."""
    found = os.path.expandvars(os.path.expanduser(path))
    if unset := re.search(r"\$(\w+|\{[^}]*\})", found):
        raise ValueError(f"{path!r}: {unset[0]} is not set")
    return found


PathText = Annotated[str, AfterValidator(expanded)]


Item = TypeVar("Item")


def distinct(values: list[Item]) -> list[Item]:
    """The values; ValueError where one is there twice."""
    for n, value in enumerate(values):
        if value in values[:n]:
            raise ValueError(f"{value!r} is there twice")
    return values


Distinct = Annotated[list[Item], AfterValidator(distinct)]
"""A list whose values name rows of a table or parts of the data."""


@dataclass(frozen=True)
class OneOfModules:
    """Marks a text as the name of an implementation: a module of `package`. A file added there is a value added here."""

    package: str

    @property
    def names(self) -> list[str]:
        """The modules of the package, sorted; none is imported."""
        folder = Path(__file__).parents[1].joinpath(*self.package.split("."))
        return sorted(path.stem for path in folder.glob("[a-z]*.py"))

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "enum": self.names}

    def module(self, name: str) -> str:
        """The module of an implementation."""
        return f"{self.package}.{name}"

    def _checked(self, name: str) -> str:
        if name not in self.names:
            raise ValueError(f"{name!r} is none of {', '.join(self.names)}, the modules of {self.package}")
        return name


@dataclass(frozen=True)
class OwnClass:
    """Marks a text as the import path of a class of one's own, `package.module.Class`."""

    def module(self, path: str) -> str:
        """The module that holds the class."""
        return path.rpartition(".")[0]


def some_share(mix: Mapping[str, float]) -> Mapping[str, float]:
    """Validates shares to draw from: one of them must be above 0."""
    if not any(mix.values()):
        raise ValueError("expected a share above 0")
    return mix


Mix = AfterValidator(some_share)
"""Marks a mapping of names to shares."""


class Section(BaseModel):
    """A group of keys: unknown keys are errors, numbers are never read from text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NoSettings(Section):
    """For stages that have no settings."""


def modules(section: Section) -> Iterator[str]:
    """The implementations that a section and the sections in it choose by name."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from modules(value)
        yield from (mark.module(value) for mark in field.metadata if isinstance(mark, OneOfModules | OwnClass))


RENAMED = {
    "keypoints": "keyframes",
    "keypoint_steps": "keyframe_steps",
    "peers": "baselines",
    "peers_retiming": "baselines_retiming",
    "teacher": "optical_flow",
}
"""Keys and values of older configurations, by the last part of the key."""

_HEADER = "configuration: "
Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: Any, prefix: str = "") -> Model:
    """Values as a section; one InputError that lists every bad key, below `prefix`, with its problem."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        problems = [_problem(item, prefix) for item in error.errors()]
        raise InputError(_HEADER + "; ".join(problems)) from error


def _problem(item: Mapping[str, Any], prefix: str) -> str:
    key = ".".join(part for part in [prefix, *map(str, item["loc"])] if part and not part.startswith("["))
    if item["type"] == "extra_forbidden":
        name = item["loc"][-1]
        return f"{key}: renamed to {RENAMED[name]}" if name in RENAMED else f"{key}: unknown key"
    if item["type"] == "value_error":
        message = str(item["ctx"]["error"])
        if message.startswith(_HEADER):  # a variant's problems, with full keys already
            return message.removeprefix(_HEADER)
        return f"{key}.{message}" if re.match(r"[a-z0-9_.]+: ", message) else f"{key}: {message}"
    return f"{key}: {item['msg']}, not {item['input']!r}"


Weight = Annotated[float, Field(ge=0)]
