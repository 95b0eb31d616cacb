"""OpenTelemetry: the context of a trace goes with a message from its caller through the child and its own calls.

An extra (``pip install 'hubq[tracing]'``), on with ``Hub(..., tracing=True)`` in the app and in the workers. The context
travels in front of the payload; a worker that does not trace passes over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from hubq.errors import ConfigError

#: The tag of a payload with a trace in front: ``t``, a line of JSON, then the payload proper.
TRACED = b"t"


class Tracing:
    """Makes the spans of one hub. Raises :class:`~hubq.errors.ConfigError` if OpenTelemetry is not installed."""

    def __init__(self, hub_id: str) -> None:
        try:
            from opentelemetry import propagate, trace
        except ImportError as missing:
            raise ConfigError(f"tracing=True needs {missing.name}: pip install 'hubq[tracing]'") from None
        self._hub_id = hub_id
        self._trace = trace
        self._propagate = propagate
        self._tracer = trace.get_tracer("hubq")

    @contextmanager
    def sending(self, kind: str, child_id: str, method: str) -> Iterator[Callable[[bytes], bytes]]:
        """A span around a call or cast; what it yields puts the context in front of a payload."""
        kinds = self._trace.SpanKind
        attributes = self._attributes(child_id, method)
        with self._tracer.start_as_current_span(
            f"{kind} {method}", kind=kinds.CLIENT if kind == "call" else kinds.PRODUCER, attributes=attributes
        ):
            carrier: dict[str, str] = {}
            self._propagate.inject(carrier)
            yield lambda payload: TRACED + msgspec.json.encode(carrier) + b"\n" + payload

    def handled(
        self,
        method: Callable[..., Any],
        is_async: bool,
        kind: type,
        child_id: str,
        node: str,
        name: str,
        payload: bytes,
    ) -> Callable[..., Any]:
        """A method that does the same inside a span, as the continuation of its sender's trace."""

        @contextmanager
        def span() -> Iterator[None]:
            context = self._propagate.extract(carried(payload))
            attributes = {**self._attributes(child_id, name), "hubq.node": node}
            with self._tracer.start_as_current_span(
                f"{kind.__name__}.{name}", context=context, kind=self._trace.SpanKind.SERVER, attributes=attributes
            ):
                yield

        async def run_async(*args: Any, **kwargs: Any) -> Any:
            with span():
                return await method(*args, **kwargs)

        def run(*args: Any, **kwargs: Any) -> Any:
            with span():
                return method(*args, **kwargs)

        return run_async if is_async else run

    def _attributes(self, child_id: str, method: str) -> dict[str, str]:
        return {
            "messaging.system": "hubq", "messaging.destination.name": child_id, "hubq.hub": self._hub_id,
            "hubq.child": child_id, "hubq.method": method,
        }  # fmt: skip


def carried(payload: bytes) -> dict[str, str]:
    """The trace context in front of a payload; empty if there is none.

    >>> carried(b't{"traceparent":"00-1-2-01"}\\np...'), carried(b"p...")
    ({'traceparent': '00-1-2-01'}, {})
    """
    if payload[:1] != TRACED:
        return {}
    context: dict[str, str] = msgspec.json.decode(payload[1 : payload.index(b"\n")], type=dict[str, str])
    return context
