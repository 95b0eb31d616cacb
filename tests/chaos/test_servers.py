"""The servers of these tests say at once why one of them does not start."""

from __future__ import annotations

import time

import pytest

from hubq.store.embedded import find_server, free_port
from tests.real_redis import no_real_redis

from .servers import Failover


def test_a_server_that_does_not_start_is_not_waited_for() -> None:
    if find_server()[0] is None:
        no_real_redis()
    servers, began = Failover(), time.monotonic()
    with pytest.raises(AssertionError, match=r"(?s)ended with 1: .*no-such-option"):
        servers.start(free_port(), "--no-such-option", "1")
    assert time.monotonic() - began < 10, "not the 20 s of a server that is only slow"
    servers.end()
