"""How many time blocks, or mazes, are kept from training."""

from __future__ import annotations

from interdiff.errors import InputError


def held_out(blocks: int, val_fraction: float, test_fraction: float) -> tuple[int, int]:
    """Numbers of blocks for validation and test, one or more for each; InputError where none is left to train on."""
    val, test = max(1, round(blocks * val_fraction)), max(1, round(blocks * test_fraction))
    if val + test >= blocks:
        raise InputError(
            f"blocks={blocks}, val_fraction={val_fraction}, test_fraction={test_fraction}: no block left to train on"
        )
    return val, test
