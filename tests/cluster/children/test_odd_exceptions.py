"""Exceptions that are no ordinary errors: the caller hears of them, and the child goes on with the state it had before."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from hubq import CallFailed, Child, ChildSpec, Hub, StartFailed, StateNotSavable
from hubq.core.lifecycle import Life
from hubq.node.node import Node
from hubq.testing import Cluster, LedgerChild, eventually, probe


class Unspeakable(Exception):
    """Nothing can be said of it."""

    def __str__(self) -> str:
        raise SystemExit(4)

    __repr__ = __str__

    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


class TwoArguments(Exception):
    """It pickles, and does not unpickle: its ``__init__`` takes two, and its ``args`` have one."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")


def deep(n: int = 0) -> int:
    return deep(n + 1) + 1


def raise_it(name: str) -> Any:
    """Raise one of all the things that a handler can raise."""
    if name == "recursion":
        return deep()
    raise {
        "cancelled": asyncio.CancelledError, "surrogate": ValueError("bad \udcff text"), "exit": SystemExit(3),
        "interrupt": KeyboardInterrupt, "generator": GeneratorExit, "stop": StopIteration, "stop_async": StopAsyncIteration,
        "unspeakable": Unspeakable, "group": BaseExceptionGroup("two", [SystemExit(1), ValueError("x")]),
    }[name]  # fmt: skip


class Odd(LedgerChild):
    def __init__(self) -> None:
        super().__init__()
        self.changed = 0

    async def raises(self, name: str) -> Any:
        self.changed += 1
        return raise_it(name)

    def raises_in_thread(self, name: str) -> Any:
        self.changed += 1
        return raise_it(name)

    async def cancel_own_task(self, wait: bool) -> None:
        self.changed += 1
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        task.cancel()
        if wait:
            await asyncio.sleep(60)

    async def returns_odd(self) -> Any:
        self.changed += 1
        return Unspeakable()

    async def changes(self) -> int:
        return self.changed


KINDS = {
    "cancelled": "CancelledError", "surrogate": "ValueError", "exit": "SystemExit", "interrupt": "KeyboardInterrupt",
    "generator": "GeneratorExit", "stop": "StopIteration", "stop_async": "StopAsyncIteration", "recursion": "RecursionError",
    "unspeakable": "Unspeakable", "group": "BaseExceptionGroup",
}  # fmt: skip


@pytest.mark.parametrize("method", ["raises", "raises_in_thread"])
def test_odd_exceptions_do_not_wedge_a_child(make_hub: Any, method: str) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Odd, ["odd"])
            ref = hub.aio.ref("odd")
            for name, kind in KINDS.items():
                if method == "raises" and name == "stop":
                    kind = "RuntimeError"  # (Python's word for it in a coroutine)
                with pytest.raises(CallFailed) as caught:
                    await ref.call(method, name)
                assert caught.value.remote_type == kind, name
                if name != "surrogate":  # (what is logged must be readable here)
                    await ref.cast(method, name)
                assert await ref.call("record", "x", 1) >= 1
            assert await ref.call("changes") == 0

    asyncio.run(scenario())


def test_a_handler_that_cancels_its_own_task_fails_like_any_other(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Odd, ["odd", "other"])
            ref = hub.aio.ref("odd")
            calls = [
                asyncio.create_task(ref.call("cancel_own_task", True)),
                asyncio.create_task(ref.call("cancel_own_task", False)),  # it ends before it hears of it
                asyncio.create_task(ref.call("changes")),
                asyncio.create_task(hub.aio.ref("other").call("changes")),
            ]
            first, second, third, other = await asyncio.gather(*calls, return_exceptions=True)
            assert isinstance(first, CallFailed) and first.remote_type == "CancelledError"
            assert (second, third, other) == (None, 1, 0)

    asyncio.run(scenario())


def test_a_result_that_cannot_be_pickled_in_the_oddest_way(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Odd, ["odd"])
            with pytest.raises(Exception, match="cannot be pickled"):
                await hub.aio.ref("odd").call("returns_odd")
            assert await hub.aio.ref("odd").call("changes") == 0

    asyncio.run(scenario())


# -- what is no handler --------------------------------------------------------------------------------------------


