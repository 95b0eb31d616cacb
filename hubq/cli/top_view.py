"""What ``hubq top`` shows, as rich renderables made from two glances at a hub."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from rich.text import Text

from hubq.cli.output import duration
from hubq.client.operations.event_lines import for_people, spans
from hubq.client.operations.overview import Glance, NodeGlance, NodeRates, rates
from hubq.client.operations.troubles import troubles
from hubq.core.shown import shown
from hubq.core.wording import counted

#: One colour per node, in the order of their names; they repeat after that.
COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "red", "bright_cyan", "bright_green", "bright_yellow")
#: One letter per node in the picture of the ring.
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

#: Behind the name of the node that balances the load.
LEADER = " *"

COLUMNS = (
    "node", "", "lease", "app", "msg/s", "failed/s", "wait", "children", "parked", "shards", "backlog", "queue", "memory", "cpu",
)  # fmt: skip
#: The columns that begin at the left.
LEFT = COLUMNS[:4]
#: What a narrow terminal does not show, the first of these first.
LEAST = ("queue", "memory", "wait", "failed/s", "parked", "cpu", "app")
#: Between two columns on the screen.
GAP = 2


class Order(StrEnum):
    """What the nodes are sorted by."""

    NAME = "name"
    LOAD = "load"
    CHILDREN = "children"
    MEMORY = "memory"


@dataclass
class View:
    """The last glances, and how they are to be shown. Belongs to one thread.

    A picture older than ``patience`` seconds is called old: Redis is slow or gone, long before it counts as lost.
    """

    hub_id: str
    address: str
    lease: float
    order: Order = Order.NAME
    filter: str = ""
    trouble: str = ""
    before: Glance | None = None
    after: Glance | None = None
    rates: Mapping[str, NodeRates] = field(default_factory=dict)
    patience: float = 2.0
    groups: int = 1
    paused: bool = False
    clock: Callable[[], float] = time.monotonic
    seen_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.seen_at = self.clock()

    def saw(self, glance: Glance, at: float | None = None) -> None:
        """Take in a new glance, begun ``at`` that time of the clock (now). Rates are kept until a node has written a new
        account.
        """
        fresh = rates(self.after, glance)
        self.rates = {name: rate if rate != NodeRates() else self.rates.get(name, rate) for name, rate in fresh.items()}
        self.before, self.after, self.trouble = self.after, glance, ""
        self.seen_at = self.clock() if at is None else at

    @property
    def age(self) -> float:
        """Seconds since the picture was taken (or since the first one is waited for)."""
        return self.clock() - self.seen_at

    @property
    def old(self) -> bool:
        """Whether the picture says nothing of this moment any more."""
        return self.age > self.patience

    def next_order(self) -> None:
        """Sort by the next column."""
        every = list(Order)
        self.order = every[(every.index(self.order) + 1) % len(every)]

    # -- what is shown ---------------------------------------------------------------------------------------------

    def title(self) -> Text:
        """One line: the hub as a whole."""
        if self.trouble or (self.old and not self.paused):
            age = "" if self.after is None else f"his picture is {self.age:.0f} s old"
            if self.trouble:  # (of a hub with several primaries it names the one that is away)
                return Text(f"Trying again{age and f'; t{age}'}: {self.trouble}", style="bold red")
            return Text(f"Redis is slow, or gone.{age and f' T{age}.'}", style="bold red")
        if self.after is None:
            return Text(f"{self.hub_id}: looking ...", style="dim")
        glance = self.after
        accounts = [node.vitals for node in glance.nodes if node.vitals is not None]
        live = sum(node.lease_left > 0 for node in glance.nodes)
        gone = f", {len(glance.nodes) - live} gone" if live < len(glance.nodes) else ""
        served = sum(owner is not None for owner in glance.owners)
        handled = sum(rate.messages for rate in self.rates.values())
        moving = sum(len(account.moving) for account in accounts)
        line = Text.assemble(
            (f"{self.hub_id} ", "bold"),
            counted(live, "node", "nodes"),
            (gone, "bold red"),
            f"  {glance.children:,} children{f', {glance.dormant:,} dormant' if glance.dormant else ''}  {handled:,.0f} msg/s  ",
            (f"{served}/{len(glance.owners)} shards served", "" if served == len(glance.owners) else "bold red"),
            f" in {self.groups} groups" if self.groups > 1 else "",
        )
        if self.paused:
            line.append(f"  paused, {self.age:.0f} s ago", "bold yellow")
        if moving:
            line.append(f"  {moving} in motion", "bold yellow")
        if glance.pins:
            line.append(f"  {len(glance.pins)} pinned", "yellow")
        if failed := sum(rate.failed for rate in self.rates.values()):
            line.append(f"  {failed:,.1f} failed/s", "bold red")
        if parked := sum(account.parked for account in accounts):
            line.append(f"  {parked:,} parked", "bold red")
        if backlog := sum(sum(account.mailboxes.values()) for account in accounts):
            line.append(f"  {backlog:,} waiting")
        return line

    def troubles(self) -> Text:
        """A line for each thing that is wrong with a node: its loop is blocked, or it cannot run its children."""
        if self.after is None:
            return Text()
        at = self.after.at
        live = [node for node in self.after.nodes if node.lease_left > 0]
        lines = [shown(line) for node in live for line in troubles(node.name, node.vitals, at)]
        return Text("\n".join(lines), style="bold red")

    def nodes(self) -> list[NodeGlance]:
        """The nodes that pass the filter, in order."""
        if self.after is None:
            return []
        keys = {
            Order.NAME: lambda node: node.name,
            Order.LOAD: lambda node: -self._rate(node).messages,
            Order.CHILDREN: lambda node: -(node.vitals.children if node.vitals else 0),
            Order.MEMORY: lambda node: -(node.vitals.memory if node.vitals else 0),
        }
        return sorted((n for n in self.after.nodes if self.filter in n.name), key=keys[self.order])

    def _rate(self, node: NodeGlance) -> NodeRates:
        return self.rates.get(node.name, NodeRates())  # a node of an older picture may have left since

    def row(self, node: NodeGlance) -> list[Text]:
        """A node as the cells of COLUMNS."""
        account, rate = node.vitals, self._rate(node)
        leads = self.after is not None and self.after.leader == node.name
        name = Text(shown(node.name) + (LEADER if leads else ""), style=self.colour(node.name))
        share = max(0.0, min(1.0, node.lease_left / self.lease))
        colour = "dim" if self.old else "green" if share > 0.5 else "red"
        lease = Text("█" * round(share * 8) + "·" * (8 - round(share * 8)), style=colour)
        status = Text("" if node.status == "up" else shown(node.status), style="yellow")
        app = Text(shown(node.app_version) or "-")
        if node.lease_left <= 0:
            account, status = None, Text("gone", style="bold red")
            return [name, status, lease, app, *(Text("-") for _ in COLUMNS[4:])]
        if account is None:
            status = Text("silent", style="red") if node.uptime > 5 else Text("joins", style="dim")
            return [name, status, lease, app, *(Text("-") for _ in COLUMNS[4:])]
        if account.blocked is not None:
            status = Text("blocked", style="bold red")
        elif node.status == "up" and not account.ready:
            status = Text("not ready", style="yellow")
        backlog = sum(account.mailboxes.values())
        numbers = (
            (f"{rate.messages:,.0f}", ""),
            (f"{rate.failed:,.1f}" if rate.failed else "0", "bold red" if rate.failed else ""),
            (waits(backlog, rate.messages), ""),
            (f"{account.children:,}", ""),
            (f"{account.parked:,}", "bold red" if account.parked else ""),
            (str(account.shards) + (f"+{account.pins}" if account.pins else ""), ""),
            (f"{backlog:,}", ""),
            (f"{account.queued:,}", ""),
            (f"{account.memory / 2**20:,.0f}M", ""),
            (f"{rate.cpu:.0%}", ""),
        )
        return [name, status, lease, app, *(Text(said, style, justify="right") for said, style in numbers)]

    def table(self, width: int) -> tuple[list[str], dict[str, list[Text]]]:
        """The columns for which there is room, and a row for each node that passes the filter. The version of the app stands there if a
        node says one.
        """
        rows = {node.name: self.row(node) for node in self.nodes()}
        sizes = [max(len(name), *(len(row[n]) for row in rows.values()), 0) for n, name in enumerate(COLUMNS)]
        versions = self.after is not None and any(node.app_version for node in self.after.nodes)
        kept = [n for n, name in enumerate(COLUMNS) if versions or name != "app"]
        for name in LEAST:
            if sum(sizes[n] for n in kept) + GAP * (len(kept) - 1) <= width:
                break
            kept = [n for n in kept if COLUMNS[n] != name]
        return [COLUMNS[n] for n in kept], {node: [row[n] for n in kept] for node, row in rows.items()}

    def colour(self, node: str) -> str:
        """The colour of a node, the same in the table and in the ring."""
        names = sorted(each.name for each in self.after.nodes) if self.after else []
        return COLOURS[names.index(node) % len(COLOURS)] if node in names else "white"

    def ring(self, width: int) -> Text:
        """The ring: one letter per shard (or per group of shards) in the colour of its owner; ``!``: nobody's."""
        if self.after is None:
            return Text()
        names = sorted(node.name for node in self.after.nodes)
        moving = {shard for node in self.after.nodes if node.vitals for shard in node.vitals.moving}
        owners = self.after.owners
        step = max(1, -(-len(owners) // (width * 2)))
        picture = Text()
        for first in range(0, len(owners), step):
            group = owners[first : first + step]
            if None in group:
                picture.append("!", "bold red")
                continue
            owner = group[0]
            assert owner is not None
            letter = LETTERS[names.index(owner) % len(LETTERS)] if owner in names else "?"
            in_motion = any(shard in moving for shard in range(first, first + step))
            picture.append(letter, f"{self.colour(owner)}{' reverse' if in_motion else ''}")
        key = "  ".join(f"{LETTERS[n % len(LETTERS)]}={shown(name)}" for n, name in enumerate(names[:8]))
        return Text.assemble(picture, "\n", (key, "dim"))

    def _busiest(self) -> list[tuple[float, str, str]]:
        nodes = self.after.nodes if self.after else ()
        every = [
            (rate, child, node.name) for node in nodes if node.vitals for child, rate in node.vitals.busiest.items()
        ]
        return sorted(every, reverse=True)

    def busiest_child(self) -> str:
        """The busiest child of all; empty if nothing is being handled."""
        return next((child for _, child, _ in self._busiest()), "")

    def busiest(self, most: int = 5) -> Text:
        """The busiest children (sampled), with their nodes."""
        if self.after is None:
            return Text()
        lines = [f"{rate:>8,.0f}/s  {shown(child)}  ({shown(node)})" for rate, child, node in self._busiest()[:most]]
        return Text("\n".join(lines) or "nothing is being handled", style="" if lines else "dim")

    def events(self, most: int, width: int = 200) -> Text:
        """The last events, newest first, a line each."""
        if self.after is None:
            return Text()
        lines: list[Text] = []
        for event in for_people(self.after.events)[::-1][:most]:
            said = " ".join(
                f"{name}={spans(value) if name == 'shards' else value}" for name, value in event.fields.items()
            )
            at = datetime.fromtimestamp(event.at).strftime("%H:%M:%S")
            lines.append(Text.assemble((at, "dim"), " ", (shown(event.type), "bold"), " ", shown(said)))
        for line in lines:
            line.truncate(width, overflow="ellipsis")
        return Text("\n").join(lines)


def waits(backlog: int, rate: float) -> str:
    """How long a message waits at this rate: until all that is before it is done.

    >>> waits(0, 0), waits(50, 200), waits(9000, 60), waits(9, 0)
    ('0', '250ms', '2m30s', '-')
    """
    if not backlog:
        return "0"
    if not rate:
        return "-"
    seconds = backlog / rate
    return f"{seconds * 1000:.0f}ms" if seconds < 1 else duration(seconds)


def plain(view: View, width: int = 200) -> str:
    """The whole view as plain text, for a pipe and for the docs; events are cut at ``width``."""
    columns, cells = view.table(width)
    rows: Sequence[Sequence[str]] = [
        [column.upper() for column in columns],
        *([cell.plain for cell in row] for row in cells.values()),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [view.title().plain, ""]
    for row in rows:
        lines.append(
            "  ".join(
                cell.ljust(w) if column in LEFT else cell.rjust(w)
                for column, cell, w in zip(columns, row, widths, strict=True)
            ).rstrip()
        )
    if found := view.troubles().plain:
        lines += ["", found]
    uptime = max((node.uptime for node in view.nodes()), default=0.0)
    if view.after is not None and view.after.leader:
        lines.append(f"{LEADER.strip()} balances the load")
    lines += ["", "ring", view.ring(64).plain, "", "busiest children", view.busiest().plain, "", "last events"]
    lines += [view.events(6, width).plain, "", f"oldest node up for {duration(uptime)}"]
    return "\n".join(lines)
