"""Values that are too large: for the settings, or for Redis. Each is an error of its message alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from hubq import CallFailed, ChildSpec, Hub, PayloadTooLarge, RedisUnavailable, StateTooLarge
from hubq.client.operations import calls
from hubq.client.operations.call_options import CallOptions
from hubq.store.codec import decode, encode
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer
from hubq.testing import Cluster, Ledger, LedgerChild, connections

MIB = 1024 * 1024


class Large(LedgerChild):
    """Answers, or keeps, as much as it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.kept = 0, b""

    async def answer(self, size: int) -> bytes:
        self.calls += 1
        return b"x" * size

    async def keep(self, size: int) -> int:
        self.calls += 1
        self.kept = b"x" * size
        return size

    async def take(self, data: bytes) -> int:
        self.calls += 1
        return len(data)

    async def counted(self) -> int:
        return self.calls


def test_the_settings_bound_arguments_and_results(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=2, max_payload_bytes=100_000)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", Large)
            ref = hub.aio.ref("c")
            assert await ref.call("answer", 99_000) == b"x" * 99_000
            said = r"10\d\d\d\d bytes, the most is 100000 \(max_payload_bytes"
            for send in (ref.call, ref.cast):
                with pytest.raises(PayloadTooLarge, match=said):
                    await send("take", b"x" * 100_000)
            with pytest.raises(PayloadTooLarge, match=said):
                await hub.aio.cast_many([("c", "counted"), ("c", "take", b"x" * 100_000)])
            with pytest.raises(PayloadTooLarge, match=said):
                await hub.aio.start_child("d", Large, b"x" * 100_000)
            with pytest.raises(PayloadTooLarge, match=r"the result of answer: " + said):
                await ref.call("answer", 100_000)
            await ref.cast("answer", 100_000)  # nobody wants it
            careless = Hub(hub.hub_id, redis=hub.server, shards=2)  # its settings are not those of the workers
            with pytest.raises(PayloadTooLarge, match=said):
                await careless.aio.ref("c").call("take", b"x" * 100_000)
            assert await ref.call("counted") == 2
            await careless.aio.close()

    asyncio.run(scenario())


def test_a_value_that_redis_does_not_take_costs_its_message_alone(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: RedisServer) -> None:
        hub = Hub("narrow", redis=server, shards=2, lease=2.0, lease_margin=0.4, heartbeat=0.1)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            names = [f"c{n}" for n in range(8)]
            for name in names:
                await hub.aio.start_child(name, Large)
            ref = hub.aio.ref("c0")
            large = asyncio.gather(
                ref.call("answer", 3 * MIB, timeout=30), ref.call("keep", 4 * MIB, timeout=30), return_exceptions=True
            )
            for _ in range(5):
                await asyncio.gather(*(ledger.call("s", name, timeout=20) for name in names))
            answer, state = await large
            assert isinstance(answer, PayloadTooLarge) and "what Redis takes" in str(answer)
            assert isinstance(state, StateTooLarge)
            assert await ref.call("counted") == 0, "both are undone"
            assert await ref.call("answer", MIB // 2) == b"x" * (MIB // 2)
            assert "proto-max-bulk-len" in caplog.text
            with pytest.raises(RedisUnavailable):
                await ref.cast("take", b"x" * (3 * MIB))
            await ledger.check()

    with narrow_redis() as server, caplog.at_level(logging.ERROR):
        asyncio.run(scenario(server))


class Grown(LedgerChild):
    """What it hands over has never been written before."""

    def prepare_handover_state(self) -> Any:
        return {**super().prepare_handover_state(), "more": b"x" * (3 * MIB)}

    def alter_handover_state(self, current: dict[str, Any], handed: Any) -> Any:
        return super().alter_handover_state(current, {name: handed[name] for name in handed if name != "more"})


def test_a_state_that_redis_does_not_take_holds_up_no_drain(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: RedisServer) -> None:
        hub = Hub("handed", redis=server, shards=1, lease=10.0, lease_margin=0.4, heartbeat=0.1)
        ledger = Ledger(hub)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_children(
                [ChildSpec("grown", Grown), *(ChildSpec(f"c{n}", LedgerChild) for n in range(4))]
            )
            names = ["grown", *(f"c{n}" for n in range(4))]
            await asyncio.gather(*(ledger.call("s", name) for name in names))
            await cluster.start("b")
            await cluster.drain("a", timeout=40)
            assert {child.child_id: child.node for child in await hub.aio.children()} == dict.fromkeys(names, "b")
            assert "more than Redis takes (proto-max-bulk-len)" in caplog.text
            assert "child grown moves with its last commit" in caplog.text
            await asyncio.gather(*(ledger.call("s", name, timeout=20) for name in names))
            await ledger.check()

    with narrow_redis() as server, caplog.at_level(logging.ERROR):
        asyncio.run(scenario(server))


@contextmanager
def narrow_redis() -> Iterator[RedisServer]:
    """A Redis that takes no value over a megabyte."""
    with EmbeddedServer() as embedded:
        if embedded.kind == "fakeredis":
            pytest.skip("fakeredis takes everything")
        server = RedisServer(embedded.url)
        redis = SyncRedis(server)
        redis.run(plain("CONFIG", "SET", "proto-max-bulk-len", "1mb", read=lambda answer: answer))
        redis.close()
        yield server


def test_only_one_trace_is_taken_off_a_payload() -> None:
    assert decode(b"t{}\n" + encode(1)) == 1
    with pytest.raises(ValueError, match="two lines"):
        decode(b"t{}\n" * 2 + encode(1))


def test_a_payload_with_many_traces_is_an_error_of_its_message(make_hub: Any) -> None:
    async def scenario() -> None:
        hub: Hub = make_hub(shards=2)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", Large)
            payload = b"t{}\n" * 100_000 + encode(((), {}))
            with pytest.raises(CallFailed, match="two lines"):
                await connections.drive_here(
                    hub, calls.call(connections.context_of(hub), "c", "counted", payload, CallOptions(10))
                )

    asyncio.run(scenario())
