"""The observers of all groups of a hub, and what is true over groups: no command writes in two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from hubq.core.layout import group_of
from hubq.store.keys import Keys
from tests.simulation.loop import Process
from tests.simulation.observer import Observer
from tests.simulation.reminder_witness import ReminderWitness
from tests.simulation.store import Write, tag_of


class Observers:
    """One observer for each group of the hub."""

    def __init__(self, keys: Sequence[Keys]) -> None:
        self.each = [Observer(own) for own in keys]
        self._by_tag = {own.tag.encode(): observer for own, observer in zip(keys, self.each, strict=True)}
        self._elsewhere: list[str] = []

    def watch_reminders(self, shards: int) -> ReminderWitness:
        """Look at the reminders, too."""
        owns, breach = (lambda shard, process: self.of_shard(shard).owns(shard, process)), self.each[0].breach_now
        witness = ReminderWitness(lambda shard: self.of_shard(shard).keys, shards, owns, breach)
        for observer in self.each:
            observer.reminders = witness
        return witness

    def saw(self, process: Process, name: str, args: Sequence[Any], writes: list[Write], now: float) -> None:
        """Some command of a process has written this."""
        groups = {tag_of(words[0]) for _, words, _ in writes if words and b"{" in words[0]}
        for tag in groups:
            observer = self._by_tag.get(tag)
            if observer is None or len(groups) > 1:
                self._elsewhere.append(f"at {now:.3f}, {name} of {process.name} writes in {sorted(groups)}")
            else:
                observer.saw(process, name, args, writes, now)

    def tell(
        self, evicted: Callable[[int, Process, float, float], None],
        absolved: Callable[[Process, dict[bytes, bytes]], None],
    ) -> None:  # fmt: skip
        """Call these when a node is evicted in a group, and when a crash is taken back."""
        for group, observer in enumerate(self.each):
            observer.evicted, observer.absolved = partial(evicted, group), absolved

    # -- what they say together ------------------------------------------------------------------------------------

    def of_shard(self, shard: int) -> Observer:
        """The observer of the group of a shard."""
        return self.each[group_of(shard, len(self.each))]

    @property
    def breaches(self) -> list[str]:
        """What no guarantee allows."""
        return self._elsewhere + [breach for observer in self.each for breach in observer.breaches]

    @property
    def letters(self) -> list[dict[bytes, bytes]]:
        """Dead ones; those of each group in the order they died."""
        return [letter for observer in self.each for letter in observer.letters]

    @property
    def up(self) -> set[bytes]:
        """The nodes that take shards in all groups."""
        return set.intersection(*(observer.up for observer in self.each))

    def count(self, what: str) -> int:
        """The sum of what all have counted."""
        return sum(int(getattr(observer, what)) for observer in self.each)

    def waiting(self) -> int:
        """Messages in all mailboxes."""
        return sum(observer.waiting() for observer in self.each)

    def owner(self, shard: int) -> Process | None:
        """The process that owns a shard, if it has not crashed."""
        return self.of_shard(shard).owner(shard)

    def unserved(self, shards: int, now: float) -> list[str]:
        """What is not served, or not where it belongs, in any group."""
        groups = len(self.each)
        return [
            wrong
            for group, observer in enumerate(self.each)
            for wrong in observer.unserved(range(group, shards, groups), shards, now)
        ]
