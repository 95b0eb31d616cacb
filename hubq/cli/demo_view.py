"""What people see of the demo: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hubq.cli.demo_report import Report
from hubq.client.results import NodeStatus

#: Without a terminal, a line of progress so often, seconds.
PLAIN_EVERY = 5.0


class View:
    """Shows how far the demo is. ``say`` is for what happens; ``update`` for how it goes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._began = time.monotonic()
        self._told = 0.0
        self._rate = 0.0
        self._last = (time.monotonic(), 0)

    def __enter__(self) -> View:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def begin(self) -> None:
        """The words begin to flow: the clock starts."""
        self._began = time.monotonic()

    def say(self, what: str, style: str = "") -> None:
        """Something happened."""
        at = time.monotonic() - self._began
        self._console.print(Text(f"{at:6.1f} s  {what}", style=style), soft_wrap=True)

    def update(self, done: int, of: int, nodes: Sequence[NodeStatus], killed: str | None) -> None:
        """How far it is, and who holds how much."""
        now = time.monotonic()
        since, before = self._last
        if now - since >= 0.5:
            self._rate, self._last = (done - before) / (now - since), (now, done)
        if self._live is not None:
            self._live.update(self._picture(done, of, nodes, killed), refresh=True)
        elif now - self._told >= PLAIN_EVERY:
            self._told = now
            held = ", ".join(f"{node.name} {node.shards} shards" for node in nodes)
            self.say(f"{done / of:4.0%}  {done} of {of} messages, {self._rate:.0f}/s; {held}")

    def _picture(self, done: int, of: int, nodes: Sequence[NodeStatus], killed: str | None) -> RenderableType:
        table = Table.grid(padding=(0, 2))
        table.add_row("words sent", ProgressBar(of, done, width=44), f"{done / of:4.0%}  {self._rate:5.0f} messages/s")
        most = max(1, sum(node.shards for node in nodes))
        for node in nodes:
            dead = node.name == killed
            word = f"killed, lease {max(0.0, node.lease):.1f} s" if dead else node.status
            bar = ProgressBar(most, node.shards, width=44, complete_style="red" if dead else "green")
            table.add_row(Text(node.name, style="red" if dead else ""), bar, f"{node.shards:3} shards  {word}")
        return Group(Text(), table)


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def show(console: Console, report: Report) -> None:
    """The report, for people."""
    table = Table.grid(padding=(0, 2))
    bad = "bold red"
    rows: list[tuple[str, str, bool]] = [
        ("words counted", f"{report.words:,}", report.exact),
        ("same as a count by one process", "yes, exactly" if report.exact else "NO", report.exact),
        ("messages sent", f"{report.messages:,}", True),
        ("  failed", str(report.failed_calls), not report.failed_calls),
        ("  lost", str(report.lost), not report.lost),
        ("  applied twice", str(report.duplicated), not report.duplicated),
        ("children moved live", str(report.migrations), bool(report.migrations)),
        ("  longest pause of a child", f"{_ms(report.pause_ms_max)} (99 %: {_ms(report.pause_ms_p99)})", True),
        (
            "taken over after the kill",
            "-" if report.takeover_s is None else f"{report.takeover_s:.1f} s",
            report.takeover_s is not None,
        ),
        ("seconds", f"{report.seconds:.1f}", True),
    ]
    for name, value, fine in rows:
        table.add_row(name, Text(value, style="" if fine else bad))
    console.print()
    console.print(table)
