"""A node of a Redis Cluster asks, on each new connection, whether it is still the same Redis that answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import hiredis
import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from hubq.errors import RedisUnavailable
from hubq.store.command import plain
from hubq.store.connection import AsyncRedis
from hubq.store.primary import DOUBT, PrimaryWatch
from hubq.store.server import RedisServer
from hubq.store.slots import ClusterAddress, SlotMap, slot_of

SLOT = slot_of("chat")


class Primary:
    """One node of a cluster, that says of itself what it is told to. ``owner``: who has the slot, as it says.
    ``puts``: the keys it was sent. ``breaks_off_at``: questions at which it breaks the connection off. ``held``: for each of the next
    questions who has the slot, what says that it has come, and what the answer waits for.
    """

    def __init__(self, run_id: str, replid: str, replid2: str = "0") -> None:
        self.info = {"role": "master", "run_id": run_id, "master_replid": replid, "master_replid2": replid2}
        self.puts: list[str] = []
        self.breaks_off_at: set[bytes] = set()
        self.held: list[tuple[threading.Event, threading.Event]] = []
        self.owner = self
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def becomes_replica_of(self, primary: Primary) -> None:
        self.info |= {"role": "slave", "master_port": str(primary.port)}
        self.owner = primary

    def hang_up(self) -> None:
        """All connections to it are lost."""
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.close()
        self.hang_up()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            self._open.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        reader = hiredis.Reader()
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(4096):
                reader.feed(data)
                while (command := reader.gets()) is not False:
                    connection.sendall(self._said(command))

    def _said(self, command: list[bytes]) -> bytes:
        if command[0] in self.breaks_off_at:
            raise ConnectionResetError
        if command[0] == b"INFO":
            info = "".join(f"{name}:{value}\r\n" for name, value in self.info.items())
            return f"${len(info)}\r\n{info}\r\n".encode()
        if command[0] == b"CLUSTER":
            if self.held:
                has_come, answers = self.held.pop(0)
                has_come.set()
                answers.wait()
            return f"*1\r\n*3\r\n:{SLOT}\r\n:{SLOT}\r\n*3\r\n$0\r\n\r\n:{self.owner.port}\r\n$1\r\nx\r\n".encode()
        if command[0] == b"SET" and self.owner is not self:
            return f"-MOVED {SLOT} 127.0.0.1:{self.owner.port}\r\n".encode()
        if command[0] == b"SET":
            self.puts.append(command[1].decode())
        return b"+OK\r\n"


class Connected:
    """A connection of redis-py to a primary, as far as the watch needs one."""

    def __init__(self, primary: Primary) -> None:
        self.host, self.port = "127.0.0.1", primary.port
        self._info = primary.info

    async def send_command(self, *command: str) -> None:
        assert command == ("INFO",)

    async def read_response(self) -> str:
        return "".join(f"{name}:{value}\r\n" for name, value in self._info.items())


class Pair:
    """Two clients, as a node has them, of which one has been answered by ``known``. They ask ``other`` first when they need to know who has
    the slot.
    """

    def __init__(self, known: Primary, other: Primary) -> None:
        self.known, self.other = known, other
        self.changes: list[tuple[str, str]] = []
        self.watch = PrimaryWatch()
        self.watch.subscribe(lambda was, now: self.changes.append((was, now)))
        server = RedisServer(f"redis+cluster://127.0.0.1:{other.port},127.0.0.1:{known.port}", slot=SLOT)
        self.redis, self.reading = (AsyncRedis(server, watch=self.watch) for _ in range(2))

    async def put(self, key: str) -> None:
        await self.redis.run(plain("SET", key, "1", read=bool))


Scenario = Callable[[Pair], Awaitable[None]]


@pytest.fixture
def primaries() -> Iterator[Callable[..., Primary]]:
    made: list[Primary] = []

    def make(*args: str) -> Primary:
        made.append(Primary(*args))
        return made[-1]

    yield make
    for primary in made:
        primary.close()


def led_from_to(known: Primary, other: Primary, scenario: Scenario) -> None:
    """``other`` takes itself for the owner of the slot once ``known`` has been found."""

    async def run() -> None:
        pair = Pair(known, other)
        other.owner = known
        await pair.put("before")
        assert known.puts == ["before"]
        other.owner = other
        try:
            await scenario(pair)
        finally:
            await pair.redis.close()
            await pair.reading.close()

    asyncio.run(run())


def test_a_primary_that_another_has_taken_over_from_is_refused_when_it_wakes(primaries: Callable[..., Primary]) -> None:
    async def scenario(pair: Pair) -> None:
        pair.known.hang_up()
        with contextlib.suppress(RedisUnavailable):
            await pair.put("lost")  # notices that the connection is closed
        with pytest.raises(RedisUnavailable, match="another one has taken over from"):
            await pair.put("refused")
        assert (pair.other.puts, pair.changes) == ([], [])
        await pair.put("after")
        assert pair.known.puts == ["before", "after"], "the next connection leads to the one that has taken over"
        assert pair.changes == [], "what is in memory counts"

    led_from_to(primaries("new", "22", "11"), primaries("frozen", "11"), scenario)


def test_a_slot_has_moved_if_the_one_before_says_so(primaries: Callable[..., Primary]) -> None:
    async def scenario(pair: Pair) -> None:
        pair.known.owner = pair.other
        pair.known.hang_up()
        with contextlib.suppress(RedisUnavailable):
            await pair.put("lost")
        await pair.put("after")
        assert (pair.other.puts[-1], pair.changes) == ("after", [])

    led_from_to(primaries("a", "11"), primaries("b", "22"), scenario)


def test_what_waits_for_its_slot_is_not_sent_to_one_that_has_taken_over(
    primaries: Callable[..., Primary], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was meant for the one before, and its sender has not heard yet that there is another: a commit would be as good there as here."""

    async def scenario(pair: Pair) -> None:
        waits, goes_on = asyncio.Event(), asyncio.Event()

        async def pause(seconds: float) -> None:
            waits.set()
            await goes_on.wait()

        pair.known.owner = pair.other
        with monkeypatch.context() as patch:
            patch.setattr(asyncio, "sleep", pause)
            meant_for_known = asyncio.create_task(pair.put("meant for the one before"))
            await waits.wait()
            with pytest.raises(RedisUnavailable, match="another Redis"):
                await pair.put("finds the other")
            await pair.put("meant for the other")
            goes_on.set()
            with pytest.raises(RedisUnavailable, match="another Redis"):
                await meant_for_known
        assert (pair.other.puts, len(pair.changes)) == (["meant for the other"], 1)

    led_from_to(primaries("frozen", "11"), primaries("new", "22", "11"), scenario)


