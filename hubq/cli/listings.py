"""``hubq nodes`` and ``hubq ps``: the workers and the children of a hub."""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

from hubq.cli.children import tag
from hubq.cli.fitting import fitted, grouped, left_out, told_once, width_of
from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import duration, print_records, print_table, say
from hubq.cli.reachable import of_those_that_answer
from hubq.client.operations.listing import Progress
from hubq.client.results import ChildStatus, NodeStatus
from hubq.core.readiness import NOT_SERVING
from hubq.core.shown import shown
from hubq.errors import ConfigError


class Status(StrEnum):
    """The states of a child."""

    RUNNING = "running"
    PARKED = "parked"
    WAITING = "waiting"
    DORMANT = "dormant"


#: What a narrow terminal does not show of a node, the first of these first.
LEAST = ("pid", "version", "host", "tags", "app", "uptime")


class Sort(StrEnum):
    """The columns by which children can be sorted."""

    ID = "id"
    NODE = "node"
    CLASS = "class"
    STATUS = "status"
    BACKLOG = "backlog"


SORTED_BY: dict[Sort, Callable[[ChildStatus], Any]] = {
    Sort.ID: lambda child: child.child_id,
    Sort.NODE: lambda child: (child.node or "", child.child_id),
    Sort.CLASS: lambda child: (child.kind, child.child_id),
    Sort.STATUS: lambda child: (child.status, child.child_id),
    Sort.BACKLOG: lambda child: (-child.backlog, child.child_id),
}


def nodes_command(
    hub: HubName,
    wide: Annotated[bool, typer.Option("--wide", "-w", help="Leave out no column on a narrow terminal.")] = False,
    as_json: AsJson = False,
    redis: RedisUrl = None,
) -> None:
    """List the workers of a hub."""
    opened = open_hub(hub, redis)
    with of_those_that_answer(opened):
        nodes = sorted(opened.nodes(), key=lambda node: node.name)
        if why := opened.inspect.partitioned():
            say(f"no quorum {why}: intake is closed, starts and stops are refused", sys.stderr)
        if as_json:
            print_records(nodes)
            return
        _print_nodes(
            (
                "node", "status", "shards", "pins", "parked", "backlog", "failed/s", "lease", "uptime", "host", "pid", "version", "app",
                "tags",
            ),
            [
                (
                    node.name, _standing(node), node.shards, node.pins, node.parked, node.backlog, f"{node.failing:g}",
                    f"{node.lease:.1f}s", duration(node.uptime), node.host, node.pid, node.version, node.app_version or "-",
                    ",".join(f"{key}={value}" for key, value in sorted(node.tags.items())) or "-",
                )
                for node in nodes
            ],
            wide=wide,
        )  # fmt: skip
        for node in nodes:
            _say_blocked(node)
            if node.unready not in ("", NOT_SERVING) and node.lease > 0:
                say(f"{node.name} is not ready: {node.unready}", sys.stderr)


def _say_blocked(node: NodeStatus) -> None:
    if node.blocked_by and node.lease > 0:
        say(f"{node.name}: blocked for {node.blocked_for:.0f} s by {node.blocked_by}", sys.stderr)


def _print_nodes(columns: Sequence[str], rows: Sequence[Sequence[object]], *, wide: bool) -> None:
    cells = [[shown(str(cell)) for cell in row] for row in rows]
    if wide or not sys.stdout.isatty():
        print_table(columns, cells)
    else:
        print_table(*left_out(columns, cells, shutil.get_terminal_size().columns, LEAST))


def _standing(node: NodeStatus) -> str:
    if node.lease <= 0:
        return "gone"
    if node.blocked_by:
        return "blocked"
    return "not ready" if node.unready and node.status == "up" else node.status


