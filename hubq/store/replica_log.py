"""The log of a shard, which its followers read, and who follows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubq.core.malformed import reason, whole_number
from hubq.core.replication import LogPosition
from hubq.store.command import Arg, Command, pairs, plain, run_script, text
from hubq.store.keys import Keys

#: The kind of a log entry that could not be read.
MALFORMED = "malformed"
KINDS = {kind.encode(): kind for kind in ("start", "end", "message", "state", "saved")}


@dataclass(slots=True)
class LogItem:
    """One thing that a commit did, as it stands in the log (all fields but the last are plain text). ``kind`` is
    :data:`MALFORMED` for an entry that is none of it; ``word`` says why.

    ``kind`` is ``"start"`` and ``"end"`` (``word``: the start id), ``"message"`` (``word``: ``"ok"``, or ``"undone"`` when it
    left no trace), ``"state"`` (``payload``: an envelope), or ``"saved"``: there is a newer state in ``msk``.
    """

    kind: str
    child: str
    entry: str = ""
    method: str = ""
    word: str = ""
    payload: bytes = b""


@dataclass(slots=True)
class LogEntry:
    """A :class:`LogItem` as it is read: with its number and its id in the stream."""

    number: int
    id: str
    item: LogItem


@dataclass(frozen=True, slots=True)
class Follower:
    """A node that has copies of a shard's children. ``behind``: log entries it has not taken in yet."""

    node: str
    incarnation: int
    ready: bool
    behind: int


def follow_shard(keys: Keys, shard: int, node: str, incarnation: int, ttl_ms: int) -> Command[LogPosition | None]:
    """Begin to follow: from where on. None: this node is no member any more."""

    def read(answer: Sequence[Any]) -> LogPosition | None:
        return LogPosition(int(answer[1]), text(answer[2])) if text(answer[0]) == "following" else None

    return run_script(
        "follow_shard", [keys.nodes, keys.replicas(shard), keys.log(shard)], [node, incarnation, ttl_ms], read
    )


def report_replica(
    keys: Keys, shard: int, node: str, incarnation: int, ttl_ms: int, position: LogPosition, ready: bool
) -> Command[int | None]:
    """Say how far this follower is: the number of the log's last entry. None: it follows no more, and begins anew."""

    def read(answer: Sequence[Any]) -> int | None:
        return int(answer[1]) if text(answer[0]) == "ok" else None

    return run_script(
        "report_replica",
        [keys.nodes, keys.replicas(shard), keys.log(shard)],
        [node, incarnation, ttl_ms, position.number, position.entry, "ready" if ready else "building"],
        read,
    )


def unfollow_shard(keys: Keys, shard: int, node: str, incarnation: int) -> Command[str]:
    """Follow no more: ``left`` or ``gone``."""
    return run_script("unfollow_shard", [keys.replicas(shard), keys.log(shard)], [node, incarnation], text)


def read_last_number(keys: Keys, shard: int) -> Command[int]:
    """The number of the log's last entry; 0 when nobody follows."""
    return plain("HGET", keys.replicas(shard), "#", read=whole_number)


def read_followers(keys: Keys, shard: int) -> Command[list[Follower]]:
    """Who follows a shard (dead ones among them until a live one reports)."""

    def read(answer: Any) -> list[Follower]:
        fields = pairs(answer)
        last = whole_number(fields.pop("#", None))
        found: list[Follower] = []
        for node, line in sorted(fields.items()):
            incarnation, number, _, status = [*text(line).split(" "), "", "", "", ""][:4]
            if incarnation.isdecimal() and number.isdecimal():  # else it is malformed: no follower reads such a line
                behind = max(0, last - whole_number(number))
                found.append(Follower(node, whole_number(incarnation), status == "ready", behind))
        return found

    return plain("HGETALL", keys.replicas(shard), read=read)


def _entries(answer: Any) -> list[LogEntry]:
    return [_entry(entry, fields) for entry, fields in answer or ()]


def _entry(entry: bytes, fields: Sequence[bytes]) -> LogEntry:
    # n number kind k child c entry e method m word w payload p, in the order append_log writes them
    try:
        kind = KINDS[fields[3]]
        item = LogItem(
            kind, fields[5].decode(), fields[7].decode(), fields[9].decode(), fields[11].decode(), fields[13]
        )
        return LogEntry(int(fields[1]), text(entry), item)
    except (LookupError, ValueError) as error:
        return LogEntry(0, text(entry), LogItem(MALFORMED, "", word=reason(error)))


def read_logs(
    keys: Keys, positions: Mapping[int, str], count: int, block_ms: int, wake: str, woken: str
) -> Command[tuple[dict[int, list[LogEntry]], str]]:
    """Entries past each shard's position, blocking; ``wake`` is one more stream whose entries end the wait."""
    names = {keys.log(shard): shard for shard in positions}

    def read(answer: Any) -> tuple[dict[int, list[LogEntry]], str]:
        found: dict[int, list[LogEntry]] = {}
        last = woken
        for name, entries in answer or ():
            if text(name) == wake:
                last = text(entries[-1][0])
            else:
                found[names[text(name)]] = _entries(entries)
        return found, last

    ids: list[Arg] = [*positions.values(), woken]
    return plain("XREAD", "COUNT", count, "BLOCK", block_ms, "STREAMS", *names, wake, *ids, read=read, blocks=True)


def read_log(keys: Keys, shard: int, after: str, count: int) -> Command[list[LogEntry]]:
    """Entries of one log after an id."""
    return plain("XRANGE", keys.log(shard), "-" if after == "0" else f"({after}", "+", "COUNT", count, read=_entries)
