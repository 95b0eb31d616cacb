"""Jobs that children have enqueued: they wait in a stream of their shard until its owner has put them into RQ (docs/effects.md)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from hubq.store.command import Arg, Command, plain, run_script, text
from hubq.store.keys import Keys
from hubq.store.saying import SayingLimits, Section


class Enqueued(NamedTuple):
    """A job that a child enqueues. ``record``: what RQ keeps of it; ``key``: that of a job with a key, else empty."""

    sender: str
    job_id: str
    key: str
    record: bytes

    @property
    def size(self) -> int:
        """Bytes of its largest part."""
        return len(self.record)

    @staticmethod
    def section(keys: Keys, shard: int, said: Sequence[Enqueued], limits: SayingLimits) -> Section:
        """What children of ``shard`` enqueue."""
        args: list[Arg] = []
        for job in said:
            args += (job.sender, job.job_id, job.key, job.record)
        return Section("jobs", [keys.jobs(shard)], args)


class JobRecord(msgspec.Struct, frozen=True, array_like=True):
    """What RQ keeps of a job, field by field, and how it is enqueued: in front of the others, only if its id is new."""

    fields: dict[str, bytes]
    at_front: bool = False
    unique: bool = False

    def written(self) -> bytes:
        """As bytes for the stream."""
        return msgspec.msgpack.encode(self)


class WaitingJob(NamedTuple):
    """An entry of the stream."""

    sender: str
    job_id: str
    key: str
    record: JobRecord


class OutboxMessage(NamedTuple):
    """What goes into the outbox of the shard when a job with a key has been put into RQ; into that for group ``far``, if its child is in
    another one. ``generation``: as in :mod:`hubq.store.far`.
    """

    shard: int
    sender: str
    child: str
    method: str
    payload: bytes
    spec: bytes
    far: int | None = None
    generation: str = ""


def read_waiting(fields: Sequence[bytes]) -> WaitingJob:
    """An entry's fields, name after name with its value. Raises ``ValueError``: it is none that hubq has written.

    >>> read_waiting([b"sender", b"a"])
    Traceback (most recent call last):
    ValueError: its fields are not sender, id, key, record
    """
    match fields:
        case [b"sender", sender, b"id", job_id, b"key", key, b"record", record]:
            read = msgspec.msgpack.decode(record, type=JobRecord)  # (its errors are ValueErrors)
            return WaitingJob(text(sender), text(job_id), text(key), read)
    raise ValueError("its fields are not sender, id, key, record")


def read_jobs(keys: Keys, shard: int, count: int) -> Command[list[tuple[str, Sequence[bytes]]]]:
    """The next jobs of a shard: entry, fields as :func:`read_waiting` takes them."""

    def read(answer: Any) -> list[tuple[str, Sequence[bytes]]]:
        return [(text(entry), fields or ()) for entry, fields in answer or ()]

    return plain("XRANGE", keys.jobs(shard), "-", "+", "COUNT", count, read=read)


def take_jobs(keys: Keys, shard: int, entries: Mapping[str, OutboxMessage | None]) -> Command[int]:
    """Delete jobs that are in RQ by now: entry -> what goes into the outbox with that. How many jobs are left. May be run twice."""
    args: list[Arg] = []
    names = [keys.jobs(shard), *keys.outbox_keys(shard)]
    for entry, message in entries.items():
        args += (entry, *(message[:6] if message else ("", "", "", "", "", "")))
        if message is None or message.far is None:
            args += ("", "")
        else:
            args += (len(names) + 1, message.generation)
            names += keys.far_keys(shard, message.far)
    return run_script("take_jobs", names, args, int)


def jobs_length(keys: Keys, shard: int) -> Command[int]:
    """How many jobs of a shard wait."""
    return plain("XLEN", keys.jobs(shard), read=int)
