"""Long listings in pages: each thing once, whatever the size of a page; and bounded work for each."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from fnmatch import fnmatchcase
from typing import Any

import pytest

from hubq import Child, ChildSpec, ConfigError, Hub
from hubq.client.operations import paging
from hubq.client.operations.paging import EventFilter, LetterFilter, events_page, letters_page
from hubq.store.command import plain
from hubq.testing import Cluster


class Room(Child):
    async def say(self) -> None: ...


def run(make_hub: Any, scenario: Callable[[Hub], Coroutine[Any, Any, None]], **settings: Any) -> None:
    async def whole() -> None:
        hub: Hub = make_hub(**settings)
        hub.child(Room)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await scenario(hub)

    asyncio.run(whole())


async def put(hub: Hub, *command: Any) -> None:
    def write() -> Any:
        yield paging.Fetch([plain(*command, read=lambda answer: None)])

    await hub.aio.driver.drive(write())


async def letter(hub: Hub, shard: int, entry: str, why: str = "raised", child: str = "x") -> None:
    await put(hub, "XADD", hub.keys.dead(shard), entry, "kind", "cast", "child", child, "class", "Room", "why", why)


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("limit", [1, 7, 1000])
def test_a_listing_goes_on_where_its_page_has_ended(make_hub: Any, limit: int) -> None:
    async def scenario(hub: Hub) -> None:
        names = {f"room-{n}" for n in range(120)}
        await hub.aio.start_children([ChildSpec(name, Room) for name in names])
        after, found = "", list[str]()
        for turn in itertools.count():
            page = await hub.aio.children_page(after, limit)
            found += [child.child_id for child in page.children]
            assert turn < 200
            if not (after := page.next):
                break
        assert sorted(found) == sorted(names)
        one = await hub.aio.children_page(limit=limit, match="room-77")
        assert [child.child_id for child in one.children] == ["room-77"] or one.next

    run(make_hub, scenario)


@pytest.mark.long_on_fakeredis
def test_a_page_of_a_hub_in_which_nothing_fits_ends(make_hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(hub: Hub) -> None:
        await hub.aio.start_children([ChildSpec(f"room-{n}", Room) for n in range(60)])
        monkeypatch.setattr(paging, "MOST_READS", 2)
        page = await hub.aio.children_page(match="nothing-*")
        assert page.children == [] and page.next == "12" and page.shards_left == hub.config.shards - 12

    run(make_hub, scenario)


@pytest.mark.parametrize("after", ["x", "64", "-1", "3.", "5.1,", "1.2,99.1", "9" * 2000, "3.12345678901234567890123"])
def test_a_place_that_no_page_has_given_is_refused(make_hub: Any, after: str) -> None:
    hub: Hub = make_hub()
    with pytest.raises(ConfigError, match="no place in a listing"):
        hub.children_page(after)
    with pytest.raises(ConfigError, match="limit"):
        hub.children_page(limit=0)
    hub.close()


@pytest.mark.long_on_fakeredis
def test_dead_letters_come_newest_first_over_all_shards_each_once(make_hub: Any) -> None:
    async def scenario(hub: Hub) -> None:
        wanted = []
        for n in range(70):
            shard, entry = n * 7 % 5, f"{1000 + n // 3}-{n % 2}"
            name = f"{shard}/{entry}"
            if name not in wanted:
                await letter(hub, shard, entry, why="raised" if n % 3 else "dropped", child=f"c{n % 4}")
                wanted.append(name)
        for limit in (1, 4, 1000):
            after, found = "", list[Any]()
            while True:
                page = await hub.aio.driver.drive(letters_page(hub.aio.driver.context, LetterFilter(), after, limit))
                assert page.total == len(wanted)
                found += page.letters
                if not (after := page.next):
                    break
            assert sorted(each.letter for each in found) == sorted(wanted)
            assert [each.died for each in found] == sorted((each.died for each in found), reverse=True)
        page = await hub.aio.driver.drive(
            letters_page(hub.aio.driver.context, LetterFilter(why="dropped", child="c0"), "", 1000)
        )
        assert page.letters and {(each.why, each.child) for each in page.letters} == {("dropped", "c0")}
        with pytest.raises(ConfigError, match="does not name a dead letter"):
            await hub.aio.driver.drive(letters_page(hub.aio.driver.context, LetterFilter(), "99/1-1", 10))

    run(make_hub, scenario)


@pytest.mark.long_on_fakeredis
def test_events_come_newest_first_and_a_filter_reads_a_bounded_part(make_hub: Any) -> None:
    async def scenario(hub: Hub) -> None:
        for n in range(1200):
            await put(hub, "XADD", hub.keys.events, "*", "type", "child_stopped", "child", f"c{n % 3}", "n", n)
        context, drive = hub.aio.driver.context, hub.aio.driver.drive
        of_one = EventFilter(child="c1")
        first = await drive(events_page(context, of_one, "", 10))
        second = await drive(events_page(context, of_one, first.next, 10))
        numbers = [int(each.fields["n"]) for each in (*first.events, *second.events)]
        assert numbers == list(range(1198, 1198 - 60, -3))
        bounded = await drive(events_page(context, EventFilter(types=("no_such",)), "", 10, 500))
        assert bounded.events == [] and bounded.next
        rest = await drive(events_page(context, EventFilter(types=("node_joined",)), "", 10))
        assert [each.fields["node"] for each in rest.events] == ["a"] and rest.next == ""

    run(make_hub, scenario)


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize(
    "pattern", ["r*", "*ö*", "r?om", "[rR]oom*", "[!r]oom", "r\\*", "*", "room", "***m", "r?öm", "Room*"]
)
def test_a_pattern_means_the_same_whether_redis_looks_or_hubq(make_hub: Any, pattern: str) -> None:
    names = ["room", "Room", "rööm", "r*", "r\\x", "rom", "zoom", "ro[m", "r?om"]

    async def scenario(hub: Hub) -> None:
        await hub.aio.start_children([ChildSpec(name, Room) for name in names])
        found = [child.child_id for child in await hub.aio.children(match=pattern)]
        assert found == sorted(name for name in names if fnmatchcase(name, pattern))

    run(make_hub, scenario)
