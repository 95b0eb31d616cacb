"""How far the mailboxes have been read, and who is behind. Every part sets marks here; the reader follows them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from hubq.node.held.holding import Holding, HostedChild
from hubq.node.runtime.bell import Bell, News
from hubq.store.message import Message, position

#: Before the first entry of a stream.
START = b"0"


class Cursors:
    """The cursor of each shard, and the holdings and children that have to catch up with it.

    Only the reader moves ``by_shard``, and only its catching up takes the holdings that have to catch up.
    """

    def __init__(self) -> None:
        self.by_shard: dict[int, bytes] = {}
        """Shard -> the last entry that has been read of it."""
        self.holdings: dict[int, list[Holding]] = {}
        """Shard -> for whom it is read: the shard's holding, and pins."""
        self.late: dict[Holding, bytes] = {}
        """Holdings that are not yet at their shard's cursor, and how far each is."""
        self.set_back: dict[Holding, set[str]] = {}
        """Children sent back since the page under way was asked for."""
        self.dropped: dict[int, set[bytes]] = {}
        """Shard -> messages that were dropped by hand before they were read, as long as the shard is read here."""
        self.bell = Bell()
        """Rung when a holding has something to catch up with."""
        self._listening = 0
        self._coming = 0
        self._none_comes = News()
        self._to_catch: dict[Holding, None] = {}
        self._turn = 0  # reads begun
        self._fresh: dict[int, int] = {}  # shard -> the first read whose answer counts
        self._come: set[int] = set()  # those that have become fresh since a read was begun

    # -- marks -----------------------------------------------------------------------------------------------------

    def add(self, holding: Holding) -> None:
        """Read for a holding from the first message left. If a read :attr:`listens`, the caller wakes it (``Group.wake``)."""
        self.holdings.setdefault(holding.shard, []).append(holding)
        self.fresh(holding.shard)
        if holding.pinned is None:
            holding.reads_from_here(complete=holding.shard not in self.by_shard)
        if holding.shard not in self.by_shard:
            self.by_shard[holding.shard] = START
        elif holding.pinned is None:
            self.late[holding] = START
            self._catch(holding)

    def remove(self, holding: Holding) -> None:
        """Read for it no more."""
        others = self.holdings.get(holding.shard, [])
        if holding in others:
            others.remove(holding)
        if not others:
            self.holdings.pop(holding.shard, None)
            self.by_shard.pop(holding.shard, None)
            self._fresh.pop(holding.shard, None)
            self.dropped.pop(holding.shard, None)
        self.late.pop(holding, None)
        self.set_back.pop(holding, None)
        self._to_catch.pop(holding, None)

    def fresh(self, shard: int) -> None:
        """A shard, or a child of it, has just become ours. The read that is under way was begun before: its answer may
        hold messages that the last owner has handled since, and does not count.
        """
        self._fresh[shard] = self._turn + 1
        self._come.add(shard)

    def again(self, hosted: HostedChild, after: bytes = START) -> None:
        """Read a child's messages again, from past an entry."""
        self.send_back(hosted.holding, hosted.child_id, after)

    def orphans(self, holding: Holding, child: str) -> None:
        """A child turned out not to exist: what was left in the mailbox for it goes back to its senders."""
        self.send_back(holding, child, START)

    def send_back(self, holding: Holding, child: str, after: bytes) -> None:
        """Read the messages for a child of a holding again, from past an entry."""
        holding.behind[child] = after
        # A page that is being read right now may hold messages that have been handled since, here or by another owner.
        self.set_back.setdefault(holding, set()).add(child)
        self._catch(holding)

    def set_behind(self, holding: Holding, child: str, after: bytes) -> None:
        """Leave the child's messages past an entry in the mailbox, until :meth:`catch_up` or :meth:`room` asks for them."""
        holding.behind[child] = after

    def start_begins(self, holding: Holding, child: str, entry: bytes) -> bytes | None:
        """The start of a child has been read: the messages behind it wait in the mailbox until :meth:`start_ends`. The answer: the
        entry after which messages of an earlier child of this name have not been refused yet; None: there are none.
        """
        before = holding.behind.get(child)
        holding.starting[child] = entry
        holding.behind[child] = entry
        return before

    def start_ends(self, holding: Holding, child: str, entry: bytes) -> bool:
        """The child has begun, or will not. False: another start of it has been read since, and sees to its messages."""
        if holding.starting.get(child) != entry:
            return False
        holding.start_is_over(child)
        return True

    def caught_up(self, holding: Holding, child: str) -> bytes | None:
        """The child is not behind any more. The answer: the entry after which it was (None: it was not behind)."""
        return holding.behind.pop(child, None)

    def catch_up(self, holding: Holding) -> None:
        """Read what children of the holding are behind with."""
        if holding.behind:
            self._catch(holding)

    def room(self, hosted: HostedChild) -> None:
        """A child's queue has room again."""
        if hosted.child_id in hosted.holding.behind:
            self._catch(hosted.holding)

    def _catch(self, holding: Holding) -> None:
        self._to_catch[holding] = None
        self.bell.ring()

    def drop(self, shard: int, entry: bytes) -> None:
        """Whoever reads this message meanwhile passes it over: a commit deletes it."""
        self.dropped.setdefault(shard, set()).add(entry)

    # -- what is asked ---------------------------------------------------------------------------------------------

    def position(self, shard: int) -> bytes:
        """The last entry that has been read of a shard."""
        return self.by_shard.get(shard, START)

    def kept(self, shard: int, messages: list[Message]) -> list[Message]:
        """Those of the messages read that were not dropped."""
        dropped = self.dropped.get(shard)
        return [message for message in messages if message.entry not in dropped] if dropped else messages

    def is_unread(self, hosted: HostedChild, entry: bytes) -> bool:
        """Whether a message of a child is past all that has been brought to the child."""
        holding = hosted.holding
        read = holding.behind.get(hosted.child_id) or self.position(holding.shard)
        return position(entry) > position(read)

    def in_step(self, holding: Holding) -> bool:
        """Whether a holding has reached its shard's cursor."""
        return holding not in self.late

    def gets_on(self, holding: Holding, entry: bytes) -> None:
        """A holding that is late has been brought all up to this entry: it is brought nothing of that twice, whatever comes between."""
        if holding in self.late:
            self.late[holding] = entry

    # -- the reader's ----------------------------------------------------------------------------------------------

    def begin_read(self, shards: Iterable[int]) -> tuple[int, dict[int, bytes]]:
        """Another read of some shards begins: its turn, and the place from which each that is still here is read."""
        self._turn += 1
        by_shard = self.by_shard
        return self._turn, {shard: by_shard[shard] for shard in shards if shard in by_shard}

    def begin_read_of_all(self) -> tuple[int, dict[int, bytes]]:
        """Another read of all shards that are here begins."""
        self._turn += 1
        return self._turn, self.by_shard.copy()

    def passes(self, shard: int, messages: Sequence[Message]) -> None:
        """These come next in the mailbox of a shard: its cursor is behind the last of them."""
        self.by_shard[shard] = messages[-1].entry
        for holding in self.holdings.get(shard, ()):
            if holding.unfinished is not None:
                holding.unfinished.read([message.entry for message in messages])

    def goes_on_at(self, shard: int, entry: bytes) -> None:
        """What comes next in the mailbox of a shard has this id, or a larger one. Smaller ones may come than have been read."""
        self.by_shard[shard] = entry
        self.mended(shard)

    def mended(self, shard: int) -> None:
        """The mailbox of a shard is another one, or takes messages again. What has been read of it says nothing."""
        self.fresh(shard)
        for holding in self.holdings.get(shard, ()):
            holding.reads_anew()

    def take_come(self) -> set[int]:
        """The shards that have become ours, or a child of them, since this was asked last: reads that are under way do not count."""
        if not self._come:
            return self._come
        come, self._come = self._come, set()
        return come

    def listening_begins(self) -> None:
        """A read that hears the wake is under way."""
        self._listening += 1

    def listening_ends(self) -> None:
        """It has ended, or will not be answered."""
        self._listening -= 1

    @property
    def listens(self) -> bool:
        """Whether a read is under way that hears the wake. If not, it is still to begin, and names each shard that comes until then."""
        return self._listening > 0

    def coming_begins(self) -> None:
        """A shard is being read that was handed over. The read that listens ends with that."""
        self._coming += 1

    def coming_ends(self) -> None:
        """It is read for, or will not be."""
        self._coming -= 1
        if not self._coming:
            self._none_comes.ring()

    async def all_have_come(self, within: float) -> None:
        """Wait until no shard is coming, at most so many seconds."""
        if self._coming:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self._none_comes.heard()

    def is_stale(self, shard: int, turn: int) -> bool:
        """Whether the read of this turn was begun before the shard, or a child of it, came here."""
        return turn < self._fresh.get(shard, 0)

    def begin_page(self, holding: Holding) -> set[str]:
        """A page is asked for. The answer gathers the children that are sent back from now until the next page is asked for."""
        late = self.set_back[holding] = set()
        return late

    def take_to_catch(self) -> list[Holding]:
        """The holdings that have something to catch up with."""
        found = list(self._to_catch)
        self._to_catch.clear()
        return found
