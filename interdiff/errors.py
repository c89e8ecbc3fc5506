"""The one error that people see for bad input."""


class InputError(ValueError):
    """Bad input: the message names the file, key or value and what was expected."""
