"""What every section of the configuration is made of, and the sections of both domains."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from interdiff.errors import InputError

BASE = "base"

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A group of keys: unknown keys are errors, numbers are never read from text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class NoSettings(Section):
    """For stages that have no settings."""


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
        return f"{key}: unknown key"
    if item["type"] == "value_error":
        message = str(item["ctx"]["error"])
        if message.startswith(_HEADER):  # a variant's problems, with full keys already
            return message.removeprefix(_HEADER)
        return f"{key}.{message}" if re.match(r"[a-z0-9_.]+: ", message) else f"{key}: {message}"
    return f"{key}: {item['msg']}, not {item['input']!r}"


Weight = Annotated[float, Field(ge=0)]
