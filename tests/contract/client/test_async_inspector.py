"""``hub.aio.inspect`` answers as ``hub.inspect`` does."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from hubq import Child
from hubq.client.faces.inspector import AsyncInspector, Inspector
from hubq.testing import Cluster


class Lamp(Child):
    def __init__(self) -> None:
        self.lit = False

    async def press(self) -> bool:
        self.lit = not self.lit
        self.remind("off", after=600, call=Lamp.press)
        return self.lit


def public(kind: type) -> dict[str, list[str]]:
    return {
        name: [str(parameter) for parameter in inspect.signature(found).parameters.values()]
        for name, found in vars(kind).items()
        if not name.startswith("_")
    }


def test_it_has_the_same_questions_with_the_same_arguments() -> None:
    assert public(AsyncInspector) == public(Inspector)


def test_it_has_the_same_answers(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("hall", Lamp)
            await hub.aio.ref("hall").call("press")
            seen = hub.aio.inspect
            for name in ("state", "reminders", "mailbox"):
                there = await asyncio.to_thread(getattr(hub.inspect, name), "hall")
                here = await getattr(seen, name)("hall")
                assert type(here) is type(there), name
            saved = await seen.state("hall")
            assert saved is not None and saved.child_id == "hall"
            assert [reminder.name for reminder in await seen.reminders()] == ["off"]
            assert await seen.settings() == await asyncio.to_thread(hub.inspect.settings)
            assert await seen.mailboxes() == [] and await seen.partitioned() == "" and await seen.dormant() == 0
            assert list(await seen.vitals()) == ["a"]
            assert (await seen.glance()).children == 1
            assert isinstance(await seen.diagnosis(), list)
            last, events = await seen.events(50, {"node_joined"})
            assert [event.fields["node"] for event in events] == ["a"]
            following = seen.follow(last)
            await cluster.start("b")
            async with asyncio.timeout(10):
                async for some in following:
                    if any(event.type == "node_joined" for event in some):
                        break
            await following.aclose()

    asyncio.run(scenario())
