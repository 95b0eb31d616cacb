"""What is told of a child: where it is, and how it is, made of what stands in Redis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hubq.client.results import ChildStatus
from hubq.core.malformed import whole_number
from hubq.core.pauses import Pauses
from hubq.core.wish import Wish
from hubq.store.command import Command, one_of, plain, text
from hubq.store.keys import Keys, owner_field
from hubq.store.owners import Owner
from hubq.store.progress import told_by
from hubq.store.replica_log import Follower, read_followers
from hubq.store.spec_record import SpecRecord

#: How many commands :func:`places_of` makes.
PLACES = 7


def places_of(keys: Keys, shard: int, children: list[str]) -> list[Command[Any]]:
    """Who follows the shard, who owns it and its pins, what waits for these children, which of them cannot run, where they
    are wanted, why they are not there, and what they have told of their progress. (``PLACES`` commands.)
    """
    fields = [owner_field(shard), *(owner_field(shard, child) for child in children)]
    return [
        read_followers(keys, shard),
        plain("HMGET", keys.owners, *fields, read=list),
        plain("HMGET", keys.backlog(shard), *children, read=list),
        plain("HMGET", keys.parked(shard), *children, read=list),
        plain("HMGET", keys.pins, *children, read=list),
        plain("HMGET", keys.stragglers, *children, read=list),
        plain("HMGET", keys.progress(shard), *children, read=list),
    ]


def wish_of(spec: SpecRecord, moved: bytes | None) -> Wish | None:
    """Where a child is wanted: a move by hand goes before what it was started with."""
    line = text(moved) if moved is not None else spec.place
    return one_of(Wish.read, None)(line or None)


def statuses_of(
    shard: int,
    specs: Mapping[str, SpecRecord],
    lives: Mapping[str, int],
    pauses: Pauses,
    followers: list[Follower],
    lines: list[Any],
    backlogs: list[Any],
    parked: list[Any],
    moves: list[Any],
    stays: list[Any],
    told: list[Any],
) -> list[ChildStatus]:
    of_shard = Owner.of(lines[0])
    copies = copies_of(of_shard, followers, lives)
    found: list[ChildStatus] = []
    for (child, spec), line, backlog, reason, moved, why, progress in zip(
        specs.items(), lines[1:], backlogs, parked, moves, stays, told, strict=True
    ):
        owner = Owner.of(line) if line else of_shard
        wish = wish_of(spec, moved)
        waits = not line and wish is not None and wish.waits and wish.node != owner.node
        node = owner.node if lives.get(owner.node) == owner.incarnation and not waits else None
        gone = "" if node or waits or owner.node == "-" else f"its node {owner.node} is gone"
        pin = wish.why if wish is not None else ""
        if line and (wish is None or wish.node != owner.node):
            pin = "straggler"
        has = copies if node and not line else ()  # (no follower of the shard would take a pin over)
        status = "parked" if reason is not None else "running" if node else "waiting"
        found.append(
            ChildStatus(
                child, spec.name, shard, node, status, bool(line), whole_number(backlog),
                text(reason or gone or why or (f"waits for node {wish.node}" if wish is not None and waits else "")),
                dict(spec.metadata), owner.incarnation, owner.token, spec.restart, pin, wish.node if wish else "",
                tuple(copy.node for copy in has), tuple(copy.incarnation for copy in has),
                told_by(progress, spec.start_id),
                str(pauses.of(child, spec.name) or "") if pauses else "",
            )
        )  # fmt: skip
    return found


def dormant_status(shard: int, child: str, spec: SpecRecord) -> ChildStatus:
    """A dormant child: it is on no node."""
    return ChildStatus(
        child, spec.name, shard, None, "dormant", False, 0, "", dict(spec.metadata), restart=spec.restart
    )


def copies_of(owner: Owner, followers: Iterable[Follower], lives: Mapping[str, int]) -> list[Follower]:
    """The live nodes that have a finished copy of what the owner has."""
    return [
        follower
        for follower in followers
        if follower.ready and follower.node != owner.node and lives.get(follower.node) == follower.incarnation
    ]
