"""The jobs of a dry run of Snakemake, read from what it prints."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from interdiff.errors import InputError
from interdiff.workflow.manifest import relative_to


@dataclass(frozen=True)
class Job:
    """One job of a dry run, as Snakemake prints it."""

    rule: str
    fields: Mapping[str, str]
    """Lines such as `reason` and `wildcards`, by name."""
    command: list[str]

    @cached_property
    def wildcards(self) -> dict[str, str]:
        """Value by name."""
        return dict(word.split("=", 1) for word in listed(self.fields.get("wildcards", "")))

    @property
    def name(self) -> str:
        """What it makes, in words: `refiner base`."""
        return " ".join([self.rule, *self.wildcards.values()])

    @cached_property
    def spec(self) -> dict[str, Any]:
        """Its identity text, read."""
        return json.loads(self.option("--spec", "{}"))

    @property
    def results(self) -> Path:
        """The results root."""
        return Path(self.option("--results", "results"))

    @property
    def gpus(self) -> int:
        """GPUs that it will be given."""
        return int(self.option("--gpus", "0"))

    @cached_property
    def resources(self) -> dict[str, int]:
        """What it asks for, by name: whole numbers alone."""
        words = (word.split("=", 1) for word in listed(self.fields.get("resources", "")))
        return {name: int(value) for name, value in words if value.isdigit()}

    def option(self, name: str, default: str) -> str:
        """The value of an option of its command."""
        return self.command[self.command.index(name) + 1] if name in self.command else default

    def paths(self, field: str) -> list[str]:
        """Its `input` or `output` below the results root."""
        return [relative_to(self.results, Path(path)) for path in listed(self.fields.get(field, ""))]


NOT_THERE = "not there yet: "
"""What a dry run says before each file from outside that it does without."""


def listed(text: str) -> list[str]:
    """The words of a line such as `input: a, b`."""
    return [word for word in text.split(", ") if word]


def dry_run(options: Sequence[str]) -> tuple[list[Job], list[str]]:
    """The jobs that `snakemake` with these options would run, in no particular order, and files from outside that they lack.

    Raises:
        InputError: Snakemake refuses (its message).
    """
    code, text = snakemake(*options)
    if code:
        raise InputError(text.strip())
    return list(parse(text)), sorted(set(re.findall(f"^{NOT_THERE}(.*)$", text, re.MULTILINE)))


def snakemake(*options: str) -> tuple[int, str]:
    """Exit code and output of a dry run."""
    command = [sys.executable, "-m", "snakemake", *options, "--dry-run", "--printshellcmds", "--nocolor"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def parse(text: str) -> Iterator[Job]:
    """Read the jobs that make files from what a dry run prints."""
    for block in re.split(r"^(?:local)?rule (?=\w+:$)", text, flags=re.MULTILINE)[1:]:
        rule = block.split(":")[0]
        fields = dict(re.findall(r"^    (\w+): (.*)$", block, re.MULTILINE))
        command = re.search(r"^Shell command: (.*)$", block, re.MULTILINE)
        if command and "output" in fields:
            yield Job(rule, fields, shlex.split(command[1]))
