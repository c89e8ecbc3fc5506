from typing import Any


def __getattr__(name: str) -> Any:
    # Imported when asked for: most of this package does without torch.
    if name == "load_planner":
        from interdiff.maze.plan import load_planner

        return load_planner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
