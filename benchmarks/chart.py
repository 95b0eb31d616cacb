"""Bars as SVG, by hand: no library for three rectangles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

WIDTH, LEFT, RIGHT, ROW, BAR = 760, 150, 90, 26, 16


def bars(title: str, values: Mapping[str, float], ours: str, top: int) -> tuple[list[str], int]:
    """One chart, longest bar first, its own in another colour; its lines and where the next one begins."""
    lines = [f'<text x="10" y="{top + 18}" font-weight="bold">{escape(title)}</text>']
    top += 30
    most = max(values.values())
    for name, value in sorted(values.items(), key=lambda item: -item[1]):
        width = max(1.0, value / most * (WIDTH - LEFT - RIGHT))
        colour = "#c0392b" if name == ours else "#7f8c8d"
        text = f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
        lines += [
            f'<text x="{LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>',
            f'<text x="{LEFT + width + 6:.1f}" y="{top + 13}">{text}</text>',
        ]
        top += ROW
    return lines, top + 14


def write(path: Path, charts: Sequence[tuple[str, Mapping[str, float]]], ours: str) -> None:
    """All charts, one below the other."""
    lines: list[str] = []
    top = 0
    for title, values in charts:
        made, top = bars(title, values, ours, top)
        lines += made
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{top}" font-family="sans-serif" font-size="13">'
    white = f'<rect width="{WIDTH}" height="{top}" fill="white"/>'
    path.write_text("\n".join([head, white, *lines, "</svg>", ""]))
