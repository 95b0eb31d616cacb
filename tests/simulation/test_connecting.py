"""Connections of the simulation: each leads to one life of Redis, as one over TCP does."""

from __future__ import annotations

import pytest

from hubq.errors import RedisUnavailable
from hubq.store.command import plain
from hubq.store.primary import PrimaryWatch
from tests.simulation.connecting import SimServer, greeting
from tests.simulation.world import World

PUT = plain("SET", "key", "1", read=bool)


@pytest.mark.parametrize("away_before", [True, False], ids=["away before", "away meanwhile"])
def test_what_a_frozen_process_sends_when_it_is_thawed_never_reaches_a_redis_that_was_not_greeted(
    away_before: bool,
) -> None:
    world = World(2_001_121)
    network, process, watch = world.primaries.networks[0], world.process("w"), PrimaryWatch()
    changes: list[tuple[str, str]] = []
    watch.subscribe(lambda was, now: changes.append((was, now)))
    redis = greeting(SimServer(network, process), watch=watch)

    async def scenario() -> None:
        assert await redis.run(plain("SET", "before", "1", read=bool))
        if away_before:
            network.restart(0.5)
        process.freeze()  # after the greeting, and before the request goes out
        world.loop.after(1.0, process.thaw)
        if not away_before:
            world.loop.after(0.1, network.restart, 0.5)
        with pytest.raises(RedisUnavailable, match="connection lost"):
            await redis.run(PUT)
        assert (network.store.look("GET", "before"), network.store.look("GET", "key")) == (b"1", None)
        assert not changes, "nobody has asked yet who answers"
        with pytest.raises(RedisUnavailable, match="another Redis answers"):
            await redis.run(PUT)
        assert (len(changes), network.store.look("GET", "key")) == (1, None)
        assert await redis.run(PUT)

    async def main() -> None:
        await process.spawn(scenario())

    world.loop.run(main())
