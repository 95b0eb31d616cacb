"""What hooks hear of a node's view: who comes and goes, and when shards begin and end to move."""

from __future__ import annotations

import asyncio
from typing import Any

from hubq.hooks import Hook, HookBook
from hubq.node.planning.view_hooks import ViewHooks
from hubq.node.runtime.background import Background
from hubq.node.runtime.hook_runner import HookRunner
from hubq.store.membership import NodeInfo

HEARD = ("pre_cluster_join", "post_cluster_join", "pre_cluster_leave", "post_cluster_leave",
         "pre_nodes_redistribution", "post_nodes_redistribution")  # fmt: skip


class Hearing:
    """Node ``a``, whose handlers remember what they hear: the hook, and its payload in short."""

    def __init__(self, *heard: str) -> None:
        self.said: list[tuple[Any, ...]] = []
        book = HookBook()
        for hook_id in heard or HEARD:
            book.add(Hook(hook_id, self._handler(hook_id)))
        self.hooks = ViewHooks(HookRunner(book, "h", "a", Background()))

    def _handler(self, hook_id: str) -> Any:
        def hear(data: Any) -> None:
            names = ("joined", "left", "reason", "moves", "claims")
            self.said.append((hook_id, *(getattr(data, name) for name in names if hasattr(data, name))))

        return hear

    async def look(self, **nodes: int) -> list[tuple[Any, ...]]:
        """A look at these nodes (an incarnation below 0: it is draining): what was heard, in order."""
        self.said.clear()
        infos = {name: NodeInfo(abs(number), "up" if number > 0 else "draining", 0) for name, number in nodes.items()}
        self.waited = await self.hooks.seen(infos)
        before = len(self.said)
        self.hooks.looked(nodes, quiet=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert all(said[0].startswith("pre_") for said in self.said[:before]), "post_ hooks once the look is under way"
        return self.said


def test_those_who_are_there_at_the_first_look_have_not_just_come() -> None:
    async def scenario() -> None:
        stage = Hearing()
        assert await stage.look(a=7, b=8) == [] and not stage.waited
        assert await stage.look(a=7, b=8) == []

    asyncio.run(scenario())


def test_one_that_joins_is_heard_of_before_and_after() -> None:
    async def scenario() -> None:
        stage = Hearing()
        await stage.look(a=7)
        assert await stage.look(a=7, b=8) == [("pre_cluster_join", "b"), ("post_cluster_join", "b")]
        assert stage.waited, "handlers were waited for: the view may be old by now"

    asyncio.run(scenario())


def test_one_that_drains_leaves_when_it_begins_to_and_has_left_when_it_is_gone() -> None:
    async def scenario() -> None:
        stage = Hearing()
        await stage.look(a=7, b=8)
        assert await stage.look(a=7, b=-8) == [("pre_cluster_leave", "b", "drained")]
        assert await stage.look(a=7, b=-8) == [], "once"
        assert await stage.look(a=7) == [("post_cluster_leave", "b", "drained")]

    asyncio.run(scenario())


def test_one_whose_lease_ran_out_was_evicted() -> None:
    async def scenario() -> None:
        stage = Hearing()
        await stage.look(a=7, b=8)
        assert await stage.look(a=7) == [("pre_cluster_leave", "b", "evicted"), ("post_cluster_leave", "b", "evicted")]

    asyncio.run(scenario())


def test_a_new_life_under_the_same_name_is_one_that_left_and_one_that_joined() -> None:
    async def scenario() -> None:
        stage = Hearing()
        await stage.look(a=7, b=8)
        assert [said[0] for said in await stage.look(a=7, b=9)] == [
            "pre_cluster_leave", "pre_cluster_join", "post_cluster_leave", "post_cluster_join"
        ]  # fmt: skip

    asyncio.run(scenario())


def test_where_nobody_listens_nothing_is_waited_for() -> None:
    async def scenario() -> None:
        stage = Hearing("post_cluster_join")
        await stage.look(a=7)
        assert await stage.look(a=7, b=8) == [("post_cluster_join", "b")] and not stage.waited

    asyncio.run(scenario())


def test_a_redistribution_begins_with_the_first_move_and_ends_when_nothing_moves_any_more() -> None:
    async def scenario() -> None:
        stage = Hearing()
        assert not await stage.hooks.planned(["a", "b"], {}, [])
        assert await stage.hooks.planned(["a", "b"], {0: "b"}, [1])
        assert stage.said == [("pre_nodes_redistribution", {0: "b"}, (1,))]
        assert not await stage.hooks.planned(["a", "b"], {2: "b"}, []), "it is one redistribution"
        stage.hooks.looked(["a", "b"], quiet=False)
        await asyncio.sleep(0)
        assert len(stage.said) == 1
        for _ in range(2):
            stage.hooks.looked(["a", "b"], quiet=True)
            await asyncio.sleep(0)
        assert [said[0] for said in stage.said] == ["pre_nodes_redistribution", "post_nodes_redistribution"]

    asyncio.run(scenario())
