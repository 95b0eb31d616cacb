"""Whether it is still the same Redis that answers: a restarted one, or another primary, may have lost writes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoPermissionError, ResponseError

from hubq.store.slots import Node, SlotMap

#: For so long a primary that another one has taken over from is not believed. Then somebody has decided that it goes on with what it has.
#: (Sentinel makes a replica of it within 10.) Seconds.
DOUBT = 30.0
#: So many of those that were taken over from are remembered. (The slot may move, and be taken over again, before one of them wakes.)
REMEMBERED = 16


class PrimaryWatch:
    """Greets every new connection of a node by asking who answers.

    Each subscriber is called with ``(was, now)`` once for each other Redis, before anything is sent to it. The connection
    that found it fails, as a lost one does, so that what was on its way is thought over again. A replica is refused
    likewise.
    A user who may not run INFO is not watched: then only tokens, epochs and leases that go back are noticed.

    On a Redis Cluster the slot of a hub may move to another primary, which loses nothing: see :meth:`slot_moved`.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.known = ""
        self._taken_over_from: deque[str] = deque(maxlen=REMEMBERED)
        self._relied_on: deque[str] = deque(maxlen=REMEMBERED)  # the histories that what is in memory is of
        self._met: deque[str] = deque(maxlen=REMEMBERED)  # the histories of all that have answered
        self._doubted_from: dict[
            str, float
        ] = {}  # which of them has answered since another one did, and when it did first
        self._now = now
        self._at: Node = ("", 0)
        self._slot_moved = False
        self._moved_to: Node | None = None
        self.changes = 0
        """How often another Redis has answered than before."""
        self._subscribers: list[Callable[[str, str], None]] = []

    def subscribe(self, changed: Callable[[str, str], None]) -> None:
        """Call this when another Redis answers."""
        self._subscribers.append(changed)

    def slot_moved(self, node: Node) -> None:
        """The Redis that answered until now says that ``node`` has the slot. That one has all of it, unless it is a replica
        that has taken over: then its history goes on where that of the former ends, perhaps before its last writes.
        """
        self._slot_moved, self._moved_to = True, node

    async def greet(self, connection: Any, slots: SlotMap | None = None) -> None:
        """Ask on a connection that redis-py has just made. Raises its ``ConnectionError`` if nothing may be sent.

        ``slots``: on a cluster. Then the Redis before is asked, too, if it is not this one: see :meth:`_look_back`.
        """
        await connection.send_command("INFO")
        try:
            answer = await connection.read_response()
        except ResponseError as error:
            if self.known or not _is_forbidden(error):  # a script that runs for long, say
                raise RedisConnectionError(f"it does not say who it is: {error}") from error
            return
        info = answer if isinstance(answer, bytes) else str(answer).encode()
        if slots is None:
            self.seen(info)
            return
        node, said = (connection.host, connection.port), _read(info)
        await self._ask_others(slots, node, said)
        try:
            self.seen(info)
        finally:
            if said.get(b"run_id") == self._run_id():  # it is the present one, whether or not it is another than before
                self._at = node

    async def _ask_others(self, slots: SlotMap, node: Node, said: dict[bytes, bytes]) -> None:
        if said.get(b"role") == b"slave" or (self.known and node != self._at):
            await self._refuse_a_former(slots, node)
        known = ""
        while self.known != known and node != self._at:
            known = self.known  # another connection may find another Redis meanwhile: then that one is to be asked
            await self._look_back(slots, node, said)
        if node == self._at:
            # Whatever was heard: the slot is where it was. And this one may have been restarted meanwhile.
            self._slot_moved = False

    async def _refuse_a_former(self, slots: SlotMap, node: Node) -> None:
        """Nothing is learnt from one that does not say that it has the slot itself. If another has it, the next connection leads there."""
        owner = await slots.owner_async(node)
        if owner is None:
            raise RedisConnectionError(f"{node[0]}:{node[1]} does not say who has the slot")
        if owner != node:
            slots.lead_to(owner)
            raise RedisConnectionError(f"{node[0]}:{node[1]} says that {owner[0]}:{owner[1]} has the slot")

    async def _look_back(self, slots: SlotMap, node: Node, now: dict[bytes, bytes]) -> None:
        """Whether the slot has moved from the Redis before to ``node``, as that one says it itself.

        A primary that hands its last slot on becomes a replica of the one that has got it, and breaks connections off: nobody hears
        from it that the slot has moved. One that has failed over does the same. And the slot may have moved to one that was taken over from
        since. So whoever has taken over from anybody before this node has met it gets no trust.
        And a primary that was frozen takes itself for one still, when it wakes: if the Redis before goes on with its history, and does
        not say that it has got the slot, it is refused. If the one before says anything else, or nothing, the slot has not moved.
        """
        at = self._at
        before = _read(await slots.ask_async(at, "INFO"))
        if before.get(b"run_id") != self._run_id():
            # It is gone: what it said last counts. (Not of another that is met on the way.)
            self._slot_moved = self._slot_moved and self._moved_to == node and self._lacks_nothing(now)
            return
        if before.get(b"role") == b"slave":
            self._slot_moved = _is_replica_of(before, node, now) and self._lacks_nothing(now)
            return
        self._rely_on(before.get(b"master_replid", b"").decode())  # it counts anew when it gets its first replica
        names_it = await slots.owner_async(at) == node
        self._slot_moved = names_it and self._lacks_nothing(now)
        if names_it:
            self._is_in_no_doubt(now.get(b"master_replid", b"").decode())
        elif _former(before) == now.get(b"master_replid"):
            slots.lead_to(at)
            raise _has_been_replaced()

    def seen(self, info: bytes) -> None:
        """Judge what INFO says.

        >>> changes = []
        >>> watch = PrimaryWatch()
        >>> watch.subscribe(lambda was, now: changes.append((was, now)))
        >>> watch.seen(b"run_id:aa\\r\\nrole:master\\r\\nmaster_replid:11\\r\\n")
        >>> watch.seen(b"run_id:aa\\r\\nrole:master\\r\\nmaster_replid:11\\r\\n"); changes
        []
        >>> watch.seen(b"run_id:bb\\r\\nrole:master\\r\\nmaster_replid:22\\r\\n")
        Traceback (most recent call last):
        redis.exceptions.ConnectionError: another Redis answers now: it was restarted, or failed over
        >>> changes
        [('aa 11', 'bb 22')]
        >>> watch.slot_moved(("c1", 7001))
        >>> watch.seen(b"run_id:cc\\r\\nrole:master\\r\\nmaster_replid:33\\r\\nmaster_replid2:00\\r\\n"); watch.known
        'cc 33'
        >>> watch.seen(b"run_id:cc\\r\\nrole:master\\r\\nmaster_replid:44\\r\\nmaster_replid2:00\\r\\n"); watch.known
        'cc 44'
        >>> watch.seen(b"run_id:cc\\r\\nrole:master\\r\\nmaster_replid:55\\r\\nmaster_replid2:66\\r\\n")
        Traceback (most recent call last):
        redis.exceptions.ConnectionError: another Redis answers now: it was restarted, or failed over
        >>> watch.seen(b"run_id:ee\\r\\nrole:master\\r\\nmaster_replid:66\\r\\nmaster_replid2:00\\r\\n")
        Traceback (most recent call last):
        redis.exceptions.ConnectionError: a primary answers that another one has taken over from
        """
        fields = _read(info)
        if fields.get(b"role") == b"slave":
            raise RedisConnectionError("a replica answers: waiting for a primary")
        history = fields.get(b"master_replid", b"").decode()
        if history in self._taken_over_from:
            # It was frozen, and wakes, and somebody does not know yet who has taken over: what it is told would be lost. (If it is to be
            # primary again it goes on with the history of the other.)
            if self._now() < self._doubted_from.setdefault(history, self._now()) + DOUBT:
                raise _has_been_replaced()
            self._is_in_no_doubt(history)
        now = f"{fields.get(b'run_id', b'').decode()} {history}"
        was, self.known = self.known, now
        if history not in self._met:
            self._met.append(history)
        moved, self._slot_moved, self._doubted_from = self._slot_moved, False, {}
        former = _former(fields).decode()
        if former and former not in self._taken_over_from:
            self._taken_over_from.append(former)
        if moved and history != was.partition(" ")[2] and not (former and former in self._relied_on):
            self._rely_on(history)
            return
        # One that gets its first replica, or has had none for an hour, counts its history anew, and names none before it. One that was
        # a replica meanwhile names that of the primary it took over from.
        same = was.partition(" ")[0] == now.partition(" ")[0] and not _former(fields, b"-")
        if was and was != now and not same:
            self._relied_on = deque([history], REMEMBERED)
            self.changes += 1
            for changed in self._subscribers:
                changed(was, now)
            raise another_redis()
        self._rely_on(history)

    def _run_id(self) -> bytes:
        """Of the present one."""
        return self.known.partition(" ")[0].encode()

    def _rely_on(self, history: str) -> None:
        if history not in self._relied_on:
            self._relied_on.append(history)

    def _lacks_nothing(self, info: dict[bytes, bytes]) -> bool:
        """Whether it has taken over from nobody since it was met. (If it had, its history would be another.)"""
        return not _former(info) or info.get(b"master_replid", b"").decode() in self._met

    def _is_in_no_doubt(self, history: str) -> None:
        if history in self._taken_over_from:
            self._taken_over_from.remove(history)


def another_redis() -> RedisConnectionError:
    """The error of a request that was meant for the Redis before."""
    return RedisConnectionError("another Redis answers now: it was restarted, or failed over")


def _has_been_replaced() -> RedisConnectionError:
    return RedisConnectionError("a primary answers that another one has taken over from")


def _is_forbidden(error: ResponseError) -> bool:
    return isinstance(error, NoPermissionError) or "unknown command" in str(error)


def _is_replica_of(replica: dict[bytes, bytes], node: Node, primary: dict[bytes, bytes]) -> bool:
    """It may know its primary by another name than we do. Once it has all of it, both have one history."""
    at = replica.get(b"master_host", b"").decode(), replica.get(b"master_port", b"").decode()
    return at == (node[0], str(node[1])) or replica.get(b"master_replid") == primary.get(b"master_replid")


def _former(info: dict[bytes, bytes], unsaid: bytes = b"") -> bytes:
    """Whose history it goes on with: empty if that is its own."""
    replid = info.get(b"master_replid2", unsaid)
    return replid if replid.strip(b"0") else b""


def _read(info: bytes) -> dict[bytes, bytes]:
    return dict(line.split(b":", 1) for line in info.split(b"\r\n") if b":" in line)
