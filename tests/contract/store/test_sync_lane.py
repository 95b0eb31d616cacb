"""The waiting connection below redis-py's command layer: idle ones that died, silence, interruption, fork, threads."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hubq import RedisUnavailable
from hubq.store.command import Command, plain, run_script
from hubq.store.connection import AsyncRedis, RedisServer, SyncRedis
from hubq.store.embedded import find_server
from hubq.store.keys import Keys
from hubq.testing import FakeServer
from hubq.testing.connections import lanes_idle, lanes_standing, led_elsewhere_before
from tests.tls import tls_redis

KEYS = Keys("sync-lane")


def asked(*args: str | int | bytes) -> Command[Any]:
    return plain(*args, read=lambda answer: answer)


@pytest.fixture
def redis(real_server: RedisServer) -> Iterator[SyncRedis]:
    redis = SyncRedis(real_server)
    yield redis
    redis.close()


@pytest.fixture
def other(real_server: RedisServer) -> Iterator[SyncRedis]:
    other = SyncRedis(real_server)
    yield other
    other.close()


class Scripted:
    """A server that takes one connection after another and lets a function of the test answer each."""

    def __init__(self, *answer: Callable[[socket.socket], None]) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._answer = answer
        self.url = f"redis://127.0.0.1:{self._listening.getsockname()[1]}/0"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def _serve(self) -> None:
        for answer in self._answer:
            connection, _ = self._listening.accept()
            with connection, contextlib.suppress(OSError):
                answer(connection)

    def __enter__(self) -> Scripted:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(5)
        self._listening.close()


def says(answer: bytes) -> Callable[[socket.socket], None]:
    def answers(connection: socket.socket) -> None:
        while connection.recv(4096):
            connection.sendall(answer)

    return answers


def test_one_connection_carries_one_request_after_another(redis: SyncRedis) -> None:
    number = redis.run(asked("CLIENT", "ID"))
    assert redis.run_many([asked("ECHO", n) for n in range(100)]) == [str(n).encode() for n in range(100)]
    assert redis.run(asked("CLIENT", "ID")) == number
    assert redis.run_many([]) == []
    assert redis.repeated == 0


def test_many_megabytes_there_and_back(redis: SyncRedis) -> None:
    big = os.urandom(5 * 1024 * 1024)
    assert redis.run_many([asked("ECHO", big), asked("ECHO", "after")]) == [big, b"after"]


def test_each_request_under_way_has_a_connection_of_its_own(redis: SyncRedis) -> None:
    with ThreadPoolExecutor(8) as pool:

        def work(thread: int) -> None:
            for n in range(100):
                wanted = [f"{thread}-{n}-{k}" for k in range(n % 4 + 1)]
                assert redis.run_many([asked("ECHO", word) for word in wanted]) == [word.encode() for word in wanted]

        list(pool.map(work, range(8)))
    assert len(lanes_standing(redis)) <= 8


def test_a_refusal_is_the_answer_of_its_own_command(redis: SyncRedis) -> None:
    with pytest.raises(RedisUnavailable, match="unknown command"):
        redis.run_many([asked("ECHO", "hi"), asked("NO-SUCH-COMMAND"), asked("ECHO", "ho")])
    assert redis.run(asked("ECHO", "hi")) == b"hi"
    assert len(lanes_standing(redis)) == 1


def test_flushed_scripts_are_loaded_again(redis: SyncRedis) -> None:
    redis.run(asked("SCRIPT", "FLUSH"))
    command = run_script("check_config", [KEYS.config], [4, 1], lambda answer: answer)
    assert [answer[0] for answer in redis.run_many([command, command])] == [b"ok", b"ok"]


def test_a_connection_that_died_while_idle_is_made_anew_before_it_is_used(redis: SyncRedis, other: SyncRedis) -> None:
    number = redis.run(asked("CLIENT", "ID"))
    for _ in range(3):
        other.run(asked("CLIENT", "KILL", "ID", number))
        was, number = number, redis.run(asked("CLIENT", "ID"))  # which is not repeated: it would fail
        assert number != was
    assert redis.repeated == 0
    assert len(lanes_standing(redis)) == 1


def test_a_connection_with_something_left_to_read_is_not_used_again() -> None:
    def answers_twice(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"$4\r\nmine\r\n$5\r\nextra\r\n")
        connection.recv(4096)

    with Scripted(answers_twice, says(b"$5\r\nyours\r\n")) as server:
        redis = SyncRedis(RedisServer(server.url))
        assert [redis.run(asked("GET", "a")), redis.run(asked("GET", "b"))] == [b"mine", b"yours"]
        redis.close()


def test_a_connection_cut_in_the_middle_of_an_answer_is_lost() -> None:
    def cut(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"$4\r\nmi")

    with Scripted(cut, cut, says(b"$4\r\nmine\r\n")) as server:
        redis = SyncRedis(RedisServer(server.url))
        with pytest.raises(RedisUnavailable, match=r"cannot reach Redis .*connection closed by the server"):
            redis.run(asked("GET", "a"))
        assert redis.run(asked("GET", "a"), retry_for=5.0) == b"mine"
        assert redis.repeated == 1
        redis.close()


def test_what_is_no_answer_of_redis_counts_as_a_lost_connection() -> None:
    with Scripted(says(b"HTTP/1.1 400 Bad Request\r\n"), says(b"+PONG\r\n")) as server:
        redis = SyncRedis(RedisServer(server.url))
        with pytest.raises(RedisUnavailable, match="not a Redis answer"):
            redis.run(asked("PING"))
        assert redis.run(asked("PING")) == b"PONG"
        redis.close()


def test_who_is_loading_is_asked_again_on_another_connection() -> None:
    """By then Sentinel may know another primary."""
    with Scripted(says(b"-LOADING Redis is loading the dataset in memory\r\n"), says(b"+PONG\r\n")) as server:
        redis = SyncRedis(RedisServer(server.url))
        assert redis.run(asked("PING"), retry_for=5.0) == b"PONG"
        assert redis.repeated == 1
        redis.close()


def test_silence_closes_the_connection(real_server: RedisServer, other: SyncRedis) -> None:
    redis = SyncRedis(real_server, timeout=0.2)
    assert redis.run(asked("ECHO", "before")) == b"before"
    with pytest.raises(RedisUnavailable, match=r"no answer within 0\.2 s from \S+:\d+\)"):
        redis.run(asked("BLPOP", "sync-lane:nothing", 1))
    assert lanes_standing(redis) == []
    other.run(asked("RPUSH", "sync-lane:nothing", "late"))
    assert redis.run(asked("ECHO", "after")) == b"after", "the late answer is not taken for this one"
    assert len(lanes_standing(redis)) == 1
    redis.close()
    other.run(asked("DEL", "sync-lane:nothing"))


def test_an_interrupted_request_closes_its_connection(redis: SyncRedis, other: SyncRedis) -> None:
    """As Ctrl-C does: an exception out of a signal handler, in the middle of a wait."""
    assert redis.run(asked("ECHO", "before")) == b"before"

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    was = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            redis.run(asked("BLPOP", "sync-lane:empty", 4))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, was)
    assert lanes_standing(redis) == []
    other.run(asked("RPUSH", "sync-lane:empty", "for nobody"))
    assert redis.run(asked("ECHO", "after")) == b"after"
    other.run(asked("DEL", "sync-lane:empty"))


def test_a_forked_child_leaves_its_parents_connections_alone(redis: SyncRedis) -> None:
    number = redis.run(asked("CLIENT", "ID"))
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(writing, str(redis.run(asked("CLIENT", "ID"))).encode())
            redis.close()
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as answer:
        of_child = int(answer.read())
    assert os.waitpid(pid, 0)[1] == 0
    assert of_child != number
    assert redis.run(asked("CLIENT", "ID")) == number, "the child has not closed it either"


def test_a_replica_that_answers_is_left(redis: SyncRedis, other: SyncRedis) -> None:
    number = redis.run(asked("CLIENT", "ID"))
    other.run(asked("REPLICAOF", "127.0.0.1", "1"))
    try:
        with pytest.raises(RedisUnavailable, match="it is a replica"):
            redis.run(asked("SET", "sync-lane:x", 1))
    finally:
        other.run(asked("REPLICAOF", "NO", "ONE"))
    assert redis.run(asked("CLIENT", "ID")) != number


def test_another_address_closes_the_idle_connections_to_the_former_one(redis: SyncRedis) -> None:
    """As after a failover: Sentinel names another primary, and the pool's idle connections lead to the old one."""
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: redis.run(asked("BLPOP", "sync-lane:wait", 0.2)), range(2))
    assert first is second is None
    old, gone = lanes_idle(redis)
    led_elsewhere_before(redis)
    assert redis.run(asked("ECHO", "hi")) == b"hi"
    assert old.lost and gone.lost
    assert len(lanes_standing(redis)) == 1


