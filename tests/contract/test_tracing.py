"""A trace goes from the caller through the child and its own calls."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from hubq import CallFailed, Child, Hub
from hubq.testing import Cluster


@pytest.fixture(scope="session")
def exporter() -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Iterator[Any]:
    exporter.clear()
    yield lambda: {span.name: span for span in exporter.get_finished_spans()}
    exporter.clear()


HUBS: dict[str, Hub] = {}


class Adder(Child):
    def __init__(self, hub_id: str) -> None:
        self.hub_id, self.total = hub_id, 0

    def add(self, n: int) -> int:
        self.total += n
        return self.total

    async def relay(self, to: str, n: int) -> int:
        answer: int = await HUBS[self.hub_id].aio.ref(to).call("add", n)
        return answer

    async def fail(self) -> None:
        raise ValueError("broken")


def parent_of(span: ReadableSpan) -> int | None:
    return span.parent.span_id if span.parent else None


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def test_one_trace_from_the_caller_through_two_children(make_hub: Any, spans: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(tracing=True)
        HUBS[hub.hub_id] = hub
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            for child in ("one", "two"):
                await hub.aio.start_child(child, Adder, hub.hub_id)
            with trace.get_tracer("test").start_as_current_span("request"):
                assert await hub.aio.ref("one").call("relay", "two", 3) == 3
            seen = spans()
            chain = [seen[name] for name in ("request", "call relay", "Adder.relay", "call add", "Adder.add")]
            assert len({span.context.trace_id for span in chain}) == 1
            assert [parent_of(span) for span in chain[1:]] == [id_of(span) for span in chain[:-1]]
            assert chain[-1].attributes["hubq.child"] == "two"
            assert chain[-1].attributes["hubq.node"] == "a"

    asyncio.run(scenario())


def test_a_handler_that_raises_is_seen_in_its_span(make_hub: Any, spans: Any) -> None:
    async def scenario() -> None:
        hub = make_hub(tracing=True)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("one", Adder, hub.hub_id)
            with pytest.raises(CallFailed):
                await hub.aio.ref("one").call("fail")
            assert spans()["Adder.fail"].events[0].name == "exception"

    asyncio.run(scenario())


def test_a_worker_that_does_not_trace_passes_over_the_context(make_hub: Any, spans: Any) -> None:
    async def scenario() -> None:
        hub = make_hub()
        caller = Hub(hub.hub_id, redis=hub.server, tracing=True)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("one", Adder, hub.hub_id)
            await caller.aio.ref("one").cast("add", 1)
            assert await caller.aio.ref("one").call("add", 2) == 3
            assert set(spans()) == {"cast add", "call add"}
            await caller.aio.close()

    asyncio.run(scenario())
