"""The one error that people see for bad input."""

import sys
from collections.abc import Callable
from functools import wraps


class InputError(ValueError):
    """Bad input: the message names the file, key or value and what was expected."""


def command(main: Callable[[], int]) -> Callable[[], int]:
    """A command line that answers bad input with one line and exit status 2."""

    @wraps(main)
    def told() -> int:
        try:
            return main()
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

    return told
