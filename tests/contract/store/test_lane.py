"""The asyncio connection below redis-py's command layer: order, loss, silence, cancellation, scripts that were flushed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from hubq import RedisUnavailable
from hubq.store.command import Command, plain, run_script
from hubq.store.connection import AsyncRedis, RedisServer, SyncRedis
from hubq.store.keys import Keys
from hubq.store.lane import packed
from hubq.store.lanes import Lanes
from hubq.testing import eventually
from hubq.testing.connections import writes_of

KEYS = Keys("lane")


def asked(*args: str | int | bytes, blocks: bool = False) -> Command[Any]:
    return plain(*args, read=lambda answer: answer, blocks=blocks)


def run(server: RedisServer, scenario: Callable[[AsyncRedis], Awaitable[None]], timeout: float = 5.0) -> None:
    async def whole() -> None:
        redis = AsyncRedis(server, timeout)
        try:
            await scenario(redis)
        finally:
            await redis.close()

    asyncio.run(whole())


def test_requests_in_flight_get_their_own_answers(real_server: RedisServer) -> None:
    async def scenario(redis: AsyncRedis) -> None:
        answers = await asyncio.gather(
            *(redis.run_many([asked("ECHO", f"{n}-{k}") for k in range(n % 4 + 1)]) for n in range(200))
        )
        assert answers == [[f"{n}-{k}".encode() for k in range(n % 4 + 1)] for n in range(200)]

    run(real_server, scenario)


def test_connections_that_were_made_ahead_carry_the_blocking_requests(real_server: RedisServer) -> None:
    async def scenario(redis: AsyncRedis) -> None:
        await redis.prepare(2)
        await redis.prepare(2)
        newest = await redis.run(asked("CLIENT", "ID"))
        ids = await asyncio.gather(*(redis.run(asked("CLIENT", "ID", blocks=True)) for _ in range(3)))
        assert sum(number < newest for number in ids) == 2, "only the third needs another connection"

    run(real_server, scenario)


def test_a_redis_that_is_away_is_connected_to_when_it_is_needed() -> None:
    run(RedisServer("redis://127.0.0.1:1/0"), lambda redis: redis.prepare(2))


def test_an_answer_of_many_megabytes(real_server: RedisServer) -> None:
    async def scenario(redis: AsyncRedis) -> None:
        big = b"x" * (5 * 1024 * 1024)
        assert await redis.run_many([asked("ECHO", big), asked("ECHO", "after")]) == [big, b"after"]

    run(real_server, scenario)


def test_a_refusal_fails_its_own_request_only(real_server: RedisServer) -> None:
    async def scenario(redis: AsyncRedis) -> None:
        wrong = asyncio.ensure_future(redis.run(asked("NO-SUCH-COMMAND")))
        right = asyncio.ensure_future(redis.run(asked("ECHO", "hi")))
        with pytest.raises(RedisUnavailable, match="unknown command"):
            await wrong
        assert await right == b"hi"

    run(real_server, scenario)


def test_a_killed_connection_fails_what_was_under_way_and_is_made_anew(real_server: RedisServer) -> None:
    async def scenario(redis: AsyncRedis) -> None:
        number = await redis.run(asked("CLIENT", "ID"))
        popping = await redis.run(asked("CLIENT", "ID", blocks=True))
        assert popping != number, "a blocking request has a connection of its own"
        waiting = asyncio.ensure_future(redis.run(asked("BLPOP", "lane:nothing", 30, blocks=True)))
        other = SyncRedis(real_server)

        def blocked() -> bool:
            (line,) = other.run(asked("CLIENT", "LIST", "ID", popping)).splitlines()
            return b" cmd=blpop " in line

        await eventually(blocked, 20, "the request has arrived")
        other.run(asked("CLIENT", "KILL", "ID", popping))
        with pytest.raises(RedisUnavailable, match="cannot reach Redis"):
            await waiting
        other.run(asked("CLIENT", "KILL", "ID", number))
        assert await redis.run(asked("ECHO", "hi"), retry_for=5.0) == b"hi"
        assert await redis.run(asked("CLIENT", "ID")) != number
        other.close()

    run(real_server, scenario, timeout=40.0)


def test_silence_counts_as_a_lost_connection(real_server: RedisServer) -> None:
    async def scenario(redis: AsyncRedis) -> None:
        assert await redis.run(asked("ECHO", "before")) == b"before"
        other = SyncRedis(real_server)
        other.run(asked("CLIENT", "PAUSE", 1000, "ALL"))
        other.close()
        with pytest.raises(RedisUnavailable, match=r"no answer within 0\.2 s from \S+:\d+\)"):
            await redis.run(asked("ECHO", "now"))
        assert await redis.run(asked("ECHO", "after"), retry_for=5.0) == b"after"

    run(real_server, scenario, timeout=0.2)


def test_nobody_gets_the_answer_to_a_cancelled_request(real_server: RedisServer) -> None:
    async def scenario(redis: AsyncRedis) -> None:
        for blocks in (False, True):
            cancelled = asyncio.ensure_future(redis.run(asked("ECHO", "mine", blocks=blocks)))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            cancelled.cancel()
            assert await redis.run(asked("ECHO", "yours", blocks=blocks)) == b"yours"
            with pytest.raises(asyncio.CancelledError):
                await cancelled

    run(real_server, scenario)


def test_flushed_scripts_are_loaded_again(real_server: RedisServer) -> None:
    async def scenario(redis: AsyncRedis) -> None:
        await redis.run(asked("SCRIPT", "FLUSH"))
        command = run_script("check_config", [KEYS.config], [4, 1], lambda answer: answer)
        assert [answer[0] for answer in await redis.run_many([command, command])] == [b"ok", b"ok"]

    run(real_server, scenario)


def test_what_is_asked_in_one_moment_is_one_write(real_server: RedisServer) -> None:
    async def scenario(redis: AsyncRedis) -> None:
        await redis.run(asked("PING"))
        lane = redis.lane(blocking=False)
        assert lane is not None
        with writes_of(lane) as writes:
            first = asyncio.ensure_future(redis.run(asked("ECHO", "a")))
            redis.one_write()
            redis.one_write()
            assert await redis.run(asked("ECHO", "b")) == b"b"
            assert await first == b"a"
            assert await redis.run(asked("ECHO", "c")) == b"c"
        assert [data.count(b"ECHO") for data in writes] == [2, 1]

    run(real_server, scenario)


def test_a_lane_that_is_closed_before_the_write_answers_nobody(real_server: RedisServer) -> None:
    async def scenario(redis: AsyncRedis) -> None:
        await redis.run(asked("PING"))
        lane = redis.lane(blocking=False)
        assert lane is not None
        redis.one_write()
        answer = lane.request(packed(("ECHO", "a")), 1)
        lane.close()
        with pytest.raises(RedisConnectionError, match="closed"):
            await answer
        assert await redis.run(asked("ECHO", "b")) == b"b"

    run(real_server, scenario)


def test_who_shares_connections_closes_them_last(real_server: RedisServer) -> None:
    async def scenario(redis: AsyncRedis) -> None:
        lanes = Lanes(real_server, 5.0)
        one, other = (AsyncRedis(real_server, lanes=lanes) for _ in range(2))
        assert await one.run(asked("CLIENT", "ID")) == await other.run(asked("CLIENT", "ID"))
        waiting = asyncio.ensure_future(other.run(asked("BLPOP", "nothing", 10, blocks=True)))
        await one.close()
        await one.close()
        before = await other.run(asked("CLIENT", "ID"))
        await redis.run(asked("RPUSH", "nothing", "x"))
        assert await waiting == [b"nothing", b"x"]
        await other.close()

        async def closed() -> bool:
            clients = (await redis.run(asked("CLIENT", "LIST"))).decode().splitlines()
            return not any(line.startswith(f"id={before} ") for line in clients)

        await eventually(closed, 5.0, "the last one has closed it")

    run(real_server, scenario)
