"""``hubq worker --metrics-port``: metrics for Prometheus, and health for Kubernetes, from a thread of their own."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from hubq.core.shown import shown
from hubq.errors import ConfigError, HubqError
from hubq.node.node import Node
from hubq.node.runtime.counters import BOUNDS, Seconds

try:
    from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
    from prometheus_client.exposition import make_wsgi_app
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
    from prometheus_client.registry import Collector
except ImportError as missing:
    raise ConfigError(f"--metrics-port needs {missing.name}: pip install 'hubq[metrics]'") from None

log = logging.getLogger("hubq.worker")

#: A worker ends itself when its loop has stood still for ``stall_limit``, and counts what did it. Whoever asks after its health
#: restarts it only if it has not ended so much later, seconds.
BEFORE_A_RESTART = 5.0
#: The most connections that are served at the same time: each takes a thread.
MOST_CONNECTIONS = 32

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class NodeCollector(Collector):
    """Reads a node's counters when asked for them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._labels = {"hub": node.hub.hub_id, "node": node.name}

    def collect(self) -> Iterable[Metric]:
        """All metrics of docs/metrics.md, as of now."""
        node = self._node
        vitals, counters = node.pulse.vitals, node.counters
        yield self._counter("hubq_messages", "Messages handled", vitals.handled)
        yield self._failures()
        yield self._retries()
        yield self._histogram("hubq_handler_seconds", "Time in handlers", counters.handler_seconds)
        yield self._gauge("hubq_queue_messages", "Messages read and not yet handled", vitals.queued)
        yield self._gauge(
            "hubq_mailbox_messages", "Messages waiting in Redis for this node's shards", sum(vitals.mailboxes.values())
        )
        yield self._each(GaugeMetricFamily, "hubq_children", "Children on this node", "life", node.pulse.lives)
        yield self._gauge("hubq_dormant_children", "Dormant children of this node's shards", vitals.dormant)
        turns = {"rested": counters.rested, "woken": counters.woken, "expired": counters.expired}
        yield self._each(CounterMetricFamily, "hubq_dormancies", "Children that rested, woke, expired", "turn", turns)
        yield self._gauge("hubq_shards", "Shards this node owns", vitals.shards)
        yield self._gauge("hubq_pins", "Children owned apart from their shard", vitals.pins)
        yield self._gauge("hubq_shards_moving", "Shards on their way to another node", len(vitals.moving))
        yield self._counter("hubq_commits", "Commits of shards", vitals.commits)
        yield self._histogram("hubq_commit_seconds", "Round trips of commits", counters.commit_seconds)
        directions = {"in": vitals.moved_in, "out": vitals.moved_out}
        yield self._each(CounterMetricFamily, "hubq_migrations", "Shards and pins handed over", "direction", directions)
        yield self._histogram("hubq_pause_seconds", "Pause of each child that came here", counters.pauses)
        yield self._counter("hubq_takeovers", "Shards taken over without a handover", vitals.taken_over)
        yield self._gauge("hubq_dead_letters", "Dead letters of the shards of this node", vitals.dead)
        yield self._gauge("hubq_jobs_waiting", "Jobs of children that are not in RQ yet", vitals.jobs_waiting)
        yield self._counter("hubq_leases_lost", "Leases that may have run out", counters.leases_lost)
        yield self._counter("hubq_unsealed", "Seals that were refused", counters.unsealed)
        yield self._counter("hubq_malformed", "Things in Redis that could not be read", counters.malformed)
        yield self._gauge("hubq_lease_seconds", "What is left of the lease", vitals.lease_left)
        yield self._gauge("hubq_loop_lag_seconds", "Longest wait of a timer lately", vitals.lag)
        yield self._gauge("hubq_loop_blocked_seconds", "How long the loop stands still by now", counters.blocked_for)
        yield self._counter("hubq_loop_blocked", "Times the loop stood still for over a second", counters.loops_blocked)
        yield self._gauge("hubq_ready", "Whether the node serves all that it should", int(vitals.ready))

    def _failures(self) -> Metric:
        failures = self._node.counters.failures  # (copied: this is another thread)
        return self._by(
            "hubq_messages_failed", "Messages that failed", ("class", "method", "why"), list(failures.items())
        )

    def _retries(self) -> Metric:
        retries = self._node.counters.retries
        return self._by(
            "hubq_messages_retried", "Tries of messages after the first", ("class", "method"), list(retries.items())
        )

    def _by(self, name: str, what: str, labels: Sequence[str], counts: Iterable[tuple[tuple[str, ...], int]]) -> Metric:
        metric: Metric = CounterMetricFamily(name, what, labels=[*self._labels, *labels])
        for kind, count in counts:
            metric.add_metric([*self._labels.values(), *kind], count)  # type: ignore[attr-defined]
        return metric

    def _gauge(self, name: str, what: str, value: float) -> Metric:
        return self._each(GaugeMetricFamily, name, what, "", {"": value})

    def _counter(self, name: str, what: str, value: float) -> Metric:
        return self._each(CounterMetricFamily, name, what, "", {"": value})

    def _each(self, family: type[Any], name: str, what: str, label: str, values: dict[str, Any]) -> Metric:
        metric: Metric = family(name, what, labels=[*self._labels, label] if label else list(self._labels))
        for value, number in values.items():
            metric.add_metric(  # type: ignore[attr-defined]
                [*self._labels.values(), value] if label else list(self._labels.values()), number
            )
        return metric

    def _histogram(self, name: str, what: str, seconds: Seconds) -> Metric:
        metric = HistogramMetricFamily(name, what, labels=list(self._labels))
        below, buckets = 0, []
        for bound, count in zip([*map(str, BOUNDS), "+Inf"], seconds.buckets, strict=True):
            below += count
            buckets.append((bound, below))
        metric.add_metric(list(self._labels.values()), buckets, seconds.total)
        return metric


