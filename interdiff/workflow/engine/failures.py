"""What Snakemake says of a job that failed: its error first, without the two kilobytes of its identity text."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

SPEC = re.compile(r"""--spec '[^']*(?:'"'"'[^']*)*'""")
"""The identity text in a command, as the shell quotes it."""
REASON = re.compile(r"^(?:\d\d:\d\d:\d\d )?(error: .+|[A-Za-z_][\w.]*(?:Error|Exception|Interrupt)\b.*)$", re.MULTILINE)
"""A stage's error in its log: one line for bad input, the last of a traceback for a defect."""
NO_REASON = "it ended without an error of its own; was it stopped, or out of memory?"


class ErrorsFirst(logging.Filter):
    """Gives Snakemake's messages of errors the reason from the job's log, and takes identity texts out of their commands."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always true: nothing is left out."""
        if record.levelno >= logging.ERROR:
            if isinstance(record.msg, str):
                record.msg = shortened(record.msg)
            if getattr(record, "shellcmd", None):
                record.__dict__["shellcmd"] = shortened(record.__dict__["shellcmd"])
                record.__dict__["rule_msg"] = record.__dict__["rule_msg"] or reason(record.__dict__["log"])
        return True


def shortened(text: str) -> str:
    """A text without the identity texts of the commands in it."""
    return SPEC.sub("--spec ...", text)


def reason(logs: Iterable[str]) -> str:
    """The last error that a job's logs tell of."""
    found = []
    for path in logs:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                found += REASON.findall(file.read())
        except OSError:
            continue
    return found[-1] if found else NO_REASON


def show_errors_first() -> None:
    """From now on in this process."""
    from snakemake.logging import logger

    if not any(isinstance(known, ErrorsFirst) for known in logger.filters):
        logger.addFilter(ErrorsFirst())
