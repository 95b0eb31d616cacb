"""A node of a Redis Cluster asks, on each new connection, whether it is still the same Redis that answers."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from hubq.errors import RedisUnavailable
from hubq.store.command import plain
from hubq.store.slots import ClusterAddress, SlotMap
from tests.unit.store.primaries import SLOT, Connected, Pair, Primary, led_from_to


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


async def arrives(pair: Pair) -> None:
    for _ in range(6):
        with contextlib.suppress(RedisUnavailable):
            return await pair.put("after")
    raise AssertionError("it does not arrive")


def test_a_slot_may_move_to_one_whose_history_it_came_from(primaries: Callable[..., Primary]) -> None:
    """A replica that was made an empty primary (``CLUSTER RESET``) names the history of its former one as long as it lives."""

    async def scenario(pair: Pair) -> None:
        pair.known.owner = pair.other
        await arrives(pair)
        assert (pair.other.puts, pair.changes) == (["after"], [])

    led_from_to(primaries("reset", "22", "11"), primaries("its former primary", "11"), scenario)


def test_the_one_that_got_the_slot_may_have_been_taken_over_from(primaries: Callable[..., Primary]) -> None:
    """Before the node has connected anew. Once it has met its successor, a move there is a move."""

    async def scenario(pair: Pair) -> None:
        pair.known.owner = pair.other
        await arrives(pair)
        assert (pair.other.puts, pair.changes) == (["after"], [("a 11", "new 33")])
        pair.known.owner, pair.other.owner = pair.known, pair.known
        await arrives(pair)
        pair.known.owner, pair.other.owner = pair.other, pair.other
        await arrives(pair)
        assert (pair.known.puts, pair.other.puts) == (["before", "after"], ["after", "after"])
        assert len(pair.changes) == 1

    led_from_to(primaries("a", "11"), primaries("new", "33", "22"), scenario)


def test_a_slot_has_not_moved_to_whom_the_one_before_does_not_name(primaries: Callable[..., Primary]) -> None:
    """It names a third. This one was frozen, and nobody whom the node has met knows of it."""
    third = primaries("c", "33")

    async def scenario(pair: Pair) -> None:
        pair.known.owner = third
        pair.known.hang_up()
        await arrives(pair)
        assert (pair.other.puts, pair.changes) == (["after"], [("a 11", "b 22")])

    led_from_to(primaries("a", "11"), primaries("b", "22"), scenario)


@pytest.mark.parametrize(
    ("known", "changes"),
    [({"master_host": "another"}, [("a 11", "b 22")]), ({"master_host": "its-name", "master_replid": "22"}, [])],
    ids=["same port elsewhere", "known by another name"],
)
def test_a_replica_is_of_the_one_at_its_place_or_of_one_history_with_it(
    primaries: Callable[..., Primary], known: dict[str, str], changes: list[Any]
) -> None:
    async def scenario(pair: Pair) -> None:
        pair.known.becomes_replica_of(pair.other)
        pair.known.info |= known
        pair.known.hang_up()
        await arrives(pair)
        assert (pair.other.puts, pair.changes) == (["after"], changes)

    led_from_to(primaries("a", "11"), primaries("b", "22"), scenario)


@pytest.mark.parametrize("still_there", [True, False])
def test_a_primary_that_has_got_a_replica_counts_its_history_anew(
    primaries: Callable[..., Primary], still_there: bool
) -> None:
    """The node has not connected since. The replica takes over."""

    async def scenario(pair: Pair) -> None:
        pair.known.info["master_replid"] = "12"
        pair.known.owner = pair.other
        pair.known.breaks_off_at = set() if still_there else {b"INFO"}
        await arrives(pair)
        assert (pair.other.puts, pair.changes) == (["after"], [("a 11", "b 22")])

    led_from_to(primaries("a", "11"), primaries("b", "22", "12"), scenario)


@pytest.mark.parametrize("why", [b"BUSY Redis is busy running a script.", b"NOPERM no permissions to run 'info'"])
def test_one_that_does_not_say_who_it_is_is_sent_nothing(primaries: Callable[..., Primary], why: bytes) -> None:
    async def scenario(pair: Pair) -> None:
        pair.other.errors[b"INFO"] = why
        pair.known.close()
        with contextlib.suppress(RedisUnavailable):
            await pair.put("lost")
        for _ in range(3):
            with pytest.raises(RedisUnavailable, match="does not say who it is"):
                await pair.put("refused")
        pair.other.errors.clear()
        await arrives(pair)
        assert (pair.other.puts, pair.changes) == (["after"], [("gone 11", "new 22")])

    led_from_to(primaries("gone", "11"), primaries("new", "22", "11"), scenario)


def test_one_that_may_never_be_asked_is_not_watched(primaries: Callable[..., Primary]) -> None:
    primary = primaries("a", "11")
    primary.errors[b"INFO"] = b"NOPERM no permissions to run 'info'"

    async def run() -> None:
        pair = Pair(primary, primary)
        await pair.put("sent")
        assert (primary.puts, pair.watch.known) == (["sent"], "")
        await pair.redis.close()
        await pair.reading.close()

    asyncio.run(run())


def test_uvloops_word_for_a_lost_connection_is_no_answer(
    primaries: Callable[..., Primary], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(pair: Pair) -> None:
        execute_command = Redis.execute_command

        async def closed(self: Any, *words: str) -> Any:
            if words == ("INFO",):
                raise RuntimeError("unable to perform operation on <TCPTransport closed=True>; the handler is closed")
            return await execute_command(self, *words)

        pair.known.hang_up()
        with monkeypatch.context() as patch:
            patch.setattr(Redis, "execute_command", closed)
            for match in ("closed", "another Redis"):
                with pytest.raises(RedisUnavailable, match=match):
                    await pair.put("lost")
        await arrives(pair)

    led_from_to(primaries("a", "11"), primaries("b", "22"), scenario)
