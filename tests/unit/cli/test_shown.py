"""Text of others on a terminal and in logs: nothing acts on it, and nothing looks like a line of somebody else."""

from __future__ import annotations

import io
import json
import logging

import pytest

from hubq.cli.main import outcome
from hubq.cli.output import print_json, print_table, print_value, say
from hubq.core.shown import MOST_LINES, MOST_TEXT, shown, shown_json, shown_lines, text_of
from hubq.logs import JsonFormatter, TextFormatter

NASTY = "\x1b]0;owned\x07\x1b[2J\r\x9b31m\u202e\n2026-01-01 00:00:00,000 INFO forged\x00\x7f\u2028x"


def acts(text: str) -> bool:
    """Whether a terminal does more than print it."""
    return not text.replace("\n", "").isprintable()


def test_every_character_that_cannot_be_printed_is_shown() -> None:
    every = "".join(map(chr, range(0x3100)))
    assert shown(every).isprintable() and not acts(shown_lines(every))
    assert shown("größer 部屋 🙂") == "größer 部屋 🙂"
    assert shown("\ud800") == "\\ud800"


def test_shown_json_says_the_same() -> None:
    text = json.dumps({NASTY: [NASTY, "\U000e0001"]}, ensure_ascii=False, indent=1)
    assert not acts(shown_json(text)) and json.loads(shown_json(text)) == json.loads(text)


def test_what_commands_print(capsys: pytest.CaptureFixture[str]) -> None:
    class Nasty:
        def __repr__(self) -> str:
            return NASTY

    say(NASTY)
    print_table(("a", "b"), [(NASTY, 1)])
    print_value(NASTY)
    print_value(Nasty())
    print_json({NASTY: NASTY})
    assert outcome(["ps", f"app{NASTY}:hub"]) == 2
    out, err = capsys.readouterr()
    assert not acts(out) and not acts(err)
    assert not [line for line in (out + err).splitlines() if line.startswith("2026")]


def record(message: str, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    told = (type(error), error, None) if error is not None else None
    return logging.LogRecord("hubq", logging.WARNING, "x.py", 1, message, args, told)


def lines(some: logging.LogRecord) -> list[str]:
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(TextFormatter())
    handler.emit(some)
    return handler.stream.getvalue().splitlines()


def test_a_log_line_cannot_be_forged() -> None:
    for some in (record("child %s: %s raised", "c", NASTY), record("it raised", error=ValueError(NASTY))):
        first, *others = lines(some)
        assert first.split(" ", 2)[2].startswith("WARNING ")
        assert others and all(line.startswith("    ") for line in others)
        assert not any(map(acts, [first, *others]))


def test_a_log_line_as_json_cannot_either() -> None:
    line = JsonFormatter().format(record("%s", NASTY, error=ValueError(NASTY)))
    assert not acts(line) and json.loads(line)["message"] == NASTY


def test_what_is_very_long_is_shortened() -> None:
    """A handler may raise with a text of any size. To write it would hold up its whole node."""
    long = "x" * 50_000_000
    for some in (record("%s", long), record("it raised", error=ValueError(long))):
        assert sum(map(len, lines(some))) < 2 * MOST_LINES
        assert len(JsonFormatter().format(some)) < 2 * MOST_LINES
    text = text_of(ValueError(f"first {long} last"))
    assert len(text) < 2 * MOST_TEXT and "characters]" in text
    assert text.startswith("first ") and text.endswith(" last")
