"""What is kept of jobs. The result of a resumable one is a stream of one entry: any number of callers can wait for it."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from hubq.store.command import Command, plain, run_script, text
from hubq.store.keys import Keys


class About(msgspec.Struct, frozen=True):
    """What is kept of a job besides its result. Times are seconds since 1970; ``progress``: its last one, as it stands in Redis."""

    function: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    progress: str = ""


class Kept(NamedTuple):
    """A result."""

    status: str
    payload: bytes
    about: About


def keep_result(keys: Keys, job_id: str, status: str, payload: bytes, ttl_ms: int, about: About) -> Command[str]:
    """Keep a result, if there is none yet: ``ok``, or ``kept``. ``ttl_ms`` 0: keep none, -1: for ever."""
    return run_script("keep_result", [keys.result(job_id)], [ttl_ms, status, payload, msgspec.json.encode(about)], text)


def read_result(keys: Keys, job_id: str, block_ms: int = 0) -> Command[Kept | None]:
    """The result, waiting up to ``block_ms`` for them (0: not at all)."""
    block: tuple[str | int, ...] = ("BLOCK", block_ms) if block_ms else ()

    def read(answer: Any) -> Kept | None:
        if not answer:
            return None
        ((_, ((_, fields),)),) = answer
        return Kept(text(fields[1]), bytes(fields[3]), _about(fields[5] if len(fields) > 5 else b""))

    return plain("XREAD", "COUNT", 1, *block, "STREAMS", keys.result(job_id), "0", read=read, blocks=block_ms > 0)


def _about(data: bytes) -> About:
    try:
        return msgspec.json.decode(data, type=About)
    except msgspec.MsgspecError:  # of an earlier version
        return About()


def forget_result(keys: Keys, job_id: str) -> Command[int]:
    """Remove the result of an earlier job of this id."""
    return plain("UNLINK", keys.result(job_id), read=int)
