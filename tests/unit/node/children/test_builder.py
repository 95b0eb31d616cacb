"""Children are built, or cannot be."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hubq.core.child import Child
from hubq.core.lifecycle import Life
from hubq.errors import StartFailed
from hubq.hooks import ChildData
from hubq.hooks.book import Hook
from hubq.store.spec_record import SpecRecord
from tests.unit.node.children.test_lives import Room, n_of
from tests.unit.node.household import Household


def test_a_child_is_built_with_its_arguments_and_is_not_in_the_holding_yet() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.builder.build(home.shard, "room-1", home.record(Room, 5))
            assert n_of(hosted) == 5 and hosted.life is Life.BUILT and home.shard.children == {}
            assert hosted.instance is not None and hosted.instance.child_id == "room-1"
            assert hosted.instance.node_name == "a"

    asyncio.run(scenario())


def test_what_cannot_be_built_says_why() -> None:
    class Broken(Child):
        def __init__(self) -> None:
            raise ValueError("no network")

    async def scenario() -> None:
        async with Household(Broken) as home:
            with pytest.raises(StartFailed, match=r"Broken cannot be built: ValueError: no network"):
                home.builder.build(home.shard, "room-1", home.record(Broken))
            with pytest.raises(StartFailed, match="cannot import 'Room' from module 'nowhere'"):
                home.builder.build(home.shard, "room-1", SpecRecord("Room", "nowhere", "s:1"))

    asyncio.run(scenario())


def test_a_hook_may_alter_what_a_child_is_built_with() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:

            def alter(data: ChildData) -> ChildData:
                return replace(data, args=(7,), metadata={"by": "hook"})

            home.book.add(Hook("child_data_alter", alter))
            hosted = home.builder.build(home.shard, "room-1", home.record(Room, 5))
            assert n_of(hosted) == 7 and hosted.metadata == {"by": "hook"} and hosted.record.start_id == "s:1"

    asyncio.run(scenario())