def test_a_primary_that_was_frozen_is_not_believed_until_it_is_clear_that_it_goes_on() -> None:
    """As with Sentinel, where nobody asks the one before: who was told of the failover later leads to the former primary for a moment."""
    now = 100.0
    watch = PrimaryWatch(now=lambda: now)
    info = b"run_id:%s\r\nrole:master\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n"
    frozen, new = info % (b"frozen", b"11", b"00"), info % (b"new", b"22", b"11")
    watch.seen(frozen)
    for again in (False, True):
        with pytest.raises(RedisConnectionError, match="another Redis answers now"):
            watch.seen(new)
        for _ in range(2):
            with pytest.raises(RedisConnectionError, match="another one has taken over from"):
                watch.seen(frozen)
            now += DOUBT / 2 - 1
        watch.seen(new)
        assert watch.changes == 1 + 2 * again
        for passed in (0, DOUBT - 1):
            now += passed
            with pytest.raises(RedisConnectionError, match="another one has taken over from"):
                watch.seen(frozen)
        now += 1
        with pytest.raises(RedisConnectionError, match="another Redis answers now"):
            watch.seen(frozen)
        watch.seen(frozen)
        assert watch.changes == 2 + 2 * again


def test_who_goes_on_with_any_history_that_memory_is_of_may_lack_writes() -> None:
    """Whatever has been said of the slot meanwhile."""
    watch = PrimaryWatch()
    info = b"run_id:%s\r\nrole:master\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n"
    watch.seen(info % (b"a", b"11", b"00"))
    for run_id, history in ((b"b", b"22"), (b"c", b"33")):
        watch.slot_moved(("c1", 7001))
        watch.seen(info % (run_id, history, b"00"))
    watch.slot_moved(("c1", 7001))
    with pytest.raises(RedisConnectionError, match="another Redis answers now"):
        watch.seen(info % (b"d", b"44", b"22"))
    watch.slot_moved(("c1", 7001))
    watch.seen(info % (b"e", b"55", b"33"))
    assert (watch.known, watch.changes) == ("e 55", 1), "nothing in memory is of that one any more"


