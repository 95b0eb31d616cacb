"""``hubq nodes`` and ``hubq ps``: what there is."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated

import typer

from hubq.cli.loading import AsJson, HubName, RedisUrl, open_hub
from hubq.cli.output import duration, print_records, print_table


class Status(StrEnum):
    """The states a child may be in."""

    RUNNING = "running"
    PARKED = "parked"
    WAITING = "waiting"


def nodes_command(hub: HubName, as_json: AsJson = False, redis: RedisUrl = None) -> None:
    """List the workers of a hub."""
    nodes = sorted(open_hub(hub, redis).nodes(), key=lambda node: node.name)
    if as_json:
        print_records(nodes)
        return
    print_table(
        ("node", "status", "shards", "pins", "lease", "uptime", "host", "pid", "version", "tags"),
        [
            (
                node.name, node.status, node.shards, node.pins, f"{node.lease:.1f}s", duration(node.uptime),
                node.host, node.pid, node.version,
                ",".join(f"{key}={value}" for key, value in sorted(node.tags.items())) or "-",
            )
            for node in nodes
        ],
    )  # fmt: skip


def ps_command(
    hub: HubName,
    node: Annotated[str | None, typer.Option(help="Only the children on this node.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only the children in this state.")] = None,
    kind: Annotated[
        str | None, typer.Option("--class", metavar="CLASS", help="Only the children of this class.")
    ] = None,
    as_json: AsJson = False,
    redis: RedisUrl = None,
) -> None:
    """List the children of a hub, sorted by id."""
    children = [
        child
        for child in open_hub(hub, redis).children()
        if (node is None or child.node == node)
        and (status is None or child.status == status.value)
        and (kind is None or child.kind == kind)
    ]
    children.sort(key=lambda child: child.child_id)
    if as_json:
        print_records(children)
        return
    print_table(
        ("child", "class", "status", "node", "shard", "backlog", "metadata", "reason"),
        [
            (
                child.child_id, child.kind, child.status + (" (pinned)" if child.pinned else ""), child.node or "-",
                child.shard, child.backlog, json.dumps(child.metadata) if child.metadata else "-", child.reason or "-",
            )
            for child in children
        ],
    )  # fmt: skip
