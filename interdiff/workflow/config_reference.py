"""The configuration's JSON schema and its key reference in docs/, from the one typed definition: `make docs`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from interdiff.settings import Section
from interdiff.workflow.config import Config

HEADER = """# Configuration

Every key of `config.yaml`: its type, its default, its bounds and what it means. Unknown keys and values out of bounds stop
Snakemake before the first job. Made by `make docs` from the typed settings; the same as a JSON schema, for editors, is
[config.schema.json](config.schema.json) (put `# yaml-language-server: $schema=docs/config.schema.json` in the first line of a
file of your own). `config.yaml` itself holds what the laptop run uses, which may differ from these defaults.
"""
BOUNDS = {
    "minimum": "≥ {}",
    "maximum": "≤ {}",
    "exclusiveMinimum": "> {}",
    "exclusiveMaximum": "< {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "pattern": "matches `{}`",
}


def schema() -> str:
    """The JSON schema as text."""
    return json.dumps(Config.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def reference() -> str:
    """The key reference as Markdown: a table per group of keys; a group that occurs often is shown once."""
    places: dict[type[BaseModel], list[str]] = {}
    for path, model in _sections(Config, ""):
        places.setdefault(model, []).append(path)
    return HEADER + "".join(_table(model, paths) for model, paths in places.items())


def _sections(model: type[BaseModel], path: str) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, model
    for name, field in model.model_fields.items():
        for nested, suffix in _nested(field):
            yield from _sections(nested, f"{path}{name}{suffix}.")


def _nested(field: FieldInfo) -> Iterator[tuple[type[BaseModel], str]]:
    """The group that a key holds, and how a named entry of it is written."""
    kind = field.annotation
    if isinstance(kind, type) and issubclass(kind, Section):
        yield kind, ""
    for part in getattr(kind, "__args__", ()):
        if get_origin(part) is Annotated:
            part = part.__origin__
        if isinstance(part, type) and issubclass(part, Section):
            yield part, ".NAME" if get_origin(kind) is dict else ""


def _table(model: type[BaseModel], paths: list[str]) -> str:
    names = ", ".join(f"`{path.rstrip('.')}`" for path in paths if path) or "Top level"
    properties = model.model_json_schema()["properties"]
    rows = [
        f"| `{name}` | {_type(properties[name])} | {_default(field)} | {_bounds(properties[name])} | {_cell(field)} |"
        for name, field in ((field.alias or name, field) for name, field in model.model_fields.items())
    ]
    head = ["| key | type | default | bounds | meaning |", "|---|---|---|---|---|"]
    return "\n".join(["", f"## {names}", "", (model.__doc__ or "").strip(), "", *head, *rows, ""])


def _cell(field: FieldInfo) -> str:
    return (field.description or "").replace("|", "\\|")


def _type(item: dict[str, Any]) -> str:
    if "$ref" in item:
        return "group, below"
    if kinds := item.get("anyOf", item.get("oneOf")):
        return " or ".join(dict.fromkeys(_type(part) for part in kinds))
    if "enum" in item:
        return ", ".join(f"`{value}`" for value in item["enum"])
    if item.get("type") == "array":
        return f"list of {_type(_items(item))}"
    if item.get("type") == "object":
        return f"mapping of names to {_type(_values(item))}"
    return {"string": "text", "number": "number", "integer": "integer", "boolean": "true or false", "null": "null"}.get(
        item.get("type", ""), "anything"
    )


def _items(item: dict[str, Any]) -> dict[str, Any]:
    """The schema of a list's values; those of a fixed number are alike."""
    return item["prefixItems"][0] if "prefixItems" in item else item["items"]


def _values(item: dict[str, Any]) -> dict[str, Any]:
    """The schema of a mapping's values; `additionalProperties` may be plain true."""
    values = [*item.get("patternProperties", {}).values(), item.get("additionalProperties")]
    return next((value for value in values if isinstance(value, dict)), {})


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    group = isinstance(value, BaseModel) or (
        isinstance(value, dict) and any(isinstance(v, BaseModel) for v in value.values())
    )
    return "see there" if group else f"`{json.dumps(value)}`"


def _bounds(item: dict[str, Any]) -> str:
    inner = _items(item) if item.get("type") == "array" else _values(item)
    own = [text.format(item[key]) for key, text in BOUNDS.items() if key in item]
    each = [text.format(inner[key]) for key, text in BOUNDS.items() if key in inner]
    return "; ".join([*own, *(f"each {text}" for text in each)])


FILES = {"config.schema.json": schema, "configuration.md": reference}


def main() -> None:
    """Write both files into the folder that is named."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs")
    for name, text in FILES.items():
        (folder / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
