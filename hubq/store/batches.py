"""All-or-nothing starts: one record that decides, and a mark in each shard that took part."""

from __future__ import annotations

from hubq.store.command import Command, plain, run_script, text
from hubq.store.keys import Keys


def open_batch(keys: Keys, batch: str, ttl_ms: int) -> Command[None]:
    """Begin: undecided until sealed; undone when ``ttl_ms`` is over or somebody says so."""
    return plain("SET", keys.batch(batch), "open", "PX", ttl_ms, read=lambda answer: None)


def renew_batch(keys: Keys, batch: str, ttl_ms: int) -> Command[bool]:
    """The caller lives: leave it undecided for that long. False: it was undone."""
    return plain("PEXPIRE", keys.batch(batch), ttl_ms, read=bool)


def end_batch(keys: Keys, batch: str, decision: str, shards: int) -> Command[str]:
    """Decide it, ``"seal"`` or ``"undo"``: ``sealed`` or ``undone``, whichever came first."""
    return run_script("end_batch", [keys.batch(batch)], [decision, shards], text)


def read_batch(keys: Keys, batch: str) -> Command[str]:
    """``open``, ``sealed <marks left>``, or empty: undone."""
    return plain("GET", keys.batch(batch), read=lambda answer: text(answer or b""))


def forget_mark(keys: Keys, shard: int, start_id: str, batch: str) -> Command[str]:
    """The children that this shard started for the batch are settled."""
    return run_script("forget_mark", [keys.batches(shard), keys.batch(batch)], [start_id], text)
