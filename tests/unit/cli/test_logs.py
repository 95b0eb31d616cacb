"""What a record knows, and how it is written (docs/guide-logs.md)."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hubq.client.asking.calling import Doing, set_handling
from hubq.logs import (
    JsonFormatter,
    LogFormat,
    LogLevel,
    LogSettings,
    TextFormatter,
    add_log_context,
    log_context,
    log_settings,
    set_up_logging,
)

POST = Doing("room-1", "Room", "post", "c-17")


@pytest.fixture
def knowing() -> Iterator[None]:
    """Records know their child while the test runs."""
    before = logging.getLogRecordFactory()
    add_log_context()
    yield
    logging.setLogRecordFactory(before)


@pytest.fixture
def at_post() -> Iterator[None]:
    """The test is a handler."""
    set_handling(POST)
    yield
    set_handling(None)


class Lines:
    """A logger of the app, and what it has written."""

    def __init__(self, formatter: logging.Formatter, name: str = "shop") -> None:
        self._written = io.StringIO()
        handler = logging.StreamHandler(self._written)
        handler.setFormatter(formatter)
        self.logger = logging.Logger(name)
        self.logger.addHandler(handler)

    @property
    def written(self) -> str:
        return self._written.getvalue()

    @property
    def last(self) -> dict[str, Any]:
        entry: dict[str, Any] = json.loads(self.written.splitlines()[-1])
        return entry


def test_a_record_of_a_handler_knows_its_child(knowing: None, at_post: None) -> None:
    lines = Lines(JsonFormatter())
    lines.logger.info("ann says hi", extra={"order": 7, "child": "mine", "what": {1, 2}})
    entry = lines.last
    assert {"child": "room-1", "class": "Room", "method": "post", "message_id": "c-17"}.items() <= entry.items()
    assert "job" not in entry and entry["message"] == "ann says hi"
    assert entry["extra"] == {"order": 7, "child": "mine", "what": "{1, 2}"}
    assert log_context() == {"child": "room-1", "class": "Room", "method": "post", "message_id": "c-17"}


def test_a_record_from_elsewhere_knows_nobody(knowing: None) -> None:
    json_lines, text = Lines(JsonFormatter()), Lines(logging.Formatter("%(hubq)s%(hubq_child)s%(message)s"))
    json_lines.logger.info("up")
    text.logger.info("up")
    assert set(json_lines.last) == {"at", "level", "logger", "message"}
    assert text.written == "up\n" and log_context() == {}


def test_lines_for_people(knowing: None, at_post: None) -> None:
    lines = Lines(TextFormatter())
    lines.logger.warning("no stock")
    assert lines.written.endswith(" WARNING [room-1 Room.post] no stock\n")
    set_handling(Doing(method="shop.tasks.send_mail", job_id="3f0c"))
    lines.logger.warning("no mail")
    assert lines.written.endswith(" WARNING [3f0c shop.tasks.send_mail] no mail\n")


def test_hubqs_own_lines_name_their_child_themselves(knowing: None, at_post: None) -> None:
    """They may be written in the context of a handler that has only woken the code."""
    lines = Lines(JsonFormatter(), "hubq.node")
    lines.logger.info("child desk started")
    assert "child" not in lines.last


def test_a_line_about_a_job_names_it_once(knowing: None, at_post: None) -> None:
    people, programs = Lines(TextFormatter(), "hubq.jobs"), Lines(JsonFormatter(), "hubq.jobs")
    for lines in (people, programs):
        lines.logger.info("job 3f0c shop.send: received")
    assert people.written.endswith(" INFO job 3f0c shop.send: received\n")
    assert json.loads(programs.written)["child"] == "room-1"


def test_without_the_context_a_line_is_written_all_the_same(at_post: None) -> None:
    for formatter in (TextFormatter(), JsonFormatter()):
        lines = Lines(formatter)
        lines.logger.info("hi")
        assert "hi" in lines.written and "room-1" not in lines.written


def test_a_factory_of_the_app_is_kept_and_the_context_is_added_once() -> None:
    before = logging.getLogRecordFactory()

    def of_the_app(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = before(*args, **kwargs)
        record.tenant = "blue"
        return record

    try:
        logging.setLogRecordFactory(of_the_app)
        add_log_context()
        once = logging.getLogRecordFactory()
        add_log_context()
        assert logging.getLogRecordFactory() is once
        lines = Lines(JsonFormatter())
        lines.logger.info("hi")
        assert lines.last["extra"] == {"tenant": "blue"}
    finally:
        logging.setLogRecordFactory(before)


@pytest.mark.parametrize(
    ("settings", "root", "own"),
    [
        (LogSettings(), logging.INFO, logging.INFO),
        (LogSettings(LogLevel.ERROR), logging.ERROR, logging.ERROR),
        (LogSettings(LogLevel.WARNING, verbose=True), logging.WARNING, logging.DEBUG),
        (LogSettings(LogLevel.DEBUG, LogFormat.JSON), logging.DEBUG, logging.DEBUG),
    ],
)
def test_levels(settings: LogSettings, root: int, own: int) -> None:
    with bare_logging():
        set_up_logging(settings)
        assert logging.getLogger().level == root and logging.getLogger("hubq").level == own
        (handler,) = logging.getLogger().handlers
        assert isinstance(handler.formatter, JsonFormatter) is (settings.format is LogFormat.JSON)
        assert log_settings() == settings


def test_the_logging_of_the_app_is_left_alone() -> None:
    with bare_logging():
        logging.basicConfig(level=logging.ERROR, handlers=[mine := logging.NullHandler()])
        set_up_logging(LogSettings(LogLevel.INFO, LogFormat.JSON))
        assert logging.getLogger().handlers == [mine] and logging.getLogger().level == logging.ERROR
        assert logging.getLogger("hubq").level == logging.INFO


@contextmanager
def bare_logging() -> Iterator[None]:
    """Nothing is set up, and nothing is left behind."""
    root, own = logging.getLogger(), logging.getLogger("hubq")
    before, handlers, factory = (root.level, own.level), root.handlers[:], logging.getLogRecordFactory()
    root.handlers.clear()
    settings = log_settings()
    try:
        yield
    finally:
        set_up_logging(settings)
        root.handlers[:] = handlers
        root.setLevel(before[0])
        own.setLevel(before[1])
        logging.setLogRecordFactory(factory)
