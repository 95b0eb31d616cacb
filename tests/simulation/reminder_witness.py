"""What the observer knows of reminders: which ones wait, and that each tick is moved into a mailbox once, in its time, by the owner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from hubq.core.hashing import shard_of
from hubq.core.reminders import GRACE_MS
from hubq.store.codec import decode
from hubq.store.keys import Keys
from tests.simulation.loop import Process
from tests.simulation.store import Write


class Record(NamedTuple):
    """A reminder that waits: the line of ``reminders:what``."""

    due: int
    every: int
    late: bytes
    method: bytes
    payload: bytes

    @classmethod
    def read(cls, text: bytes) -> Record:
        """From what is written into Redis."""
        line, _, payload = text.partition(b"\n")
        due, every, late, method = line.split(b" ")
        return cls(int(due), int(every), late, method, payload)

    @property
    def what(self) -> tuple[str, int]:
        """The sender and number of the message that has set it."""
        (sender, number, *_), _ = decode(self.payload)
        return sender, number


#: A child and the name of a reminder.
Name = tuple[bytes, bytes]


class ReminderWitness:
    """Sees the writes of all scripts. ``keys``: those of a shard. ``owns`` says whether a process has the token of a shard, ``breach``
    takes what is wrong.
    """

    def __init__(
        self, keys: Callable[[int], Keys], shards: int, owns: Callable[[int, Process], bool],
        breach: Callable[[Process, str, str], None],
    ) -> None:  # fmt: skip
        self.waiting: dict[Name, Record] = {}
        self.fired: Counter[tuple[str, str, int]] = Counter()
        """Child, sender, number -> the ticks that were moved into its mailbox."""
        self.skipped: set[tuple[str, str, int]] = set()
        """Those that were passed over, since they were late and it was set so."""
        self._shards, self._owns, self._breach = shards, owns, breach
        self._what, self._mailbox, self._children = (
            {of(shard).encode(): shard for shard in range(shards)}
            for of in (
                lambda shard: keys(shard).reminder_keys(shard)[1],
                lambda shard: keys(shard).mailbox(shard),
                lambda shard: keys(shard).children(shard),
            )
        )

    def saw(self, process: Process, name: str, writes: list[Write], now_ms: int) -> None:
        """A script of a process has written this."""
        before: dict[Name, Record | None] = {}
        sent: Counter[Name] = Counter()
        for command, words, _ in writes:
            key = words[0] if words else b""
            if key in self._what and command in (b"HSET", b"HDEL"):
                self._changed(command, words, before)
            elif name == "fire_reminders" and command == b"XADD" and key in self._mailbox:
                sent[self._tick(words)] += 1
                if not self._owns(self._mailbox[key], process):
                    self._breach(process, name, f"a tick of shard {self._mailbox[key]}, which it does not own")
            elif key in self._children and command == b"HDEL" and name != "rest_children":
                self._ended(process, name, words[1:], writes)
        if name == "fire_reminders":
            self._judge(process, name, before, sent, now_ms)

    def _changed(self, command: bytes, words: list[bytes], before: dict[Name, Record | None]) -> None:
        members = words[1::2] if command == b"HSET" else words[1:]
        for place, member in enumerate(members):
            child, _, name = member.partition(b"\n")
            before.setdefault((child, name), self.waiting.get((child, name)))
            if command == b"HSET":
                self.waiting[child, name] = Record.read(words[2 + 2 * place])
            else:
                self.waiting.pop((child, name), None)

    @staticmethod
    def _tick(words: list[bytes]) -> Name:
        fields = words[words.index(b"*") + 1 :]
        entry = dict(zip(fields[::2], fields[1::2], strict=True))
        return entry[b"child"], entry[b"id"].removeprefix(b"reminder ").removesuffix(b"#0")

    def _judge(
        self, process: Process, script: str, before: dict[Name, Record | None], sent: Counter[Name], now_ms: int
    ) -> None:
        for name in {**before, **sent}:
            child, old, new = name[0].decode(), before.get(name), self.waiting.get(name)
            if old is None:
                self._breach(process, script, f"a tick of {name}, which nobody has set, or which did not go on")
                continue
            if old.due > now_ms:
                self._breach(process, script, f"{name} is due at {old.due} and was fired at {now_ms}")
            if sent[name] > 1 or (new is not None and not _goes_on(old, new, now_ms)):
                self._breach(process, script, f"{name} has fired {sent[name]} times, was {old}, is {new} at {now_ms}")
            last = old.due + (now_ms - old.due) // old.every * old.every if old.every else old.due
            if sent[name]:
                self.fired[child, *old.what] += 1
            elif old.late == b"skip" and now_ms - last > GRACE_MS:
                self.skipped.add((child, *old.what))
            else:
                self._breach(process, script, f"{name} was due at {old.due} and was passed over at {now_ms}: {old}")

    def _ended(self, process: Process, script: str, children: list[bytes], writes: list[Write]) -> None:
        gone = {
            member
            for command, words, _ in writes
            if command == b"HDEL" and words[0] in self._what
            for member in words[1:]
        }
        for child, name in self.waiting:
            if child in children and child + b"\n" + name not in gone:
                self._breach(process, script, f"{child!r} has ended, and its reminder {name!r} waits")

    def of(self, child: str) -> dict[str, Record]:
        """The reminders of a child that wait."""
        return {name.decode(): record for (of, name), record in self.waiting.items() if of == child.encode()}

    def overdue(self, now_ms: int, bound_ms: int, began_ms: int) -> list[str]:
        """What should have fired by now: so long after its time, and after ``began_ms``, since when nothing is in its way."""
        return [
            f"reminder {name!r} of {child!r} (shard {shard_of(child.decode(), self._shards)}) was due {now_ms - record.due} ms ago"
            for (child, name), record in self.waiting.items()
            if now_ms - max(record.due, began_ms) > bound_ms
        ]


def _goes_on(old: Record, new: Record, now_ms: int) -> bool:
    """Whether the next tick lies on the grid: the next one, or the first one that is still to come."""
    steps, rest = divmod(new.due - old.due, old.every) if old.every else (0, 1)
    same = new[1:] == old[1:]
    return (
        same
        and rest == 0
        and (steps == 1 if old.late == b"all" else steps >= 1 and new.due - old.every <= now_ms < new.due)
    )
