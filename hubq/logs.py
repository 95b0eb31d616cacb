"""What a worker and its job processes log, in which form, and what each record of a handler knows (docs/guide-logs.md)."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from hubq.client.asking.calling import handling
from hubq.core.shown import MOST_LINES, in_bounds, shown_json, shown_lines

#: In front of each line of a record but its first: no text of a record can look like another record.
INDENT = "    "

#: The attributes of a record that :func:`add_log_context` has seen, and their names in JSON and in :func:`log_context`.
FIELDS = {
    "hubq_child": "child",
    "hubq_class": "class",
    "hubq_method": "method",
    "hubq_message": "message_id",
    "hubq_job": "job",
}

#: What every record has.
ORDINARY = frozenset({*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName", "hubq", *FIELDS})

#: What a record has that no handler has logged.
NOBODY = dict.fromkeys(("hubq", *FIELDS), "")


class LogFormat(StrEnum):
    """``text`` for people, ``json`` (an object per line) for machines."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """From which level on a worker logs."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """As ``logging`` has it."""
        return logging.getLevelNamesMapping()[self.upper()]


# -- the context of a record -------------------------------------------------------------------------------------------


def log_context() -> dict[str, str]:
    """The child or job that runs this code: ``child``, ``class``, ``method``, ``message_id``, ``job``, as far as they are known.

    Empty outside of handlers, reads, ``run()``, ``on_start`` and jobs.

    >>> log_context()
    {}
    """
    return {FIELDS[name]: value for name, value in _fields().items() if value and name in FIELDS}


def add_log_context() -> None:
    """Let every record of this process know the child or job that has logged it, as ``hubq worker`` does.

    A formatter may name ``%(hubq)s`` (``"[room-1 Room.post] "``, or nothing), ``%(hubq_child)s``, ``%(hubq_class)s``,
    ``%(hubq_method)s``, ``%(hubq_message)s`` and ``%(hubq_job)s``. They are empty where no child or job is at work. Called twice,
    it does nothing more.
    """
    before = logging.getLogRecordFactory()
    if not isinstance(before, _Knowing):
        logging.setLogRecordFactory(_Knowing(before))


class _Knowing:
    """Makes records that know their child."""

    def __init__(self, before: Callable[..., logging.LogRecord]) -> None:
        self._before = before

    def __call__(self, *args: object, **kwargs: object) -> logging.LogRecord:
        record = self._before(*args, **kwargs)
        record.__dict__.update(NOBODY if _is_own(record.name) else _fields())
        if record.name.startswith("hubq.jobs"):
            record.__dict__["hubq"] = ""  # the line names its job itself
        return record


def _is_own(logger: str) -> bool:
    """hubq's own lines name the child that they are about: they may be written in the context of another one."""
    return logger.startswith(("hubq.node", "hubq.worker", "hubq.client"))


def _fields() -> dict[str, str]:
    it = handling()
    if it is None:
        return NOBODY
    where = f"{it.child_class}.{it.method}" if it.child_class else it.method
    values = (it.child_id, it.child_class, it.method, it.message_id, it.job_id)
    said = {"hubq": f"[{it.child_id or it.job_id} {where}] "}
    return said | dict(zip(FIELDS, values, strict=True))


# -- the form of a record ----------------------------------------------------------------------------------------------


class JsonFormatter(logging.Formatter):
    """One JSON object per line: at, level, logger, message; the child or job; ``extra``; the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        entry: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": in_bounds(record.getMessage(), MOST_LINES),
        }
        known = record.__dict__
        entry |= {name: known[attribute] for attribute, name in FIELDS.items() if known.get(attribute)}
        if extra := {name: _plain(value) for name, value in known.items() if name not in ORDINARY}:
            entry["extra"] = extra
        if record.exc_info:
            entry["traceback"] = in_bounds(self.formatException(record.exc_info), MOST_LINES)
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        return shown_json(json.dumps(entry, ensure_ascii=False, default=str))


class TextFormatter(logging.Formatter):
    """A line for people. Further lines (of a traceback, of a message) are indented; what cannot be printed is shown."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(hubq)s%(message)s", defaults={"hubq": ""})

    def format(self, record: logging.LogRecord) -> str:
        """The record as lines."""
        return shown_lines(in_bounds(super().format(record), MOST_LINES), INDENT)


def _plain(value: object) -> object:
    """The value if JSON can say it, else what ``repr`` says: no record may be lost for what was logged with it."""
    try:
        json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return repr(value)
    return value


# -- the logging of a process ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a process logs. ``verbose``: hubq tells every step, whatever the level."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.TEXT
    verbose: bool = False


class _Logging:
    """The logging of this process."""

    def __init__(self) -> None:
        self.settings = LogSettings()

    def set_up(self, settings: LogSettings) -> None:
        self.settings = settings
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonFormatter() if settings.format is LogFormat.JSON else TextFormatter())
        logging.basicConfig(level=settings.level.number, handlers=[handler])
        logging.getLogger("hubq").setLevel(logging.DEBUG if settings.verbose else settings.level.number)
        add_log_context()


_logging = _Logging()


def set_up_logging(settings: LogSettings) -> None:
    """Log to stderr, unless the app that was loaded has set up logging of its own. Records know their child in both cases."""
    _logging.set_up(settings)


def log_settings() -> LogSettings:
    """How this process logs: its job processes do so, too."""
    return _logging.settings
