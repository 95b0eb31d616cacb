"""What all tests share: the servers (fakeredis, and a real one), the marks, and the turn of those that want to be alone."""

from __future__ import annotations

import fcntl
import gc
import itertools
import os
import signal
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from hubq import Hub
from hubq.cli.heap import YOUNG
from hubq.store.connection import RedisServer
from hubq.store.embedded import EmbeddedServer
from hubq.testing import FakeServer
from tests.real_redis import no_real_redis

_numbers = itertools.count()

# A loaded machine is slow: no test says anything about how long an example takes.
settings.register_profile("hubq", deadline=None)
settings.load_profile("hubq")

#: Beginnings of paths: tests that say the same whichever Redis server answers. What real processes, web frameworks and plans
#: ask of it, tests/contract and the rest of tests/cluster ask each server.
WITHOUT_SERVER = ("unit", "simulation", "contrib", "parity", "contract/web", "cluster/planning", "chaos/test_chaos.py")
#: Beginnings of paths: what several nodes do with shards, members and copies, and a move to other groups, says the same on fakeredis,
#: which is slower. What users meet when they test on it - children, jobs - is tested there by tests/contract and the rest of tests/cluster.
NOT_ON_FAKEREDIS = (
    "cluster/arrivals", "cluster/copies", "cluster/departures", "cluster/mailbox", "cluster/membership", "cluster/planning",
    "contract/client/test_regroup.py",
)  # fmt: skip
#: Beginnings of paths: those of their long tests, and of what is long on fakeredis, that .ci/run leaves out on a slow machine.
SPARE = ("acceptance/test_benchmarks.py", "parity", "simulation/test_noticed.py")
#: The tests of real processes that do depend on it: its users and their rights, what is read of its settings, what RQ asks of it.
PROCESSES_ON_EACH_SERVER = {
    "test_acl.py",
    "test_doctor.py",
    "test_hot_swap.py",
    "test_job_processes.py",
    "test_keys_page.py",
}


def pytest_configure() -> None:
    """What a shell starts in the background ignores SIGINT, as do all processes that it starts: those that tests end by Ctrl-C, too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what says nothing on fakeredis, mark what depends on the Redis server at hand and what is long, and put those last that
    want to be alone.
    """
    left_out = {item for item in items if on_fakeredis(item) and place(item).startswith(NOT_ON_FAKEREDIS)}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        if depends_on_server(item):
            item.add_marker("server")
        if on_fakeredis(item) and is_long_there(item):
            item.add_marker("long")
        if item.get_closest_marker("long") and (on_fakeredis(item) or place(item).startswith(SPARE)):
            item.add_marker("spare")
    items.sort(key=wants_to_be_alone)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Thousands of tests are objects that live as long as the run. Each full collection of garbage would walk through all of them, while
    the loop of a node under test stands still.

    So there is none while they are made, and they are frozen then. Young objects are looked through as rarely as in a worker
    (``hubq/cli/heap.py``).
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG, 10, 10)
        gc.enable()


def depends_on_server(item: pytest.Item) -> bool:
    """Whether it may end otherwise on another Redis server."""
    if place(item).startswith(WITHOUT_SERVER) or on_fakeredis(item):
        return False
    return not place(item).startswith("acceptance/") or item.path.name in PROCESSES_ON_EACH_SERVER


def place(item: pytest.Item) -> str:
    """Its file, below tests/."""
    return item.path.relative_to(Path(__file__).parent).as_posix()


def on_fakeredis(item: pytest.Item) -> bool:
    """Whether this is the half on fakeredis of a test that runs on both."""
    call = getattr(item, "callspec", None)
    return call is not None and call.params.get("server") == "fakeredis"


def is_long_there(item: pytest.Item) -> bool:
    """Whether the half on fakeredis, which is slower than a real server, is long: all with several nodes, and what is marked."""
    return place(item).startswith("cluster/") or item.get_closest_marker("long_on_fakeredis") is not None


def wants_to_be_alone(item: pytest.Item) -> bool:
    """Whether it measures time, or needs the whole machine."""
    return item.get_closest_marker("alone") is not None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Side by side, those that want to be alone wait until no other test runs; all others wait for them.

    This is the outermost wrapper: waiting counts for no time-out.
    """
    turns = getattr(item.config, "workerinput", {}).get("turns")
    if turns is None:  # one after the other
        return (yield)
    with open(turns, "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX if wants_to_be_alone(item) else fcntl.LOCK_SH)
        return (yield)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_configure_node(node: Any) -> None:
    """Tell a process of the run which file they all lock in turn."""
    node.workerinput["turns"] = str(turns_of_run())


def pytest_sessionfinish() -> None:
    """The process that started the others removes their file."""
    turns_of_run().unlink(missing_ok=True)


def turns_of_run() -> Path:
    """The file of a run: it has the name of the process that starts the others."""
    return Path(tempfile.gettempdir(), f"hubq-tests-{os.getpid()}.lock")


@pytest.fixture(scope="session")
def real_server() -> Iterator[RedisServer]:
    """A real Redis. CI must have one."""
    with EmbeddedServer() as embedded:
        if embedded.kind == "fakeredis":
            no_real_redis()
        yield RedisServer(embedded.url)


@pytest.fixture(params=["fakeredis", "redis"])
def server(request: pytest.FixtureRequest) -> Any:
    """Every test that asks for this runs on fakeredis and on a real Redis."""
    return FakeServer() if request.param == "fakeredis" else request.getfixturevalue("real_server")


@pytest.fixture
def make_hub(server: Any) -> Any:
    """Makes hubs with names of their own, with times short enough for tests."""

    def make(**settings: Any) -> Hub:
        settings = {"lease": 2.0, "lease_margin": 0.4, "heartbeat": 0.1, **settings}
        return Hub(f"t{os.getpid()}-{next(_numbers)}", redis=server, **settings)

    return make