class Pages:
    """The HTTP server of a node's pages."""

    def __init__(self, node: Node, host: str, port: int) -> None:
        self._node = node
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)
        self._metrics = make_wsgi_app(self._registry)
        try:
            self._server = make_server(host, port, self.page, _Server, _Quiet)
        except OSError as error:
            raise HubqError(
                f"cannot serve metrics at {host}:{port} ({error.strerror}): give another --metrics-port"
            ) from None
        self.host, self.port = host, self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="hubq-pages", daemon=True)

    def start(self) -> None:
        """Serve, in a thread. The node must have started."""
        self._registry.register(NodeCollector(self._node))
        self._thread.start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def page(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """The WSGI application: ``/metrics``, ``/healthz``, ``/readyz``."""
        match environ["PATH_INFO"]:
            case "/metrics":
                body: Iterable[bytes] = self._metrics(environ, start_response)
                return body
            case "/healthz":
                stood, limit = time.monotonic() - self._node.pulse.turned_at, self._node.hub.config.stall_limit
                good = not limit or stood <= limit + BEFORE_A_RESTART
                said = "ok" if good else f"the event loop has stood still for {stood:.1f} s"
            case "/readyz":
                stood = time.monotonic() - self._node.pulse.turned_at
                unready = self._node.pulse.vitals.unready
                if not unready and stood >= self._node.hub.config.lease:
                    unready = f"the event loop has stood still for {stood:.1f} s"
                good = not unready
                said = shown(unready) or "ok"
            case _:
                start_response("404 Not Found", [("Content-Type", "text/plain")])
                return [b"/metrics, /healthz or /readyz\n"]
        start_response("200 OK" if good else "503 Service Unavailable", [("Content-Type", "text/plain")])
        return [said.encode() + b"\n"]


class _Server(ThreadingMixIn, WSGIServer):
    """A thread for each connection, of which there are a few: for one more, the oldest is closed.

    A probe is answered at once. So the oldest is one that says nothing, or too slowly.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *args: Any) -> None:
        self._open: dict[socket.socket, None] = {}
        self._lock = threading.Lock()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin to serve a connection."""
        with self._lock:
            oldest = next(iter(self._open)) if len(self._open) >= MOST_CONNECTIONS else None
            if oldest is not None:
                del self._open[oldest]
                with contextlib.suppress(OSError):
                    oldest.shutdown(socket.SHUT_RDWR)  # its thread reads the end, and ends
            self._open[request] = None
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """End a connection."""
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Somebody who is too slow, or gone, is no news."""
        if not isinstance(sys.exception(), OSError):
            log.warning("a request to the metrics port failed", exc_info=True)


class _Quiet(WSGIRequestHandler):
    #: How long a read or a write may take, seconds. (It speaks HTTP/1.0: one request for each connection.)
    timeout = 5.0

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape every few seconds is no news."""
