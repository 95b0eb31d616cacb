"""A shard whose children were stopped for a move that came to nothing."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from hubq.errors import RedisUnavailable
from hubq.node.departures.rebuilding import Rebuilding
from hubq.node.held.holding import Holding
from hubq.store.owners import Owner
from tests.unit.node.movers import Stage, until


class Adopts:
    """Arrivals that only listen."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.last: Holding | None = None

    def reserve(self, holding: Holding) -> None:
        self.last = holding
        self.heard.append("reserved")

    def release(self, holding: Holding) -> None:
        self.heard.append("released")

    async def adopt_shard(self, shard: int, owner: Owner) -> None:
        self.heard.append(f"adopted under {owner.token}")


class Rebuilt(Stage):
    """A stage with a closed shard that has something to commit."""

    def __init__(self) -> None:
        super().__init__()
        self.adopts = Adopts()
        self.rebuilding = Rebuilding(
            self.standing, self.background, self.register, cast(Any, self.endings), self.committer,
            cast(Any, self.adopts),
        )  # fmt: skip
        self.child()
        self.shard.effects.done["room-1"] = [b"5-0"]
        self.shard.close_intake()


def test_its_last_commit_is_made_before_it_is_adopted_again() -> None:
    async def scenario() -> None:
        stage = Rebuilt()
        stage.replies["commit_shards"] = lambda command: stage.adopts.heard.append("committed") or "ok"
        stage.rebuilding.rebuild(stage.shard)
        assert stage.adopts.heard == ["reserved"] and stage.shard.gone
        await until(lambda: len(stage.adopts.heard) == 4)
        assert stage.adopts.heard == ["reserved", "committed", "released", "adopted under 3"]
        assert stage.standing.token(0) == 2
        assert stage.endings.disposed == [(["room-1"], "fenced")]

    asyncio.run(scenario())


@pytest.mark.parametrize("evicted", [False, True])
def test_if_the_commit_fails_the_next_look_adopts_it_unless_the_node_was_evicted(evicted: bool) -> None:
    async def scenario() -> None:
        stage = Rebuilt()

        def away(command: Any) -> RedisUnavailable:
            stage.clock.now += 10  # the lease is over
            if evicted:
                assert stage.adopts.last is not None
                stage.adopts.last.lose()
            return RedisUnavailable("away")

        stage.replies["commit_shards"] = away
        stage.rebuilding.rebuild(stage.shard)
        await until(lambda: "released" in stage.adopts.heard)
        assert stage.standing.token(0) == (3 if evicted else 2)
        await stage.end()
        assert stage.adopts.heard == ["reserved", "released"]

    asyncio.run(scenario())