class Starts(Child):
    """Raises where it is told to."""

    def __init__(self, where: str, name: str) -> None:
        self.where, self.name = where, name
        self._at("__init__")

    def _at(self, where: str) -> None:
        if where == self.where:
            if self.name == "own":
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            else:
                raise_it(self.name)

    async def on_start(self) -> None:
        self._at("on_start")
        await asyncio.sleep(0)

    async def on_stop(self, reason: str) -> None:
        self._at("on_stop")
        await asyncio.sleep(0)

    def prepare_handover_state(self) -> Any:
        self._at("prepare")
        return super().prepare_handover_state()

    def alter_handover_state(self, current: dict[str, Any], handed: Any) -> Any:
        self._at("alter")
        return super().alter_handover_state(current, handed)

    async def ping(self) -> str:
        return "pong"


class Loops(Child):
    """Its ``run()`` raises twice, and then goes on."""

    begun: ClassVar[int] = 0
    fails: ClassVar[str] = ""

    async def run(self) -> None:
        type(self).begun += 1
        if self.begun < 3:
            if self.fails == "own":
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(60)
            raise_it(self.fails)
        await asyncio.Event().wait()


ODD = ["exit", "interrupt", "generator", "unspeakable", "cancelled", "stop", "own"]


def test_a_child_that_starts_oddly_is_refused_like_any_other(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for where in ("__init__", "on_start"):
                for name in ODD:
                    result = await hub.aio.start_children([ChildSpec("odd", Starts, args=(where, name))])
                    assert isinstance(result.errors["odd"], StartFailed), (where, name)
            await start(hub, Odd, ["well"])
            assert await hub.aio.ref("well").call("changes") == 0

    asyncio.run(scenario())


class Changed(Child):
    """Its ``__init__`` was well when the child was started."""

    ill: ClassVar[bool] = False

    def __init__(self, name: str) -> None:
        if type(self).ill:
            Starts("__init__", name)

    async def ping(self) -> str:
        return "pong"


def test_children_whose_init_has_become_odd_are_parked_and_the_others_taken_over(make_hub: Any) -> None:
    """Each is built by a task of the node that sees to a whole shard."""

    async def scenario() -> None:
        Changed.ill = False
        hub = make_hub(shards=2, lease=1.0)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Odd, [f"c{n}" for n in range(4)])
            await hub.aio.start_children([ChildSpec(f"odd.{name}", Changed, args=(name,)) for name in ODD])
            await cluster.kill("a")
            Changed.ill = True
            await cluster.start("b")
            assert [await hub.aio.ref(f"c{n}").call("changes", timeout=10) for n in range(4)] == [0] * 4

            async def parked() -> bool:
                statuses = {child.child_id: child.status for child in await hub.aio.children()}
                return all(statuses[f"odd.{name}"] == "parked" for name in ODD)

            await eventually(parked, 10, "the odd ones are parked")
            Changed.ill = False
            await cluster.start("c")
            await cluster.drain("b")
            assert {await hub.aio.ref(f"odd.{name}").call("ping", timeout=10) for name in ODD} == {"pong"}

    asyncio.run(scenario())


@pytest.mark.parametrize("name", [name for name in ODD if name != "stop"])  # (RuntimeError, in a coroutine)
def test_a_loop_that_ends_oddly_begins_anew(make_hub: Any, name: str) -> None:
    async def scenario() -> None:
        Loops.begun, Loops.fails = 0, name
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await start(hub, Loops, ["odd"])
            await eventually(lambda: Loops.begun == 3)
            await eventually(lambda: life(node, "odd") is Life.RUNNING and probe(node).the_child("odd").runs)

    asyncio.run(scenario())


def test_children_that_move_oddly_harm_nobody(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=4)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            names = [f"c{n}" for n in range(8)]
            await start(hub, Odd, names)
            odd = [(where, name) for where in ("on_stop", "prepare", "alter") for name in ODD]
            await hub.aio.start_children(
                [ChildSpec(f"{where}.{name}", Starts, args=(where, name)) for where, name in odd]
            )
            await hub.aio.ref("on_stop.exit").call("ping")
            await cluster.start("b")
            await cluster.drain("a", timeout=2.0)  # those that hand nothing over stay until it ends
            assert [await hub.aio.ref(child).call("changes") for child in names] == [0] * 8
            assert {await hub.aio.ref(f"on_stop.{name}").call("ping") for name in ODD} == {"pong"}

    asyncio.run(scenario())


