"""What cannot be sent is refused before anything is sent, and fails nobody else's request."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest

from hubq import Child, ConfigError, Hub, UnknownMethod, Unreadable
from hubq.client.operations.calls import answer_of
from hubq.config import checked_name
from hubq.testing import Cluster, FakeServer
from hubq.testing.connections import context_of


class Echo(Child):
    """Answers."""

    async def echo(self, value: Any) -> Any:
        return value


@pytest.mark.parametrize("timeout", [sys.float_info.max, 1e17, float("nan"), float("inf"), 0, -1, True, "5"])
def test_a_time_out_that_is_absurd_is_refused(timeout: Any) -> None:
    with pytest.raises(ConfigError, match="give seconds above 0, at most 31536000"):
        Hub("h", redis=FakeServer()).ref("c").call("m", timeout=timeout)


@pytest.mark.parametrize("method", ["\ud800", "a b", "", "x" * 65, "a.b", "\x1b[2J"])
def test_what_is_no_name_of_a_method_is_refused(method: Any) -> None:
    hub = Hub("h", redis=FakeServer())
    with pytest.raises(UnknownMethod, match="child 'c' has no method"):
        hub.ref("c").call(method)
    with pytest.raises(UnknownMethod, match="child 'c' has no method"):
        hub.ref("c").cast(method)


def test_a_bad_call_fails_only_itself() -> None:
    async def scenario() -> list[Any]:
        hub = Hub("h", redis=FakeServer(), shards=2)
        hub.child(Echo)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("c", Echo)
            ref = hub.aio.ref("c")
            calls = [
                ref.call("echo", 1), ref.call("\ud800"), ref.call("echo", 2, timeout=sys.float_info.max), ref.call("echo", 3)
            ]  # fmt: skip
            return await asyncio.gather(*calls, return_exceptions=True)

    one, bad, absurd, three = asyncio.run(scenario())
    assert (one, three) == (1, 3)
    assert isinstance(bad, UnknownMethod)
    assert isinstance(absurd, ConfigError)


def test_a_name_ends_where_it_ends() -> None:
    with pytest.raises(ConfigError):
        checked_name("hub id", "chat\n")


def test_a_result_that_cannot_be_read_says_so() -> None:
    with pytest.raises(Unreadable, match=r"the result of c\.m cannot be read here"):
        answer_of(context_of(Hub("t")), "ok", "a", b"garbage", what="c.m")


def test_metadata_has_a_bound(make_hub: Any) -> None:
    hub: Hub = make_hub()
    with pytest.raises(ConfigError, match=r"metadata of child 'c': 70\d\d\d bytes, the most is 65536"):
        hub.start_child("c", Echo, metadata={"a": "x" * 70_000})
