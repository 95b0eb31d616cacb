"""Makes a listing fit a terminal: what is long is shortened, and a reason that many have is told once, below."""

from __future__ import annotations

from collections.abc import Sequence

#: Between two columns, and at both sides, in a table on a terminal (``hubq.cli.output``).
GAP, SIDES = 3, 2
#: No cell is made shorter than this.
SHORTEST = 12
#: Up to so many children with the same reason have a row each.
ALONE = 3


def width_of(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """The columns of a terminal that a table needs.

    >>> width_of(("child", "node"), [("room-12", "a")])
    16
    """
    return sum(_widths(columns, rows)) + GAP * (len(columns) - 1) + SIDES


def shortened(text: str, most: int) -> str:
    """The text with at most so many characters: its begin and its end. (Ids differ at their ends.)

    >>> shortened("account-0000000017", 13), shortened("room", 13)
    ('accoun…000017', 'room')
    """
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[-end:]}"


def fitted(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    """The rows, with the cells of the widest columns shortened until the table fits (or every cell is short).

    >>> fitted(("child", "node"), [("account-0000000017", "a")], 24)
    [['account…0000017', 'a']]
    """
    found = [list(row) for row in rows]
    widths = _widths(columns, found)
    while sum(widths) + GAP * (len(columns) - 1) + SIDES > width:
        widest = max(range(len(columns)), key=lambda n: widths[n])
        if widths[widest] <= SHORTEST:
            break
        widths[widest] -= 1
    return [[shortened(cell, most) for cell, most in zip(row, widths, strict=True)] for row in found]


def grouped(columns: Sequence[str], rows: Sequence[Sequence[str]], summed: str) -> list[list[str]]:
    """The rows, those with the same reason (the last column, not "-") as one row if they are more than ``ALONE``. It has what all of
    them have, and "…" where they differ; the column ``summed`` is added up.

    >>> grouped(("child", "node", "backlog", "reason"), [(f"room-{n}", "a", f"{n}", "no disk") for n in range(50)], "backlog")
    [['room-0 +49', 'a', '1225', 'no disk']]
    """
    members: dict[str, list[Sequence[str]]] = {}
    for row in rows:
        members.setdefault(row[-1], []).append(row)
    found: list[list[str]] = []
    for row in rows:
        group = members[row[-1]]
        if row[-1] == "-" or len(group) <= ALONE:
            found.append(list(row))
        elif row is group[0]:
            cells = [
                str(sum(map(int, column))) if name == summed else column[0] if len(set(column)) == 1 else "…"
                for name, column in zip(columns, zip(*group, strict=True), strict=True)
            ]
            found.append([f"{row[0]} +{len(group) - 1}", *cells[1:]])
    return found


def left_out(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, least: Sequence[str]
) -> tuple[list[str], list[list[str]]]:
    """The columns and rows without those of ``least``, one after another, until the table fits.

    >>> left_out(("node", "host", "pid"), [("a", "machine-1", "17")], 18, ("pid", "host"))
    (['node', 'host'], [['a', 'machine-1']])
    """
    kept, cells = list(columns), [list(row) for row in rows]
    for name in least:
        if width_of(kept, cells) <= width:
            break
        place = kept.index(name)
        del kept[place]
        for row in cells:
            del row[place]
    return kept, cells


def told_once(reasons: Sequence[str]) -> tuple[list[str], list[tuple[str, int, str]]]:
    """A mark for each reason ("-" stays), and a line for each mark: mark, how many have it, reason.

    >>> told_once(["no module", "-", "no module", "no disk"])
    (['(1)', '-', '(1)', '(2)'], [('(1)', 2, 'no module'), ('(2)', 1, 'no disk')])
    """
    marks: dict[str, str] = {}
    for reason in reasons:
        if reason != "-" and reason not in marks:
            marks[reason] = f"({len(marks) + 1})"
    lines = [(mark, reasons.count(reason), reason) for reason, mark in marks.items()]
    return [marks.get(reason, reason) for reason in reasons], lines


def _widths(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(len(name), *(len(row[n]) for row in rows)) if rows else len(name) for n, name in enumerate(columns)]
