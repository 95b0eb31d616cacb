"""What was copied is counted and summed up on both sides, and compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hubq.client.regroup.pieces import Piece
from hubq.client.regroup.sides import Side
from hubq.core.regrouping import COMING, place_of
from hubq.store.contents import about, digest, parts_of, scanned


class Count:
    """Of one kind of keys: the keys, their entries, and a digest of the keys that live for good."""

    def __init__(self) -> None:
        self.keys: set[tuple[int, str]] = set()
        self.entries = 0
        self.digest = 0

    def add(self, key: tuple[int, str], entries: int, made: int) -> None:
        """Count entries of a key."""
        self.keys.add(key)
        self.entries += entries
        self.digest = (self.digest + made) % (1 << 128)


class Tally:
    """Counts of each kind. Keys with a time to live may go between two looks, so each is compared by itself."""

    def __init__(self) -> None:
        self.counts: dict[str, Count] = {}
        self._fading: dict[tuple[int, str], int] = {}

    @classmethod
    def of(cls, pieces: Iterable[Piece]) -> Tally:
        """Those of all pieces."""
        tally = cls()
        for piece in pieces:
            tally.add(piece)
        return tally

    @classmethod
    def of_target(cls, target: Side, keep: Callable[[], None]) -> Tally:
        """Those of what has come to the target. ``keep`` is called for each key."""
        tally = cls()
        for group in target.groups:
            prefix = group.keys.prefix + COMING
            for name in scanned(group.redis, prefix):
                keep()
                (known,) = about(group.redis, [prefix + name])
                for part in parts_of(group.redis, prefix + name, known.type):
                    tally.add(Piece(group.number, name, part, known.ttl_ms))
        return tally

    def add(self, piece: Piece) -> None:
        """Count one."""
        group, name, part, ttl_ms = piece
        if not part.entries and not part.last_id:
            return
        where = name.encode(), b"%d" % group, part.type.encode()
        made = sum(digest(*where, *entry) for entry in part.entries)
        made += digest(*where, b"last", part.last_id) if part.last_id else 0
        count = self.counts.setdefault(place_of(name).kind, Count())
        count.add((group, name), len(part.entries), made if ttl_ms < 0 else 0)
        if ttl_ms >= 0:
            self._fading[group, name] = (self._fading.get((group, name), 0) + made) % (1 << 128)

    def differences(self, other: Tally) -> list[str]:
        """The kinds in which the other one is not the same."""
        kinds = {
            kind
            for kind in {*self.counts, *other.counts}
            if self.counts.get(kind, Count()).digest != other.counts.get(kind, Count()).digest
        }
        kinds |= {
            place_of(name).kind
            for (group, name), made in self._fading.items()
            if other._fading.get((group, name), made) != made
        }
        return sorted(kinds)
