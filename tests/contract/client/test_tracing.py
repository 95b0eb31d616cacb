"""A trace goes from the caller through the child and its own calls."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry import trace

from hubq import CallFailed, Child, Hub
from hubq.testing import Cluster


@dataclass
class Span:
    """What a span was, for the comparison."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int
    attributes: dict[str, Any] = field(default_factory=dict)
    raised: str = ""


class Memory(trace.NoOpTracer):
    """A tracer that keeps its spans. (The SDK would do; but where it is installed, redis-py imports it in every process.)"""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    @contextmanager
    def start_as_current_span(self, name: str, context: Any = None, attributes: Any = None, **_: Any) -> Iterator[Any]:
        parent = trace.get_current_span(context).get_span_context()
        trace_id = parent.trace_id if parent.is_valid else secrets.randbits(127) + 1
        span = Span(name, trace_id, secrets.randbits(63) + 1, parent.span_id, dict(attributes or {}))
        own = trace.SpanContext(trace_id, span.span_id, is_remote=False, trace_flags=trace.TraceFlags(1))
        current = trace.NonRecordingSpan(own)
        try:
            with trace.use_span(current, record_exception=False, set_status_on_exception=False):
                yield current
        except Exception as error:
            span.raised = type(error).__name__
            raise
        finally:
            self.spans.append(span)


class Provider(trace.TracerProvider):
    """Gives everybody the same tracer."""

    def __init__(self) -> None:
        self.memory = Memory()

    def get_tracer(self, *names: Any, **options: Any) -> Any:
        return self.memory


@pytest.fixture(scope="session")
def memory() -> Memory:
    provider = Provider()
    trace.set_tracer_provider(provider)
    return provider.memory


@pytest.fixture
def spans(memory: Memory) -> Any:
    memory.spans.clear()
    return lambda: {span.name: span for span in memory.spans}


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
            assert len({span.trace_id for span in chain}) == 1
            assert [span.parent_id for span in chain[1:]] == [span.span_id for span in chain[:-1]]
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
            assert spans()["Adder.fail"].raised == "ValueError"

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
