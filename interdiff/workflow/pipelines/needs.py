"""What a job is estimated to need, and what is asked of Snakemake for it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

MB = 10**6
LIBRARIES = 4000 * MB
"""Host memory of Python and its libraries, with CUDA's, and some room."""
CUDA = 1000 * MB
"""GPU memory of CUDA's context and of the libraries' workspaces."""
LEAST_LIMIT = 60
"""Minutes that every job may take beside twice its estimate: it starts, reads and waits for what is shared."""


@dataclass(frozen=True)
class Need:
    """Bytes of host memory and of each GPU's beside what libraries take, and seconds."""

    host: float = 0
    gpu: float = 0
    seconds: float = 0

    def resources(self, gpus: int, attempt: int = 1) -> dict[str, int]:
        """Snakemake's resources, of which memory and the time limit grow with each attempt; `minutes` is the estimate.

        Of several GPUs each has a process, with libraries and host memory of its own. Without any, what would be on one is
        in the host's memory.
        """
        host = max(1, gpus) * (LIBRARIES + self.host) + (0 if gpus else self.gpu)
        asked = {
            "mem_mb": attempt * ceil(host / MB),
            "runtime": attempt * (LEAST_LIMIT + ceil(2 * self.seconds / 60)),
            "minutes": ceil(self.seconds / 60),
        }
        return asked | ({"gpu_mb": ceil((CUDA + self.gpu) / MB)} if gpus else {})


def granted_gpus(gpu: int, gres: str | None) -> int:
    """How many GPUs a job has: `gpu`, or where these are asked for instead the number in SLURM's `gres`, as in gpu:a100:2."""
    if gpu or not gres:
        return gpu
    named = [part.split(":") for part in gres.split(",")]
    return sum(int(words[-1]) if words[-1].isdigit() else 1 for words in named if words[0] == "gpu")


def declared_gpus(workflow: Any, wildcards: Any, attempt: int, rulename: str) -> int:
    """The same of a rule in Snakemake's workflow, before a job has its resources."""
    declared = workflow.get_rule(rulename).resources
    gres = declared.get("gres")  # without a value where the rule has none
    if gres.is_evaluable():
        gres = gres.evaluate(wildcards, input=[], attempt=attempt, threads=1, rulename=rulename, async_run=None)
    return granted_gpus(declared["gpu"].constrain(workflow.global_resources.get("gpu")).value, gres.value)
