"""``hubq ps`` on a terminal: a child is a line or two, whatever its id and the reason why it cannot run."""

from __future__ import annotations

import contextlib
import io

import pytest

from hubq.cli.listings import print_children

COLUMNS = ("child", "class", "status", "node", "shard", "backlog", "metadata", "reason")
LONG = "cannot import 'Room' from module 'app' on this worker (AttributeError: module 'app' has no attribute 'Room'): deploy it"


def row(child: str, reason: str = LONG, metadata: str = "-") -> tuple[object, ...]:
    return (child, "Room", "parked", "worker-1", 7, 12, metadata, reason)


class Screen(io.StringIO):
    """Stdout: a terminal, or a pipe."""

    terminal = True

    def isatty(self) -> bool:
        return self.terminal


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """A terminal of 80 columns."""
    screen = Screen()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    return screen


def printed(screen: Screen, *rows: tuple[object, ...], wide: bool = False) -> list[str]:
    """The lines of a listing."""
    before = len(screen.getvalue())
    with contextlib.redirect_stdout(screen):
        print_children(COLUMNS, rows, wide=wide)
    return [line.strip() for line in screen.getvalue()[before:].splitlines() if line.strip()]


def test_a_reason_that_many_have_is_told_once(screen: Screen) -> None:
    lines = printed(screen, *(row(f"room-{n}") for n in range(50)), row("desk", "no disk"), row("well", "-"))
    rooms = [line for line in lines if line.startswith("room-")]
    assert len(rooms) == 50 and all(line.endswith("(1)") for line in rooms)
    assert " ".join(" ".join(lines).split()).count("cannot import 'Room'") == 1
    assert any(line.split()[:2] == ["(1)", "50"] for line in lines)
    assert any(line.split() == ["(2)", "1", "no", "disk"] for line in lines)


@pytest.mark.parametrize("child", ["x" * 501, "room-1"])
def test_a_parked_child_is_two_lines_at_most(screen: Screen, child: str) -> None:
    lines = printed(screen, row(child, metadata='{"tenant": "a-very-long-name-of-somebody", "tag": "vip"}'))
    table = lines[: next(n for n, line in enumerate(lines) if "reason" in line and "children" in line)]
    assert len(table) <= 2 + 2 and all(len(line) <= 80 for line in lines), lines


def test_what_fits_is_shown_as_it_is(screen: Screen) -> None:
    assert printed(screen, row("room-1", "no disk"))[-1].endswith("no disk")


def test_wide_and_a_pipe_shorten_nothing(screen: Screen) -> None:
    screen.terminal = False
    (line,) = printed(screen, row("x" * 501))[1:]
    assert line.endswith(LONG) and "x" * 501 in line
    screen.terminal = True
    assert "(1)" not in " ".join(printed(screen, row("x" * 501), wide=True))
