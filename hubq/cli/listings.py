"""``hubq nodes`` and ``hubq ps``: the workers and the children of a hub."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Annotated, Any

import typer

from hubq.cli.children import tag
from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import duration, print_records, print_table, say
from hubq.client.operations.registry import Progress
from hubq.client.results import ChildStatus
from hubq.errors import ConfigError


class Status(StrEnum):
    """The states of a child."""

    RUNNING = "running"
    PARKED = "parked"
    WAITING = "waiting"


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


def nodes_command(hub: HubName, as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """List the workers of a hub."""
    opened = open_hub(hub, redis)
    nodes = sorted(opened.nodes(), key=lambda node: node.name)
    if why := opened.inspect.partitioned():
        say(f"no quorum {why}: intake is closed, starts and stops are refused", sys.stderr)
    if as_json:
        print_records(nodes)
        return
    print_table(
        ("node", "status", "shards", "pins", "lease", "uptime", "host", "pid", "version", "tags"),
        [
            (
                node.name, node.status if node.lease > 0 else "gone", node.shards, node.pins, f"{node.lease:.1f}s", duration(node.uptime),
                node.host, node.pid, node.version,
                ",".join(f"{key}={value}" for key, value in sorted(node.tags.items())) or "-",
            )
            for node in nodes
        ],
    )  # fmt: skip


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
    as_json: AsJson = False,
    redis: RedisUrl = None,
) -> None:
    """List the children of a hub. It reads in pages, so Redis serves others in between."""
    wanted = [tag(each) if "=" in each else ("tag", each) for each in tags or ()]
    if after is not None and sort is not Sort.ID:
        raise ConfigError(f"--after works with --sort id, and you gave --sort {sort}: leave one of them out")
    opened = open_hub(hub, redis)
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
    copied = any(child.replicas for child in children)
    print_table(
        ("child", "class", "status", "node", *(("replicas",) if copied else ()), "shard", "backlog", "metadata", "reason"),
        [
            (
                child.child_id, child.kind, child.status + (f" ({child.pin or 'pinned'})" if child.pinned else ""), child.node or "-",
                *((",".join(child.replicas) or "-",) if copied else ()), child.shard, child.backlog,
                json.dumps(child.metadata) if child.metadata else "-", child.reason or "-",
            )
            for child in children
        ],
    )  # fmt: skip
    if len(children) < found:
        more = f"; the next ones: --after {children[-1].child_id}" if sort is Sort.ID else ""
        say(f"{len(children)} of {found}{more}", sys.stderr)


@contextlib.contextmanager
def reading(hub_id: str) -> Iterator[Progress | None]:
    """A line on the terminal with the progress of a listing; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status(f"reading the children of {hub_id}") as status:
        yield lambda read, shards, found: status.update(f"{read} of {shards} shards, {found:,} children")
