"""The servers of these tests say at once why one of them does not start."""

from __future__ import annotations

import time

import pytest

from hubq.store.embedded import EmbeddedServer, find_server, is_served_by
from tests.real_redis import no_real_redis

from . import servers as module
from .servers import Failover


def test_a_server_that_does_not_start_is_not_waited_for() -> None:
    if find_server()[0] is None:
        no_real_redis()
    servers, began = Failover(), time.monotonic()
    with pytest.raises(AssertionError, match=r"(?s)ended with 1: .*no-such-option"):
        servers.start("--no-such-option", "1")
    assert time.monotonic() - began < 10, "not the 20 s of a server that is only slow"
    servers.end()


def test_a_port_that_somebody_else_has_taken_is_not_taken_for_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    if find_server()[0] is None:
        no_real_redis()
    with EmbeddedServer() as other:
        assert not is_served_by(other.port, 1), "another process"
        choose, ports = module.free_port, [other.port]
        monkeypatch.setattr(module, "free_port", lambda: ports.pop() if ports else choose())
        with Failover() as servers:
            assert ports == []
            assert other.port not in (servers.primary_port, servers.replica_port, servers.sentinel_port)
            assert servers.info(servers.primary_port)["connected_slaves"] == 1