# -- states that do not come back ----------------------------------------------------------------------------------


class Explosive:
    """It pickles in no way, and says so as nothing should."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self) -> Any:
        return raise_it(self.name)


class Fickle:
    """It unpickles, or not, as it is told."""

    broken: ClassVar[bool] = False

    def __reduce__(self) -> Any:
        return (make_fickle, ())


def make_fickle() -> Fickle:
    if Fickle.broken:
        raise ValueError("not today")
    return Fickle()


class Holds(LedgerChild):
    """Has things in its state that do not come back."""

    started: ClassVar[int] = 0

    def __init__(self) -> None:
        super().__init__()
        self.n, self.kept = 0, None  # type: ignore[var-annotated]

    async def on_start(self) -> None:
        type(self).started += 1

    async def keep_error(self) -> None:
        self.n += 1
        self.kept = TwoArguments(1, "x")

    async def keep_explosive(self, name: str) -> None:
        self.n += 1
        self.kept = Explosive(name)

    async def keep_fickle(self) -> int:
        self.n += 1
        self.kept = Fickle()
        return self.n

    async def spoil(self) -> None:
        self.n += 100
        Fickle.broken = True
        raise ValueError("spoilt")

    async def spoil_later(self) -> None:
        self.n += 100
        await asyncio.Event().wait()

    async def number(self) -> int:
        return self.n


def test_a_state_that_does_not_come_back_is_refused_when_it_is_saved_first(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await start(hub, Holds, ["x"])
            with pytest.raises(Exception, match=r"not unpickled: attribute 'kept' \(TypeError"):
                await hub.aio.ref("x").call("keep_error")
            assert await hub.aio.ref("x").call("number") == 0
            await cluster.start("b")
            await cluster.drain(node.name)
            assert await hub.aio.ref("x").call("number") == 0

    asyncio.run(scenario())


def test_a_state_that_cannot_be_taken_in_the_oddest_way_is_undone(make_hub: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await start(hub, Holds, ["x"])
            for name in KINDS:
                with pytest.raises(StateNotSavable, match="attribute 'kept'"):
                    await hub.aio.ref("x").call("keep_explosive", name)
                assert await hub.aio.ref("x").call("number") == 0, name

    asyncio.run(scenario())


@pytest.mark.parametrize("mended", [True, False])
def test_a_roll_back_that_fails_builds_the_child_anew(
    make_hub: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, mended: bool
) -> None:
    async def scenario() -> None:
        monkeypatch.setattr(Fickle, "broken", False)
        hub = make_hub(shards=1)
        async with Cluster(hub) as cluster:
            node = await cluster.start("a")
            await start(hub, Holds, ["x"])
            ref = hub.aio.ref("x")
            assert await ref.call("keep_fickle") == 1
            before = Holds.started
            if mended:
                with pytest.raises(CallFailed), mended_when_logged():
                    await ref.call("spoil")
            else:
                with pytest.raises(CallFailed):
                    await ref.call("spoil")
                await eventually(lambda: life(node, "x") is Life.PARKED)
                Fickle.broken = False
                await cluster.start("b")
                await cluster.drain("a")
            assert await ref.call("number") == 1
            assert Holds.started == before + 1
            assert "built anew" in caplog.text

    asyncio.run(scenario())


@contextmanager
def mended_when_logged() -> Iterator[None]:
    """The state comes back again as soon as the node has said that it does not."""

    class Mends(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            Fickle.broken = Fickle.broken and "built anew" not in record.getMessage()

    mends, log = Mends(), logging.getLogger("hubq.node")
    log.addHandler(mends)
    try:
        yield
    finally:
        log.removeHandler(mends)


def life(node: Node, child: str) -> Life | None:
    found = probe(node).child(child)
    return None if found is None else found.life


async def start(hub: Hub, kind: Any, names: list[str]) -> None:
    result = await hub.aio.start_children([ChildSpec(name, kind) for name in names])
    assert result.status == "ok"
