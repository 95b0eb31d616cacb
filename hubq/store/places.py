"""Wanted places of children (``pins``), the passing of single children, and why some are not where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hubq.core.malformed import Table, whole_number
from hubq.core.wish import Wish
from hubq.store.command import Command, one_of, plain, run_script, text, whole_table
from hubq.store.effects import Effects
from hubq.store.keys import Keys, owner_field
from hubq.store.owners import Owner


def want_place(keys: Keys, shard: int, child: str, wish: Wish | None, events_kept: int) -> Command[str]:
    """Write a wish, or take it back: ``ok``, ``unknown`` (no such child), ``dormant``, ``no_node`` or ``draining``."""
    return run_script(
        "want_place",
        [
            keys.children(shard),
            keys.pins,
            keys.pins_epoch,
            keys.nodes,
            keys.events,
            keys.stragglers,
            keys.dormant(shard),
        ],
        [child, shard, wish.node if wish else "", wish.line if wish else "", events_kept],
        text,
    )


def read_pins_epoch(keys: Keys) -> Command[int]:
    """A number that changes with every wish."""
    return plain("GET", keys.pins_epoch, read=whole_number)


def read_wishes(keys: Keys) -> Command[Table[str, Wish]]:
    """All wishes written by ``hub.move``."""
    return plain(
        "HGETALL",
        keys.pins,
        read=lambda answer: whole_table(keys.pins, answer, lambda child, line: (child, Wish.read(text(line)))),
    )


def read_wish(keys: Keys, child: str) -> Command[Wish | None]:
    """The wish for one child."""
    return plain("HGET", keys.pins, child, read=one_of(lambda line: Wish.read(text(line)), None))


def say_why(keys: Keys, child: str, reason: str) -> Command[None]:
    """Write down why a child is not where it belongs."""
    return plain("HSET", keys.stragglers, child, reason, read=lambda answer: None)


def read_why(keys: Keys, child: str) -> Command[str]:
    """Why a child is not where it belongs; empty if nothing is known."""
    return plain("HGET", keys.stragglers, child, read=lambda found: text(found) if found is not None else "")


def read_pin_owners(keys: Keys, shard: int, children: Sequence[str]) -> Command[dict[str, Owner]]:
    """The owner lines of these pins, where there are any."""

    def read(answer: Any) -> dict[str, Owner]:
        return {child: Owner.of(line) for child, line in zip(children, answer, strict=True) if line is not None}

    return plain("HMGET", keys.owners, *(owner_field(shard, child) for child in children), read=read)


def read_shard_owners(keys: Keys, shards: Sequence[int]) -> Command[dict[int, Owner]]:
    """The owner lines of these shards, where there are any."""

    def read(answer: Any) -> dict[int, Owner]:
        return {shard: Owner.of(line) for shard, line in zip(shards, answer, strict=True) if line is not None}

    return plain("HMGET", keys.owners, *(owner_field(shard) for shard in shards), read=read)


def pass_children(
    keys: Keys,
    shard: int,
    source: Owner,
    target: str,
    incarnation: int,
    children: Sequence[str],
    *,
    handover_id: str,
    closed_at_ms: float,
    effects: Effects,
    events_kept: int,
) -> Command[str]:
    """Give children to the target; the shard stays with a new token: ``passed``, ``fenced`` or ``target_gone``."""
    names, arguments = effects.for_script(keys, shard)
    return run_script(
        "pass_children",
        [keys.owners, keys.nodes, keys.leases, keys.events, keys.control(target), keys.stragglers, *names],
        [
            owner_field(shard), source.line, target, incarnation, handover_id, f"{closed_at_ms:.3f}", source.node,
            events_kept, len(children), *children, *arguments,
        ],
        text,
    )  # fmt: skip
