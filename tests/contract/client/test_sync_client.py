"""The waiting half of the hub: threads, fork, lost connections, bad input."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from hubq import CallTimeout, ConfigError, Hub, HubqError, NameTaken, RedisUnavailable
from hubq.node.node import Node
from hubq.store.command import Command
from hubq.store.connection import RedisServer
from hubq.testing import LedgerChild, connections, end_tasks


@contextmanager
def serving(hub: Hub, name: str = "a") -> Iterator[Node]:
    """A node in an event loop of its own thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    node = Node(hub, name)
    try:
        asyncio.run_coroutine_threadsafe(node.start(), loop).result(10)
        yield node
    finally:
        asyncio.run_coroutine_threadsafe(node.drain(10), loop).result(20)
        asyncio.run_coroutine_threadsafe(end_tasks(asyncio.all_tasks(loop)), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def test_start_call_cast_list_stop(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=4)
    with serving(hub):
        result = hub.start_child("one", LedgerChild).result(10)
        assert (result.status, result.first, result.node) == ("ok", "one", "a")
        assert hub.ref("one").call("record", "s", 1) == 1
        hub.ref("one").cast("record", "s", 2)
        assert hub.ref("one").call("entries") == {"s": [1, 2]}
        assert [(node.name, node.status, node.shards) for node in hub.nodes()] == [("a", "up", 4)]
        assert [(child.child_id, child.kind) for child in hub.children()] == [("one", "LedgerChild")]
        assert hub.where("one").node == "a"
        assert hub.stop_child("one").cids == ["one"]
        assert hub.children() == []
    assert hub.nodes() == []
    hub.close()


@pytest.mark.long_on_fakeredis
def test_many_threads_share_a_hub(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=4)
    with serving(hub), ThreadPoolExecutor(8) as pool:
        for n in range(4):
            hub.start_child(f"c{n}", LedgerChild).result(10)

        def work(worker: int) -> None:
            for number in range(1, 31):
                hub.ref(f"c{number % 4}").call("record", f"w{worker}", number)

        list(pool.map(work, range(8)))
        for n in range(4):
            expected = [number for number in range(1, 31) if number % 4 == n]
            assert hub.ref(f"c{n}").call("entries") == {f"w{worker}": expected for worker in range(8)}
    hub.close()


def test_a_future_may_be_awaited_in_another_thread(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=2)
    future = hub.start_child("late", LedgerChild)
    with serving(hub), ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: future.result(10).started).result(15) == {"late": "a"}
    hub.close()


def test_a_hub_survives_fork(real_server: RedisServer) -> None:
    """As gunicorn does with preload: the parent has used the hub before."""
    hub = Hub(f"fork-{os.getpid()}", redis=real_server, shards=2)
    future = hub.start_child("one", LedgerChild)
    pids = []
    for worker in range(3):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                for number in range(1, 21):
                    hub.ref("one").cast("record", f"w{worker}", number)
                status = 0
            finally:
                os._exit(status)
        pids.append(pid)
    for number in range(1, 21):
        hub.ref("one").cast("record", "parent", number)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
    with serving(hub):
        future.result(10)
        entries = hub.ref("one").call("entries")
    assert entries == {name: list(range(1, 21)) for name in ("w0", "w1", "w2", "parent")}
    hub.close()


def test_a_send_whose_answer_was_lost_is_not_applied_twice(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=2)
    hub.start_child("one", LedgerChild)
    redis = connections.connection_of(hub)
    lost: list[Any] = []

    def lose_the_answer(heard: Any, commands: Sequence[Command[Any]], answers: list[Any]) -> None:
        if heard is redis and commands[0].args[0] == "EVALSHA" and len(lost) < 3:
            lost.extend(answers)
            raise ConnectionError("the answer was lost")

    with connections.after_each_answer(lose_the_answer):
        for number in range(1, 6):
            hub.ref("one").cast("record", "s", number)
    assert lost == [[], [b"duplicate"], [b"duplicate"]]
    with serving(hub):
        assert hub.ref("one").call("entries", timeout=10) == {"s": [1, 2, 3, 4, 5]}
    hub.close()


def test_redis_that_is_not_there() -> None:
    hub = Hub("nowhere", redis="redis://127.0.0.1:1/0")
    with pytest.raises(
        RedisUnavailable, match=r"cannot reach Redis at redis://127.0.0.1:1/0 .*set HUBQ_REDIS_URL"
    ) as refused:
        hub.nodes()
    told: list[BaseException] = [refused.value]
    while following := told[-1].__cause__ or told[-1].__context__:
        told.append(following)
    assert isinstance(told[-1], OSError), "the traceback begins with what has failed"
    with pytest.raises(RedisUnavailable):
        asyncio.run(hub.aio.nodes())
    with pytest.raises(RedisUnavailable):
        asyncio.run(Node(hub, "a").start())
    with pytest.raises(ConfigError, match="must begin with redis://"):
        Hub("x", redis="http://localhost")


def test_a_hub_reopened_with_another_shard_count(make_hub: Any, server: Any) -> None:
    hub: Hub = make_hub(shards=4)
    assert hub.nodes() == []
    other = Hub(hub.hub_id, redis=server, shards=8)
    for use in (other.nodes, lambda: asyncio.run(other.aio.nodes()), lambda: asyncio.run(Node(other, "a").start())):
        with pytest.raises(ConfigError, match=r"was created with shards=4 .* not shards=8"):
            use()
    hub.close()


def test_two_nodes_with_one_name(make_hub: Any) -> None:
    hub: Hub = make_hub(shards=4)
    with serving(hub), pytest.raises(NameTaken, match="has the name 'a' already"):
        asyncio.run(Node(hub, "a").start())
    hub.close()


def test_bad_names_and_settings(make_hub: Any) -> None:
    for name in ("", "a b", "x" * 65, "{a}", 7):
        with pytest.raises(ConfigError, match="is not a name"):
            Hub(name)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="did you mean 'lease'"):
        Hub("x", leese=3)
    with pytest.raises(ConfigError, match="too short for lease_margin"):
        Hub("x", lease=1.0)
    hub: Hub = make_hub()
    with pytest.raises(HubqError, match="no node 'b'"):
        hub.drain("b")
    with pytest.raises(CallTimeout, match=r"did not start within 0\.05 s"):
        hub.start_child("x", LedgerChild).result(0.05)
    hub.close()


def test_a_fork_inside_the_first_connection_of_another_thread_leaves_the_hub_usable(real_server: RedisServer) -> None:
    """As gunicorn does with preload, while a thread of the app warms up."""
    connecting, forked = threading.Event(), threading.Event()

    class Slow(RedisServer):
        def sync_client(self, timeout: float) -> Any:
            if threading.current_thread() is not threading.main_thread():
                connecting.set()
                assert forked.wait(20)
            return super().sync_client(timeout)

    hub = Hub(f"fork-inside-{os.getpid()}", redis=Slow(real_server.url), shards=2)
    with ThreadPoolExecutor(1) as pool:
        warm = pool.submit(hub.nodes)
        assert connecting.wait(20)  # it holds the hub's lock
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                signal.alarm(15)  # what hangs ends, too
                hub.start_child("one", LedgerChild)
                hub.ref("one").cast("record", "forked", 1)
                status = 0
            finally:
                os._exit(status)
        status = os.waitpid(pid, 0)[1]
        forked.set()
        assert warm.result(20) == []
    assert status == 0
    with serving(hub):
        assert hub.ref("one").call("entries") == {"forked": [1]}
    hub.close()
