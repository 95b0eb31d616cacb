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
    lines = printed(screen, *(row(f"room-{n}") for n in range(3)), row("desk", "no disk"), row("well", "-"))
    rooms = [line for line in lines if line.startswith("room-")]
    assert len(rooms) == 3 and all(line.endswith("(1)") for line in rooms)
    assert " ".join(" ".join(lines).split()).count("cannot import 'Room'") == 1
    assert any(line.split() == ["(2)", "no", "disk"] for line in lines)


def test_children_with_one_reason_are_one_row(screen: Screen, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(screen, *(row(f"r-{n}", "no disk") for n in range(50)), row("well", "-"), row("ill", "no disk"))
    (group,) = [line for line in lines if line.startswith("r-")]
    assert group.split()[:2] == ["r-0", "+50"] and "612" in group and "no disk" in group
    assert not any(line.startswith("ill") for line in lines) and any(line.startswith("well") for line in lines)
    assert "--wide has a row for each child" in capsys.readouterr().err
    every = printed(screen, *(row(f"r-{n}", "no disk") for n in range(50)), wide=True)
    assert sum(line.startswith("r-") for line in every) == 50


@pytest.mark.parametrize("child", ["x" * 501, "room-1"])
def test_a_parked_child_is_two_lines_at_most(screen: Screen, child: str) -> None:
    lines = printed(screen, row(child, metadata='{"tenant": "a-very-long-name-of-somebody", "tag": "vip"}'))
    table = lines[: next(n for n, line in enumerate(lines) if line.split() == ["reason"])]
    assert len(table) <= 2 + 2 and all(len(line) <= 80 for line in lines), lines


def test_what_fits_is_shown_as_it_is(screen: Screen) -> None:
    assert printed(screen, row("room-1", "no disk"))[-1].endswith("no disk")


def test_wide_and_a_pipe_shorten_nothing(screen: Screen) -> None:
    screen.terminal = False
    (line,) = printed(screen, row("x" * 501))[1:]
    assert line.endswith(LONG) and "x" * 501 in line
    screen.terminal = True
    assert "(1)" not in " ".join(printed(screen, row("x" * 501), wide=True))
