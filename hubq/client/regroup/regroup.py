"""The steps of a move to another number of groups. Each may be ended at any moment, and the move run again."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from typing import NamedTuple

from hubq.client.groups import servers_of
from hubq.client.hub import Hub
from hubq.client.regroup.lock import MoveLock
from hubq.client.regroup.pieces import Piece, Pieces
from hubq.client.regroup.sides import Side, SideGroup
from hubq.client.regroup.tally import Tally
from hubq.core.malformed import whole_number
from hubq.core.regrouping import ASIDE, COMING, Way, place_of
from hubq.errors import HubqError
from hubq.store.command import plain, text
from hubq.store.connection import Server, SyncRedis
from hubq.store.contents import about, scanned, writing
from hubq.store.keys import Keys
from hubq.store.membership import groups_of_wire, read_config, wire_of
from hubq.store.moves import (
    REFUSES_FOR,
    Record,
    aside_names,
    for_sending,
    forget_record,
    in_turn,
    mark_moving,
    put_back,
    read_record,
    set_aside,
    was_moved,
    why_nobody_begins,
    write_record,
)
from hubq.store.server import of_hub

#: Keys that are deleted at a time.
AT_ONCE = 500


class Source(NamedTuple):
    """A hub as Redis knows it. ``record``: the move that was begun last; None: none."""

    hub: Hub
    record: Record | None


def found_source(hub_id: str, redis: str | list[Server] | None) -> Source:
    """The hub of this id. Raises :class:`~hubq.errors.HubqError`: there is none, or it is somewhere else by now."""
    given = servers_of(redis)
    keys = Keys(hub_id)
    connection = SyncRedis(of_hub(given[0], hub_id))
    try:
        fixed, record = connection.run_many([read_config(keys), read_record(keys)])
    finally:
        connection.close()
    if fixed is None or not whole_number(fixed[0]):
        raise HubqError(f"no hub {hub_id!r} in Redis at {given[0].address}: check the id and --redis")
    groups = record.groups_before if record is not None else groups_of_wire(fixed[1])
    if not groups:
        why = why_nobody_begins(hub_id, fixed[1]) or f"its wire version is {fixed[1]!r}, which this hubq does not know"
        raise HubqError(f"hub {hub_id!r} at {given[0].address}: {why}")
    return Source(Hub(hub_id, redis=given, shards=whole_number(fixed[0]), groups=groups), record)


class Regroup:
    """One move. ``say``: is told what was done.

    ``target``: the same hub with the other number of groups. Its Redis may be the same.
    """

    def __init__(self, source: Side, target: Side, record: Record | None, say: Callable[[str], None]) -> None:
        self._source, self._target, self._say = source, target, say
        self._hub_id = source.hub.hub_id
        self._first = source.groups[0]
        self._record = record

    def run(self) -> Tally | None:
        """Move the hub; what there is of it now, or None: that was done before.

        Raises :class:`~hubq.errors.HubqError` if a worker serves it, or if what was copied is not what was there.
        """
        with MoveLock(self._first.redis, self._first.keys) as lock:
            record = self._begun()
            tally = None
            if record.phase == "copying":
                tally = self._copied(record, lock)
                lock.check()
                record = self._reached(record, "opening")
            if record.phase == "opening":
                self._open(record)
                self._reached(record, "opened")
            return tally

    def abandon(self) -> None:
        """Give the source its keys back. Raises :class:`~hubq.errors.HubqError` once the target has been opened."""
        record = self._record
        if record is None:
            raise HubqError(f"hub {self._hub_id!r} is not being moved")
        if record.phase != "copying":
            raise HubqError(
                f"hub {self._hub_id!r} has been moved to groups={record.groups} at {record.address}: move it back with "
                f"--groups {record.groups_before}"
            )
        if not self._is_same(record):
            raise self._other(record)
        with MoveLock(self._first.redis, self._first.keys):
            self._delete_coming()
            for group in self._source.groups:
                self._put_back(group, ASIDE)
            self._unmark(record)
            self._first.redis.run(forget_record(self._first.keys))

    def delete_source(self) -> int:
        """Delete what the source has kept; how many keys. Raises :class:`~hubq.errors.HubqError` before the target is opened."""
        record = self._record
        if record is None or record.phase != "opened":
            raise HubqError(f"hub {self._hub_id!r} has not been moved: run hubq regroup to its end first")
        deleted = 0
        for group in self._source.groups:
            deleted += self._delete(group, ASIDE)
            if group.number and self._wire(group) == record.moved:  # (that of the first group says where the hub is)
                group.redis.run(plain("DEL", group.keys.config, read=int))
            standing = [group.keys.prefix + name for name in sorted(for_sending(group.shards))]
            for key, known in zip(standing, about(group.redis, standing), strict=True):
                if known.type == "string":
                    group.redis.run(plain("PEXPIRE", key, REFUSES_FOR, read=int))
        self._first.redis.run(forget_record(self._first.keys))
        return deleted

    def _is_same(self, record: Record) -> bool:
        return (record.groups, record.address) == (len(self._target.groups), self._target.hub.groups.address)

    def _other(self, record: Record) -> HubqError:
        return HubqError(
            f"hub {self._hub_id!r} is being moved to groups={record.groups} at {record.address}: give the same --groups and --to, or "
            "end that with --abandon (and its --to)"
        )

    # -- the steps ---------------------------------------------------------------------------------------------------

    def _begun(self) -> Record:
        record, hub = self._record, self._target.hub
        same = record is not None and self._is_same(record)
        if record is not None and record.phase == "opened":
            if same:
                return record
            raise HubqError(
                f"hub {self._hub_id!r} has keys of an earlier move to groups={record.groups}: delete them first, "
                f"hubq regroup {self._hub_id} --delete-source"
            )
        if record is not None and not same:
            raise self._other(record)
        if record is not None and record.phase == "opening":
            return record
        new = record or Record(
            secrets.token_hex(8), len(self._source.groups), len(self._target.groups), hub.groups.address, "copying"
        )
        self._first.redis.run(write_record(self._first.keys, new))
        try:
            self._mark(new)
        except HubqError:
            if record is None:  # nothing was done yet
                self._unmark(new)
                self._first.redis.run(forget_record(self._first.keys))
            raise
        return new

    def _mark(self, record: Record) -> None:
        """From now on no worker and no client begins on the source or on the target."""
        for group in self._source.groups:
            before = wire_of(group.number, record.groups_before)
            word, *said = group.redis.run(mark_moving(group.keys, before, record.moving))
            if word == "served":
                raise HubqError(
                    f"hub {self._hub_id!r} is served by {', '.join(sorted(said)[:5])}: hubq drain them first"
                )
            if word == "other":
                raise HubqError(
                    f"group {group.number} of hub {self._hub_id!r} at {group.redis.server.address} says {said[0]!r} of itself, "
                    f"not {before!r}: see {group.keys.config}"
                )
        self._refuse_others(record)
        began = self._first.redis.run(plain("HGET", self._first.keys.config, "began", read=lambda found: found or b"0"))
        for group in self._target.groups:
            fixed = ["shards", self._target.hub.config.shards, "wire", record.moving, "began", began]
            group.redis.run(plain("HSET", group.keys.config, *fixed, read=int))

    def _refuse_others(self, record: Record) -> None:
        """What is there already at the places of the target. (A group of the source says by now that it is moved.)"""
        wires = [self._wire(group) for group in self._target.groups]
        if (
            record.groups == record.groups_before
            and all(wire == record.moving for wire in wires)
            and self._record is None
        ):
            raise HubqError(f"hub {self._hub_id!r} has groups={record.groups} at {record.address} already")
        for group, wire in zip(self._target.groups, wires, strict=True):
            if wire and wire != record.moving and not was_moved(wire):
                raise HubqError(
                    f"there is another hub {self._hub_id!r} at {group.redis.server.address} (group {group.number}: {wire}): delete "
                    "that one first, or give another --to"
                )

    def _unmark(self, record: Record) -> None:
        """The source is what it was; of the target nothing is left."""
        for group in self._source.groups:
            group.redis.run(mark_moving(group.keys, record.moving, wire_of(group.number, record.groups_before)))
        for group in self._target.groups:
            if self._wire(group) == record.moving:
                group.redis.run(plain("DEL", group.keys.config, read=int))

    def _copied(self, record: Record, lock: MoveLock) -> Tally:
        for group in self._source.groups:
            self._set_aside(group, record)
        self._delete_coming()
        for number, name, part, ttl_ms in self._pieces(record, lock):
            place = self._target.groups[number]
            key = f"{place.keys.prefix}{COMING}{name}"
            commands = writing(key, part)
            if commands and ttl_ms >= 0:
                commands.append(plain("PEXPIRE", key, max(ttl_ms, 1), read=int))
            if commands:
                place.redis.run_many(commands)
        there = Tally.of(self._pieces(record, lock))
        here = Tally.of_target(self._target, lock.keep)
        if wrong := there.differences(here):
            raise HubqError(
                f"what was copied of hub {self._hub_id!r} is not what is there ({', '.join(wrong)}): somebody writes to it; end who "
                "does, and run it again"
            )
        return here

    def _pieces(self, record: Record, lock: MoveLock) -> Iterator[Piece]:
        for piece in Pieces(self._source, self._target, f"regroup.{record.move}"):
            lock.keep()
            yield piece

    def _set_aside(self, group: SideGroup, record: Record) -> None:
        """Until nothing more is found: a client that still runs may have written meanwhile. From then on it is refused."""
        moved, done = 0, set[str]()
        while names := {*aside_names(scanned(group.redis, group.keys.prefix)), *for_sending(group.shards)} - done:
            for some in in_turn(sorted(names), opening=False):
                moved += group.redis.run(set_aside(group.keys, some, f"this hub was moved to groups={record.groups}"))
            done |= names
        unknown = [name for name in scanned(group.redis, group.keys.prefix) if place_of(name).way is Way.UNKNOWN]
        self._say(f"group {group.number}: {moved} keys set aside")
        if unknown:
            self._say(f"group {group.number}: {len(unknown)} keys that are not hubq's stay: {', '.join(unknown[:3])}")

    def _open(self, record: Record) -> None:
        for group in self._target.groups:
            self._put_back(group, COMING)
        for group in self._target.groups:
            wire = wire_of(group.number, record.groups)
            group.redis.run(plain("HSET", group.keys.config, "wire", wire, read=int))
        for group in self._source.groups:
            if self._wire(group) == record.moving:
                group.redis.run(plain("HSET", group.keys.config, "wire", record.moved, read=int))

    def _put_back(self, group: SideGroup, where: str) -> None:
        names = {*scanned(group.redis, group.keys.prefix + where), *for_sending(group.shards)}
        for some in in_turn(sorted(names), opening=True):
            group.redis.run(put_back(group.keys, some, where))

    def _delete_coming(self) -> None:
        for group in self._target.groups:
            self._delete(group, COMING)

    def _delete(self, group: SideGroup, where: str) -> int:
        prefix = group.keys.prefix + where
        names = [prefix + name for name in scanned(group.redis, prefix)]
        for first in range(0, len(names), AT_ONCE):
            group.redis.run(plain("UNLINK", *names[first : first + AT_ONCE], read=int))
        return len(names)

    def _reached(self, record: Record, phase: str) -> Record:
        self._record = record._replace(phase=phase)
        self._first.redis.run(write_record(self._first.keys, self._record))
        return self._record

    def _wire(self, group: SideGroup) -> str:
        return text(group.redis.run(plain("HGET", group.keys.config, "wire", read=lambda found: found or b"")))