def test_each_that_was_taken_over_from_is_doubted_for_a_time_of_its_own() -> None:
    now = 100.0
    watch = PrimaryWatch(now=lambda: now)
    info = b"run_id:%s\r\nrole:master\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n"
    first, second, third = info % (b"a", b"11", b"00"), info % (b"b", b"22", b"11"), info % (b"c", b"33", b"22")
    watch.seen(first)
    for taken_over in (second, third):
        with pytest.raises(RedisConnectionError, match="another Redis answers now"):
            watch.seen(taken_over)
    for passed, former in ((0, first), (DOUBT - 1, second), (2, second), (DOUBT - 3, second)):
        now += passed
        with pytest.raises(RedisConnectionError, match="another one has taken over from"):
            watch.seen(former)
    now += 2
    with pytest.raises(RedisConnectionError, match="another Redis answers now"):
        watch.seen(second)


def test_one_that_was_taken_over_from_is_not_believed_whatever_has_come_since() -> None:
    watch = PrimaryWatch()
    info = b"run_id:%s\r\nrole:master\r\nmaster_replid:%s\r\nmaster_replid2:%s\r\n"
    frozen, new, target = (
        info % (b"frozen", b"11", b"00"),
        info % (b"new", b"22", b"11"),
        info % (b"target", b"33", b"00"),
    )
    watch.seen(frozen)
    with pytest.raises(RedisConnectionError, match="another Redis answers now"):
        watch.seen(new)
    watch.seen(new)
    watch.slot_moved(("c1", 7001))
    watch.seen(target)
    assert (watch.known, watch.changes) == ("target 33", 1)
    with pytest.raises(RedisConnectionError, match="another one has taken over from"):
        watch.seen(frozen)
    newest = info % (b"newest", b"44", b"33")
    with pytest.raises(RedisConnectionError, match="another Redis answers now"):
        watch.seen(newest)
    for former in (frozen, target):
        with pytest.raises(RedisConnectionError, match="another one has taken over from"):
            watch.seen(former)
    assert (watch.known, watch.changes) == ("newest 44", 2)


def test_two_that_connect_at_once_both_hear_that_another_redis_answers(primaries: Callable[..., Primary]) -> None:
    """What either was about to send was decided on before."""

    async def scenario(pair: Pair) -> None:
        pair.known.close()
        with contextlib.suppress(RedisUnavailable):
            await pair.put("lost")  # notices that the connection is closed
        puts = (each.run(plain("SET", "too early", "1", read=bool)) for each in (pair.redis, pair.reading))
        came = await asyncio.gather(*puts, return_exceptions=True)
        assert [type(each) for each in came] == [RedisUnavailable] * 2
        assert (pair.other.puts, len(pair.changes)) == ([], 1)
        await pair.put("after")
        assert pair.other.puts == ["after"]

    led_from_to(primaries("gone", "11"), primaries("new", "22", "11"), scenario)


def test_one_that_was_restarted_is_another_though_the_slot_was_said_to_have_moved(
    primaries: Callable[..., Primary],
) -> None:
    """Somebody has heard so late that the slot had moved that it had been found already; nobody has connected since."""

    async def scenario(pair: Pair) -> None:
        pair.known.owner = pair.other
        await pair.put("moved")
        assert (pair.other.puts, pair.changes) == (["moved"], [])
        pair.watch.slot_moved(("127.0.0.1", pair.other.port))
        pair.other.info |= {"run_id": "restarted", "master_replid": "33"}
        pair.other.hang_up()
        for _ in range(3):
            with contextlib.suppress(RedisUnavailable):
                await pair.put("after")
        assert pair.changes == [("b 22", "restarted 33")], "it may have lost writes"

    led_from_to(primaries("a", "11"), primaries("b", "22"), scenario)


@pytest.mark.parametrize("breaks_off_at", [set(), {b"CLUSTER"}], ids=["says so", "does not say any more"])
def test_a_slot_has_not_moved_unless_the_one_before_says_so(
    primaries: Callable[..., Primary], breaks_off_at: set[bytes]
) -> None:
    """The other may be one that it took over from, which was frozen, and wakes."""

    async def scenario(pair: Pair) -> None:
        pair.known.breaks_off_at = breaks_off_at
        pair.known.hang_up()
        for _ in range(3):
            with contextlib.suppress(RedisUnavailable):
                await pair.put("lost")
        assert pair.changes == [("a 11", "b 22")]

    led_from_to(primaries("a", "11"), primaries("b", "22"), scenario)