def ps_command(
    hub: HubName,
    match: Annotated[
        str | None,
        typer.Argument(
            metavar="[PATTERN]", help="Only children whose id matches this shell pattern, such as 'room-*'."
        ),
    ] = None,
    node: Annotated[str | None, typer.Option(help="Only children on this node.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only children in this state.")] = None,
    kind: Annotated[str | None, typer.Option("--class", metavar="CLASS", help="Only children of this class.")] = None,
    tags: Annotated[
        list[str] | None,
        typer.Option(
            "--tag", metavar="[KEY=]VALUE", help="Only children with this in their metadata. May be repeated."
        ),
    ] = None,
    sort: Annotated[Sort, typer.Option(help="Column to sort by. backlog: the longest first.")] = Sort.ID,
    count: Annotated[int | None, typer.Option("-n", "--count", min=1, help="Show at most this many.")] = None,
    after: Annotated[
        str | None, typer.Option(metavar="CHILD", help="Only ids after this one: the next page when sorted by id.")
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", "-w", help="Shorten nothing, and give each child a row.")] = False,
    as_json: AsJson = False,
    redis: RedisUrl = None,
) -> None:
    """List the children of a hub. It reads in pages, so Redis serves others in between. Dormant children are counted, and listed with
    --status dormant."""
    wanted = [tag(each) if "=" in each else ("tag", each) for each in tags or ()]
    if after is not None and sort is not Sort.ID:
        raise ConfigError(f"--after works with --sort id, and you gave --sort {sort}: leave one of them out")
    opened = open_hub(hub, redis)
    with of_those_that_answer(opened):
        with reading(opened.hub_id) as progress:
            children = [
                child
                for child in opened.children(match=match, node=node, status=status, kind=kind, progress=progress)
                if all(str(child.metadata.get(key)) == value for key, value in wanted)
                and (after is None or child.child_id > after)
            ]
        children.sort(key=SORTED_BY[sort])
        found, children = len(children), children[:count]
        if as_json:
            print_records(children)
            return
        nodes = opened.nodes()
        busy = {child: said for each in nodes for child, said in each.busy.items()}
        copied = any(child.replicas for child in children)
        told = any(child.progress for child in children)
        print_children(
            (
                "child", "class", "status", "node", *(("replicas",) if copied else ()), "shard", "backlog",
                *(("progress",) if told else ()), "metadata", "reason",
            ),
            [
                (
                    child.child_id, child.kind, _status(child) + (f" ({child.pin or 'pinned'})" if child.pinned else ""), child.node or "-",
                    *((",".join(child.replicas) or "-",) if copied else ()), child.shard, child.backlog,
                    *((child.progress or "-",) if told else ()),
                    json.dumps(child.metadata) if child.metadata else "-",
                    child.reason or child.paused or busy.get(child.child_id, "-"),
                )
                for child in children
            ],
            wide=wide,
        )  # fmt: skip
        for each in nodes:
            _say_blocked(each)
        if status is None and (dormant := opened.inspect.dormant()):
            say(f"{dormant:,} dormant: hubq ps {hub} --status dormant", sys.stderr)
        if len(children) < found:
            more = f"; the next ones: --after {children[-1].child_id}" if sort is Sort.ID else ""
            say(f"{len(children)} of {found}{more}", sys.stderr)


def _status(child: ChildStatus) -> str:
    return "paused" if child.paused and child.status == "running" else child.status


def print_children(columns: Sequence[str], rows: Sequence[Sequence[object]], *, wide: bool) -> None:
    """Print the table. On a terminal, children with the same reason (the last column) are one row. If the table does not fit, a
    reason is a mark, and is told below.
    """
    cells = [[shown(str(cell)) for cell in row] for row in rows]
    if wide or not sys.stdout.isatty():
        print_table(columns, cells)
        return
    rows_shown, width = grouped(columns, cells, "backlog"), shutil.get_terminal_size().columns
    if width_of(columns, rows_shown) <= width:
        print_table(columns, rows_shown)
    else:
        marks, reasons = told_once([row[-1] for row in rows_shown])
        marked = [[*row[:-1], mark] for row, mark in zip(rows_shown, marks, strict=True)]
        print_table(columns, fitted(columns, marked, width))
        if reasons:
            print_table(("", "reason"), [(mark, reason) for mark, _, reason in reasons])
    if len(rows_shown) < len(cells):
        say("--wide has a row for each child", sys.stderr)


@contextlib.contextmanager
def reading(hub_id: str) -> Iterator[Progress | None]:
    """A line on the terminal with the progress of a listing; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status(f"reading the children of {hub_id}") as status:
        yield lambda read, shards, found: status.update(f"{read} of {shards} shards, {found:,} children")
