"""A hub with ``codec="data"``: children, feeds, reminders, effects and jobs, and what others write in their place."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from hubq import CallFailed, Child, Event, Hub, NotSendable, StartFailed, Unreadable, read
from hubq.errors import BadArguments, JobFailed
from hubq.store.command import plain
from hubq.testing import Cluster, connections, eventually

SEEN: list[str] = []


class Evil:
    def __reduce__(self) -> Any:
        return (SEEN.append, ("code ran",))


@dataclass
class Post:
    who: str
    at: datetime
    tags: set[str]


class Wall(Child):
    posts: list[Post]
    ids: tuple[UUID, ...]

    def __init__(self, first: Post) -> None:
        self.posts, self.ids, self.told = [first], (), []

    async def post(self, post: Post, uuid: UUID | None = None) -> Post:
        self.posts.append(post)
        if uuid is not None:
            self.ids = (*self.ids, uuid)
        self.publish("posts", {"who": post.who})
        return post

    @read
    async def posted(self) -> list[Post]:
        return self.posts

    async def pass_on(self, post: Post) -> None:
        self.ref(Wall, "wall-2").cast(Wall.post, post)
        self.ref(Wall, "wall-3").start(post)

    async def remember(self, post: Post) -> None:
        self.remind("again", post, call=Wall.post, after=0.05)

    async def fail(self, post: Post) -> None:
        self.posts.append(post)
        raise ValueError("undone")

    async def own(self) -> Any:
        return Evil()

    async def keep(self) -> None:
        self.told = {1, 2}  # type: ignore[assignment]


class NotRegistered(Child):
    async def x(self) -> None: ...


async def job(ctx: Any, post: Post, times: int) -> Post:
    ctx.state.times = times
    await ctx.commit()
    return post


NOW = datetime(2026, 5, 1, tzinfo=UTC)
POST, OTHER = Post("ann", NOW, {"a", "b"}), Post("bob", NOW, set())


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Hub:
    SEEN.clear()
    hub = make_hub(shards=4, codec="data")
    hub.child(Wall)
    return hub


def test_all_ways_of_a_value(hub: Hub) -> None:
    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for name in ("wall-1", "wall-2"):
                await hub.aio.start_child(name, Wall, POST)
            wall = hub.aio.ref(Wall, "wall-1")
            assert await wall.call(Wall.post, OTHER, UUID(int=7)) == OTHER
            assert (await hub.aio.ref("wall-1").call("post", OTHER))["who"] == "bob"  # nobody says what it is here
            await wall.cast(Wall.post, POST)
            assert await wall.call(Wall.posted) == [POST, OTHER, OTHER, POST]
            with pytest.raises(CallFailed, match="undone"):
                await wall.call(Wall.fail, POST)
            assert len(await wall.call(Wall.posted)) == 4
            await wall.call(Wall.pass_on, OTHER)
            await wall.call(Wall.remember, OTHER)
            await eventually(lambda: _has(hub, "wall-2", [POST, OTHER]))
            await eventually(lambda: _has(hub, "wall-3", [OTHER]))
            await eventually(lambda: _has(hub, "wall-1", [POST, OTHER, OTHER, POST, OTHER]))
            assert await wall.options(key="once").call(Wall.post, OTHER) == OTHER
            assert await wall.options(key="once").call(Wall.post, OTHER) == OTHER
            events = [event async for event in hub.aio.ref("wall-1").feed(follow=False)]
            assert [event.data for event in events][:1] == [{"who": "bob"}] and len(events) == 5
            # All of it moves, typed as before.
            await cluster.start("b")
            await cluster.drain("a")
            assert await wall.call(Wall.posted) == [POST, OTHER, OTHER, POST, OTHER, OTHER]
            assert await wall.call(Wall.post, POST) == POST

    asyncio.run(scenario())


async def _has(hub: Hub, child: str, posts: list[Post]) -> bool:
    return bool(await hub.aio.ref(Wall, child).call(Wall.posted) == posts)


def test_what_is_no_data_is_refused_and_says_so(hub: Hub) -> None:
    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("wall-1", Wall, POST)
            wall, named = hub.aio.ref(Wall, "wall-1"), hub.aio.ref("wall-1")
            with pytest.raises(NotSendable, match="Evil"):
                await named.call("post", Evil())
            with pytest.raises(NotSendable, match="Evil"):
                await hub.aio.start_child("wall-9", Wall, Evil())
            with pytest.raises(BadArguments, match=r"Wall\.post: argument 'post': Expected `object`, got `str`"):
                await named.call("post", "x")
            with pytest.raises(NotSendable, match="the result of own cannot be sent as data"):
                await wall.call(Wall.own)
            with pytest.raises(Exception, match="attribute 'told' is a set"):
                await wall.call(Wall.keep)
            with pytest.raises(StartFailed, match="no class 'NotRegistered' is registered"):
                await hub.aio.start_child("other", NotRegistered)
            with pytest.raises(StartFailed, match="argument 'first'"):
                await hub.aio.start_child("wall-8", Wall, {"who": 7})
            assert await wall.call(Wall.posted) == [POST]

    asyncio.run(scenario())


def test_pickles_of_others_run_nowhere(make_hub: Callable[..., Hub], hub: Hub) -> None:
    async def scenario() -> None:
        other = Hub(hub.hub_id, redis=hub.server, shards=4, codec="pickle")
        other.child(Wall)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("wall-1", Wall, POST)
            wall = other.aio.ref("wall-1")
            with pytest.raises(BadArguments, match="unpickles nothing"):
                await wall.call("post", Evil())
            await wall.cast("post", Evil())
            with pytest.raises(StartFailed, match="unpickles nothing"):
                await other.aio.start_child("wall-7", Wall, Evil())
            await eventually(lambda: _letters(hub, 1))
            shard = hub.driver.context.shard_of("wall-1")
            redis = await connections.connection_here(hub)
            evil = b"p" + pickle.dumps(Evil())
            # A reply that somebody else writes; a state; an event.
            await redis.run(
                plain("XADD", hub.keys.feed(shard, "wall-1"), "*", "topic", "posts", "data", evil, read=bytes)
            )
            with pytest.raises(Unreadable):
                [event.data async for event in hub.aio.ref("wall-1").feed(follow=False) if isinstance(event, Event)]
            assert SEEN == []
            await other.aio.close()

    asyncio.run(scenario())
    assert SEEN == []


async def _letters(hub: Hub, count: int) -> bool:
    return len(await hub.aio.dead_letters()) == count


def test_resumable_jobs_get_typed_arguments(hub: Hub) -> None:
    run = hub.job(resumable=True)(job)

    async def scenario() -> None:
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            handle = await hub.aio.enqueue(run, POST, 3)
            assert await handle.result(10) == {"who": "ann", "at": NOW, "tags": (await handle.result(10))["tags"]}
            bad = await hub.aio.enqueue(run, POST, "three")
            with pytest.raises(JobFailed, match="argument 'times'"):
                await bad.result(10)

    asyncio.run(scenario())
