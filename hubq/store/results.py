"""What is kept of jobs. The result of a resumable one is a stream of one entry: any number of callers can wait for it."""

from __future__ import annotations

from typing import Any

from hubq.store.command import Command, plain, run_script, text
from hubq.store.keys import Keys

Kept = tuple[str, bytes]


def keep_result(keys: Keys, job_id: str, status: str, payload: bytes, ttl_ms: int) -> Command[str]:
    """Keep a result, if there is none yet: ``ok``, or ``kept``. ``ttl_ms`` 0: keep none, -1: for ever."""
    return run_script("keep_result", [keys.result(job_id)], [ttl_ms, status, payload], text)


def read_result(keys: Keys, job_id: str, block_ms: int = 0) -> Command[Kept | None]:
    """The status and payload, waiting up to ``block_ms`` for them (0: not at all)."""
    block: tuple[str | int, ...] = ("BLOCK", block_ms) if block_ms else ()

    def read(answer: Any) -> Kept | None:
        if not answer:
            return None
        ((_, ((_, fields),)),) = answer
        return text(fields[1]), bytes(fields[3])

    return plain("XREAD", "COUNT", 1, *block, "STREAMS", keys.result(job_id), "0", read=read, blocks=block_ms > 0)


def forget_result(keys: Keys, job_id: str) -> Command[int]:
    """Remove the result of an earlier job of this id."""
    return plain("UNLINK", keys.result(job_id), read=int)


def keep_job(key: str) -> Command[str]:
    """The message of a keyed job is sent: RQ's hash of it (``key``) has no time limit any more: ``kept``, or ``begun``."""
    return run_script("keep_job", [key], [], text)
