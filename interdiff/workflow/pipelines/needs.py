"""What a job is estimated to need, and what is asked of Snakemake for it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

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
