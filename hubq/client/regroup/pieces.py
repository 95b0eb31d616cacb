"""What the target shall have, made of what the source has: the same each time it is made, as long as nobody writes to the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from hubq.client.regroup.outboxes import OldMessage, Outboxes
from hubq.client.regroup.sides import Side, SideGroup
from hubq.core.malformed import whole_number
from hubq.core.regrouping import ASIDE, Place, Way, in_time, joined_windows, owner_after, place_of
from hubq.store.command import plain, text
from hubq.store.contents import About, Part, about, parts_of, scanned
from hubq.store.keys import split_owner_field

#: Keys that are asked at a time what they are.
AT_ONCE = 500


class Piece(NamedTuple):
    """A part of a key of a group of the target. ``ttl_ms``: how long the key lives; -1: for good."""

    group: int
    name: str
    part: Part
    ttl_ms: int = -1


class Found(NamedTuple):
    """A key of the source: its name in the target, and its key in Redis now."""

    name: str
    place: Place
    key: str
    about: About


class Pieces:
    """Iterates over all of them. ``generation``: that of messages to other groups which get their number here."""

    def __init__(self, source: Side, target: Side, generation: str) -> None:
        self._source, self._target = source, target
        self._outboxes = Outboxes(target, generation)
        self._everywhere: dict[str, dict[bytes, bytes] | bytes] = {}
        self._lives: dict[str, int] = {}
        self._highest: Counter[str] = Counter()
        self._events: list[tuple[bytes, ...]] = []
        self._sealed: set[str] = set()
        self._windows: dict[str, tuple[dict[str, int], int]] = {}
        self._marks: Counter[tuple[int, str]] = Counter()

    def __iter__(self) -> Iterator[Piece]:
        for group in self._source.groups:
            outboxes: list[Found] = []
            for found in self._found(group):
                if found.place.way is Way.OUTBOX:
                    outboxes.append(found)
                else:
                    yield from self._of(group, found)
            yield from self._said(group, outboxes)
        yield from self._of_the_hub()

    def _found(self, group: SideGroup) -> Iterator[Found]:
        prefix = group.keys.prefix
        aside = [(name, f"{prefix}{ASIDE}{name}") for name in scanned(group.redis, prefix + ASIDE)]
        aside += [(f"sender:{name}", f"{prefix}sender:{name}") for name in scanned(group.redis, f"{prefix}sender:")]
        for first in range(0, len(aside), AT_ONCE):
            page = aside[first : first + AT_ONCE]
            for (name, key), known in zip(page, about(group.redis, [key for _, key in page]), strict=True):
                if known.type != "none":
                    yield Found(name, place_of(name), key, known)

    def _of(self, group: SideGroup, found: Found) -> Iterator[Piece]:
        name, place = found.name, found.place
        match place.way:
            case Way.OF_SHARD if place.shard in group.shards:
                target = self._target.of_shard(place.shard)
                for part in self._parts(group, found):
                    if name.endswith(":batches"):
                        self._marks.update((target, text(batch)) for _, batch in part.entries)
                    yield Piece(target, name, part, found.about.ttl_ms)
            case Way.OF_CHILD:
                target = self._target.of_child(place.child)
                for part in self._parts(group, found):
                    yield Piece(target, name, part, found.about.ttl_ms)
            case Way.SENDER:
                self._window(group, found)
            case Way.OF_FIELDS:
                for part in self._parts(group, found):
                    yield from self._by_field(name, part)
            case Way.EVENTS:
                self._events += [entry for part in self._parts(group, found) for entry in part.entries]
            case Way.HIGHEST:
                for part in self._parts(group, found):
                    self._highest[name] = max(self._highest[name], *(whole_number(value) for (value,) in part.entries))
            case Way.EVERYWHERE:
                self._joined(group, found)
            case Way.BATCH:
                for part in self._parts(group, found):
                    if found.about.ttl_ms < 0 and part.entries[0][0].startswith(b"sealed "):
                        self._sealed.add(name)
            case _:
                pass

    def _parts(self, group: SideGroup, found: Found) -> Iterator[Part]:
        return parts_of(group.redis, found.key, found.about.type)

    def _by_field(self, name: str, part: Part) -> Iterator[Piece]:
        """Fields go to the group of what they are about. What they are about has to be a shard or a child."""
        of_groups: dict[int, list[tuple[bytes, ...]]] = {}
        for field, value in part.entries:
            with suppress(ValueError):  # (a field that others have written)
                if name == "owners":
                    shard, _ = split_owner_field(text(field))
                    group, kept = self._target.of_shard(shard), owner_after(text(value)).encode()
                else:
                    group, kept = self._target.of_child(text(field)), value
                of_groups.setdefault(group, []).append((field, kept))
        for group, entries in of_groups.items():
            yield Piece(group, name, Part("hash", entries))

    def _joined(self, group: SideGroup, found: Found) -> None:
        """What each group says for all of the hub: the first that says something counts."""
        entries = [entry for part in self._parts(group, found) for entry in part.entries]
        if not entries:
            return
        self._lives.setdefault(found.name, found.about.ttl_ms)
        if found.about.type == "hash":
            known = self._everywhere.setdefault(found.name, {})
            for field, value in entries:
                if isinstance(known, dict) and (
                    field not in known or (field == b"#" and whole_number(value) > whole_number(known[field]))
                ):
                    known[field] = value
        else:
            self._everywhere.setdefault(found.name, entries[0][0])

    def _window(self, group: SideGroup, found: Found) -> None:
        """A sender's window: after an earlier move it may be in several groups."""
        entries = [entry for part in self._parts(group, found) for entry in part.entries]
        window = {text(field): whole_number(value) for field, value in entries}
        known, lives = self._windows.get(found.name, ({}, 0))
        self._windows[found.name] = joined_windows(window, known), max(lives, found.about.ttl_ms)

    def _said(self, group: SideGroup, outboxes: Sequence[Found]) -> Iterator[Piece]:
        """What waits in the outboxes of the group."""
        for found in sorted(outboxes, key=lambda each: (each.place.shard, len(each.name), each.name)):
            if found.about.type != "stream":
                continue  # its counters are counted anew
            shard = found.place.shard
            far = found.name.rpartition(":")[2]
            receiver = (
                self._source.groups[int(far)] if far.isdecimal() and int(far) < len(self._source.groups) else None
            )
            for part in self._parts(group, found):
                for entry in part.entries:
                    message = OldMessage.read(shard, entry)
                    if message is None or (receiver is not None and self._arrived(receiver, message)):
                        continue
                    yield Piece(*self._outboxes.placed(message, far=receiver is not None))
        yield from (Piece(*counted) for counted in self._outboxes.counters())

    def _arrived(self, receiver: SideGroup, message: OldMessage) -> bool:
        window = receiver.keys.sender(f"shard-{message.shard}-{message.generation}")
        asked = plain("HGETALL", window, read=lambda found: found)
        flat = receiver.redis.run(asked)
        return message.arrived({text(flat[n]): text(flat[n + 1]) for n in range(0, len(flat), 2)})

    def _of_the_hub(self) -> Iterator[Piece]:
        yield Piece(0, "events", Part("stream", in_time(self._events)))
        for name, (window, lives) in self._windows.items():
            part = Part("hash", [(field.encode(), b"%d" % value) for field, value in window.items()])
            yield from (Piece(group.number, name, part, lives) for group in self._target.groups)
        for group in self._target.groups:
            for name, number in self._highest.items():
                # One more: no incarnation of the source is given again.
                yield Piece(group.number, name, Part("string", [(b"%d" % (number + 1),)]))
            for name, said in self._everywhere.items():
                part = Part("hash", list(said.items())) if isinstance(said, dict) else Part("string", [(said,)])
                yield Piece(group.number, name, part, self._lives[name])
        for (number, batch), marks in sorted(self._marks.items()):
            if f"batch:{batch}" in self._sealed:
                yield Piece(number, f"batch:{batch}", Part("string", [(b"sealed %d" % marks,)]))