@pytest.mark.parametrize(
    ("of_other", "history", "changes"),
    [(True, "0", []), (True, "12", [("a 11", "b 22")]), (False, "0", [("a 11", "b 22")])],
    ids=["of the one that has the slot", "of one that has taken over", "of a third"],
)
def test_one_that_has_become_a_replica_may_have_given_its_last_slot_away(
    primaries: Callable[..., Primary], of_other: bool, history: str, changes: list[Any]
) -> None:
    """A replica that has taken over names the history of its former primary: which may be another by now than the node has read."""
    third = primaries("c", "33")

    async def scenario(pair: Pair) -> None:
        pair.known.becomes_replica_of(pair.other if of_other else third)
        pair.known.hang_up()
        for _ in range(3):
            with contextlib.suppress(RedisUnavailable):
                await pair.put("after")
        assert pair.changes == changes
        assert pair.other.puts[-1] == "after"

    led_from_to(primaries("a", "11"), primaries("b", "22", history), scenario)


def test_whom_another_connection_has_found_meanwhile_is_asked_too(primaries: Callable[..., Primary]) -> None:
    """A connection that leads to a former primary asks the one before, while another connection finds the one after it."""
    former = primaries("c", "33")

    async def scenario(pair: Pair) -> None:
        asked, answers = threading.Event(), threading.Event()
        pair.known.owner = pair.other
        pair.known.held.append((asked, answers))
        slots = SlotMap(ClusterAddress.read(f"redis+cluster://127.0.0.1:{pair.known.port}"), SLOT)
        leads_to_former = asyncio.create_task(pair.watch.greet(Connected(former), slots))
        await asyncio.to_thread(asked.wait)
        await pair.put("moved")
        assert (pair.other.puts, pair.watch.known, pair.changes) == (["moved"], "b 22", [])
        answers.set()
        with pytest.raises(RedisConnectionError, match="another Redis answers now"):
            await leads_to_former
        assert pair.changes == [("b 22", "c 33")], "the one that has the slot does not say that it has given it away"

    led_from_to(primaries("a", "11"), primaries("b", "22"), scenario)


def test_one_that_does_not_say_who_has_the_slot_is_not_believed(primaries: Callable[..., Primary]) -> None:
    async def scenario(pair: Pair) -> None:
        pair.other.breaks_off_at = {b"CLUSTER"}
        slots = SlotMap(ClusterAddress.read(f"redis+cluster://127.0.0.1:{pair.known.port}"), SLOT)
        with pytest.raises(RedisConnectionError, match="does not say who has the slot"):
            await pair.watch.greet(Connected(pair.other), slots)
        assert (pair.watch.known, pair.changes) == ("a 11", [])

    led_from_to(primaries("a", "11"), primaries("b", "22"), scenario)


@pytest.mark.parametrize(("to_other", "changes"), [(True, []), (False, [("a 11", "b 22")])], ids=["it", "a third"])
def test_one_that_is_gone_has_moved_the_slot_to_whom_it_said(
    primaries: Callable[..., Primary], to_other: bool, changes: list[Any]
) -> None:
    async def scenario(pair: Pair) -> None:
        pair.watch.slot_moved(("127.0.0.1", pair.other.port if to_other else 1))
        pair.known.breaks_off_at = {b"INFO"}
        pair.known.hang_up()
        for _ in range(3):
            with contextlib.suppress(RedisUnavailable):
                await pair.put("after")
        assert (pair.other.puts[-1], pair.changes) == ("after", changes)

    led_from_to(primaries("a", "11"), primaries("b", "22"), scenario)


def test_a_replica_leads_to_its_primary(primaries: Callable[..., Primary]) -> None:
    """Who is asked takes it for the primary still, and does not hear of anything else."""
    replica, third = primaries("c", "33"), primaries("d", "44", "33")

    async def scenario(pair: Pair) -> None:
        replica.becomes_replica_of(third)
        pair.other.owner = replica
        pair.known.close()
        for _ in range(6):
            if not third.puts:
                with contextlib.suppress(RedisUnavailable):
                    await pair.put("after")
        assert (third.puts, pair.changes) == (["after"], [("a 11", "d 44")])

    led_from_to(primaries("a", "11"), primaries("b", "22"), scenario)