def test_the_pools_limit_counts_what_stands_not_what_ever_stood(real_server: RedisServer, other: SyncRedis) -> None:
    redis = SyncRedis(RedisServer(f"{real_server.url}?max_connections=1"))
    for _ in range(3):
        other.run(asked("CLIENT", "KILL", "ID", redis.run(asked("CLIENT", "ID"))))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(redis.run, asked("BLPOP", "sync-lane:wait", 0.3))
        time.sleep(0.1)
        with pytest.raises(RedisUnavailable, match="Too many connections"):
            redis.run(asked("PING"))
        assert waiting.result() is None
    redis.close()


def test_redis_pys_health_checks_keep_redis_pys_way(real_server: RedisServer) -> None:
    redis = SyncRedis(RedisServer(f"{real_server.url}?health_check_interval=10"))
    assert redis.run_many([asked("ECHO", "hi"), asked("ECHO", "ho")]) == [b"hi", b"ho"]
    assert lanes_idle(redis) == []
    redis.close()


def test_closed_connections_are_closed_and_the_next_request_makes_new_ones(redis: SyncRedis, other: SyncRedis) -> None:
    number = redis.run(asked("CLIENT", "ID"))
    redis.close()
    assert f"id={number} ".encode() not in other.run(asked("CLIENT", "LIST"))
    assert redis.run(asked("CLIENT", "ID")) != number


