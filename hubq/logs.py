"""What a worker and its job processes log, and in which form."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum

from hubq.core.shown import shown_json, shown_lines

#: In front of each line of a record but its first: no text of a record can look like another record.
INDENT = "    "


class LogFormat(StrEnum):
    """``text`` for people, ``json`` (an object per line) for machines."""

    TEXT = "text"
    JSON = "json"


class JsonFormatter(logging.Formatter):
    """One JSON object per line: at, level, logger, message, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        entry = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return shown_json(json.dumps(entry, ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    """A line for people. Further lines (of a traceback, of a message) are indented; what cannot be printed is shown."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record as lines."""
        return shown_lines(super().format(record), INDENT)


def set_up_logging(verbose: bool = False, log_format: LogFormat = LogFormat.TEXT) -> None:
    """Log to stderr, unless the app that was loaded has set up logging of its own."""
    handler = logging.StreamHandler(sys.stderr)
    if log_format is LogFormat.JSON:
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(TextFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("hubq").setLevel(logging.DEBUG if verbose else logging.INFO)


def log_format() -> LogFormat:
    """The form in which this process logs."""
    formatters = (handler.formatter for handler in logging.getLogger().handlers)
    return LogFormat.JSON if any(isinstance(each, JsonFormatter) for each in formatters) else LogFormat.TEXT
