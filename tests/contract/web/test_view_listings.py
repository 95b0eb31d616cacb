"""Listings of the web view that take several looks: each says how far it has come, and where the next one begins."""

from __future__ import annotations

import asyncio
import html
import re
from typing import Any

import pytest

from hubq import ChildSpec
from hubq.client.operations import paging
from hubq.testing import eventually
from hubq.web.view.listings import Listings

from .site import Room, Site, run


async def nap(ctx: Any) -> None:
    """A resumable job that does not end by itself."""
    await asyncio.Event().wait()


def ids(page: str) -> list[str]:
    return re.findall(r'<tr data-key="([^"]*)"', page)


def further(page: str) -> str:
    found = re.search(r'data-further="([^"]*)"', page)
    return html.unescape(found[1]) if found else ""


def looked(page: str) -> tuple[int, int]:
    found = re.search(r"looked at about ([\d,]+) of ([\d,]+) ", page)
    assert found is not None, page
    return int(found[1].replace(",", "")), int(found[2].replace(",", ""))


@pytest.mark.long_on_fakeredis
def test_a_search_without_scripts_is_led_on_until_all_was_looked_at(
    make_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MOST_READS", 1)
    monkeypatch.setattr(paging, "SMALL_AT_ONCE", 4)

    async def scenario(site: Site) -> None:
        await site.hub.aio.start_children([ChildSpec(f"room-{n}", Room) for n in range(150)])
        found, before, path = list[str](), 0, "/children?match=room-1"
        while True:
            page = await site.page(path)
            found += [
                each for each in ids(page) if each not in found
            ]  # the child of exactly this name is on each first page
            if not (place := further(page)):
                break
            assert "Look further" in page and 'rel="next"' in page
            now, total = looked(page)
            assert before < now < total == 151
            before, path = now, f"/children{place}"
        assert sorted(found) == sorted(name for n in range(150) if "room-1" in (name := f"room-{n}"))
        assert "looked at" not in page
        nothing = await site.page("/children?match=no-such")
        assert "0</span> shown" in nothing and further(nothing), "it does not say that there is none"
        while place := further(nothing):
            nothing = await site.page(f"/children{place}")
        assert "nothing more fits" in nothing

    run(make_hub, scenario)


@pytest.mark.long_on_fakeredis
def test_a_page_ends_when_its_time_is_over_and_the_next_goes_on(make_hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "FEWEST_READS", 2)
    monkeypatch.setattr(paging, "SMALL_AT_ONCE", 4)
    ticks = iter(range(1_000))

    async def scenario(site: Site) -> None:
        await site.hub.aio.start_children([ChildSpec(f"room-{n}", Room) for n in range(60)])
        listings = Listings(site.hub, lambda: float(next(ticks)))
        query = paging.Query(match="no-*")
        page, seen, total = await listings.page(
            query, "", 100, 3.0
        )  # it is asked twice in vain: four reads of four shards
        assert (page.children, page.next, total) == ([], "16", 61)
        counts = [0] * site.hub.config.shards
        for child in await site.hub.aio.children():
            counts[child.shard] += 1
        assert seen == sum(counts[:16])
        page, seen, total = await listings.page(query, page.next, 100)
        assert (page.next, seen, total) == ("", 0, 0)

    run(make_hub, scenario)


@pytest.mark.long_on_fakeredis
def test_children_for_which_messages_wait_are_found_by_their_mailboxes(make_hub: Any) -> None:
    async def scenario(site: Site) -> None:
        await site.hub.aio.start_children([ChildSpec(f"room-{n}", Room) for n in range(40)])
        for n in range(3):
            await site.hub.aio.ref("r/1").cast("hang")
            await site.hub.aio.ref(f"room-{n}").cast("hang")
        await site.hub.aio.ref("room-0").cast("hang")

        async def all_wait() -> bool:
            return len(await site.hub.aio.children(waiting=1)) == 4

        await eventually(all_wait, what="four children with messages")
        told = {child.child_id: child for child in await site.hub.aio.children()}
        for query, names in (
            ({"waiting": 1}, {"r/1", "room-0", "room-1", "room-2"}), ({"waiting": 2}, {"r/1", "room-0"}),
            ({"waiting": 1, "match": "room-*"}, {"room-0", "room-1", "room-2"}),
            ({"waiting": 1, "match": "room-?"}, {"room-0", "room-1", "room-2"}),
            ({"waiting": 1, "tag": "vip"}, {"r/1"}), ({"waiting": 1, "kind": "Hall"}, set()), ({"waiting": 1, "status": "parked"}, set()),
            ({"waiting": 1, "status": "dormant"}, set()), ({"waiting": 9}, set()),
        ):  # fmt: skip
            found = await site.hub.aio.children(**query)
            assert found == [told[name] for name in sorted(names)], query

    run(make_hub, scenario)


@pytest.mark.long_on_fakeredis
def test_keys_with_waiting_jobs_are_found_whatever_else_is_in_the_hub(
    make_hub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(site: Site) -> None:
        site.hub.job(resumable=True)(nap)
        running = await site.hub.aio.enqueue(nap)
        await site.hub.aio.start_children([ChildSpec(f"room-{n}", Room) for n in range(60)])
        await site.hub.aio.pause(why="to see them wait")
        for n in range(3):
            for _ in range(n + 1):
                await site.hub.aio.enqueue("os.getpid", key=f"k{n}")
        found = (await site.get("/jobs"))["jobs"]
        keys = [(each["id"], each["waiting"]) for each in found if each["kind"] == "key"]
        assert keys == [("job:k2", 3), ("job:k1", 2), ("job:k0", 1)]
        assert [each["id"] for each in found if each["kind"] == "resumable"] == [running.id]
        assert (await site.get("/jobs", state="failed"))["jobs"] == []

        monkeypatch.setattr(paging, "MOST_READS", 4)
        page = await site.page("/jobs")
        assert [each for each in ids(page) if each.startswith("key/")] == ["key/job:k2", "key/job:k1", "key/job:k0"]
        rows, place = ids(page), further(page)
        assert looked(page)[1] == 65 and "part=" not in place
        while place:
            page = await site.page(f"/jobs{place}")
            assert 'data-part="jobs"' not in page, "what was shown before is not shown again"
            rows, place = rows + ids(page), further(page)
        assert rows.count(f"resumable/{running.id}") == 1
        part = await site.page("/jobs?part=jobs")
        assert "key/job:k2" in part and running.id not in part
        part = await site.page("/jobs?part=resumable&state=failed")
        assert "None." in part and not further(part)

    run(make_hub, scenario)