def test_fakeredis_keeps_redis_pys_way() -> None:
    redis = SyncRedis(FakeServer())
    assert redis.run_many([asked("ECHO", "hi"), asked("ECHO", "ho")]) == [b"hi", b"ho"]
    assert lanes_idle(redis) == []
    redis.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def started(directory: Path, *options: str) -> subprocess.Popen[bytes]:
    """A Redis of this test's own; skips where there is none that can be told how to listen."""
    binary, kind = find_server()
    if binary is None:
        pytest.skip(f"{kind} listens on one port only")
    quiet = subprocess.DEVNULL
    return subprocess.Popen([binary, "--save", "", "--dir", str(directory), *options], stdout=quiet, stderr=quiet)


def is_one_connection(url: str) -> None:
    """Its answers are those of one connection, which is made anew when it has died."""
    redis = SyncRedis(RedisServer(url))
    try:
        number = redis.run(asked("CLIENT", "ID"), retry_for=10.0)
        assert redis.run_many([asked("ECHO", "x" * 300_000), asked("ECHO", "hi")]) == [b"x" * 300_000, b"hi"]
        assert redis.run(asked("CLIENT", "ID")) == number
        other = SyncRedis(RedisServer(url))
        other.run(asked("CLIENT", "KILL", "ID", number))
        other.close()
        assert redis.run(asked("CLIENT", "ID")) != number
    finally:
        redis.close()


def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    process = started(tmp_path, "--port", "0", "--unixsocket", path)
    try:
        is_one_connection(f"unix://{path}?db=0")
    finally:
        process.terminate()
        process.wait()


def test_tls(tmp_path: Path) -> None:
    with tls_redis(tmp_path) as url:
        for _ in range(20):  # the session tickets of TLS 1.3 come at a moment of their own
            redis = SyncRedis(RedisServer(url))
            assert redis.run(asked("ECHO", "hi")) == b"hi"
            redis.close()
        elsewhere = RedisServer(url.replace("127.0.0.1", "localhost"))  # (the certificate is for the address)
        with pytest.raises(RedisUnavailable, match="mismatch"):
            SyncRedis(elsewhere).run(asked("PING"))

        async def ask() -> None:
            await AsyncRedis(elsewhere).run(asked("PING"))

        with pytest.raises(RedisUnavailable, match="mismatch"):
            asyncio.run(ask())
        is_one_connection(url)
