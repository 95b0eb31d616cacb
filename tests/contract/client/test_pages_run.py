"""The Python of the README and of docs/ runs as it stands there, each block by itself: no import and no name is missing."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hubq.store.connection import RedisServer
from hubq.store.keyring import new_keys
from hubq.testing import Cluster

ROOT = Path(__file__).resolve().parents[3]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: ``from app import Room``: the module of the reader, which earlier blocks of the page have written.
OWN = re.compile(r"^from (app|calls|live|orders|rooms|shop|steps|typed) import", re.MULTILINE)
#: Beginnings of blocks that want more than a Redis, and the test that runs them with it. A whole page: "".
ELSEWHERE = {
    ("README.md", ""): "tests/acceptance/test_first_pages.py",
    ("docs/guide-first-steps.md", ""): "tests/acceptance/test_first_pages.py",
    ("docs/guide-testing.md", ""): "tests/acceptance/test_first_pages.py",
    ("docs/guide-coming-from.md", ""): "tests/acceptance/test_first_pages.py",
    ("docs/guide-jobs.md", "from app import hub, send_mail"): "tests/acceptance/test_first_pages.py",
    ("docs/guide-jobs.md", "from app import export"): "tests/acceptance/test_first_pages.py",
    ("docs/guide-jobs.md", "from app import Room, export"): "tests/acceptance/test_first_pages.py",
    ("docs/guide-jobs.md", "import rq"): "tests/acceptance/test_first_pages.py",
    ("docs/guide-typed.md", "from typed"): "tests/contract/client/test_guides.py",
    ("docs/guide-calls.md", "from calls"): "tests/contract/client/test_guides.py",
    ("docs/guide-feeds.md", "from live"): "tests/contract/client/test_guides.py",
    ("docs/guide-effects.md", "from bank"): "tests/contract/client/test_guides.py",
    ("docs/guide-effects.md", "from shop"): "tests/contract/client/test_guides.py",
    ("docs/guide-reminders.md", "from orders"): "tests/contract/client/test_guides.py",
    ("docs/guide-apps.md", "# settings.py"): "tests/acceptance/test_django.py",
    ("docs/guide-apps.md", "# children.py"): "tests/acceptance/test_django.py",
    ("docs/guide-migration.md", 'from hubq import Hub\n\nhub = Hub("chat")\nplace'): "test_a_child_is_moved, below",
}
#: What an example is about, and an environment that is older than it lacks. (CI has them.)
OTHERS = ("sentry_sdk", "structlog")


def pages() -> list[Path]:
    """All documents that have Python in them."""
    return [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if blocks(page)]


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text(encoding="utf-8"))


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def is_run_here(page: Path, block: str) -> bool:
    return not any(name_of(page) == where and block.startswith(begins) for where, begins in ELSEWHERE)


def lacks(block: str) -> list[str]:
    """Modules of others that the block imports, and that are not installed."""
    wanted = [name for name in OTHERS if re.search(rf"^import {name}$", block, re.MULTILINE)]
    return [name for name in wanted if not can_import(name)]


def can_import(name: str) -> bool:
    try:
        __import__(name)
    except ModuleNotFoundError:
        return False
    return True


def hubs_of(module: ModuleType) -> Iterator[Any]:
    from hubq import Hub

    yield from (each for each in vars(module).values() if isinstance(each, Hub))


HERE = [(name_of(page), n) for page in pages() for n, block in enumerate(blocks(page)) if is_run_here(page, block)]


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """What a block does to the records of this process (docs/guide-logs.md) ends with it."""
    before = logging.getLogRecordFactory()
    yield
    logging.setLogRecordFactory(before)


@pytest.mark.parametrize(("page", "number"), HERE)
def test_a_block_runs(real_server: RedisServer, monkeypatch: pytest.MonkeyPatch, page: str, number: int) -> None:
    monkeypatch.setenv("HUBQ_REDIS_URL", real_server.url.removesuffix("/0") + "/15")
    monkeypatch.setenv("HUBQ_KEYS", new_keys())
    before, block = blocks(ROOT / page)[:number], blocks(ROOT / page)[number]
    if (missing := lacks(block)) and not os.environ.get("CI"):
        pytest.skip(f"not installed: {', '.join(missing)}")
    made: list[ModuleType] = []
    if own := OWN.search(block):
        earlier = "\n".join(each for each in before if not OWN.search(each))
        made.append(run(own[1], earlier or 'from hubq import Hub\nhub = Hub("chat")', monkeypatch))
    try:
        made.append(run("block_of_a_page", block, monkeypatch))
    finally:
        for hub in [each for module in made for each in hubs_of(module)]:
            hub.close()


def run(name: str, code: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(compile(code, name, "exec", dont_inherit=True), module.__dict__)
    return module


def test_what_is_run_elsewhere_is_there() -> None:
    for (page, begins), test in ELSEWHERE.items():
        assert any(block.startswith(begins) for block in blocks(ROOT / page)), f"{page} has no block {begins!r}"
        assert "below" in test or (ROOT / test).exists()


@pytest.mark.long_on_fakeredis
def test_a_child_is_moved(server: Any) -> None:
    """docs/guide-migration.md."""
    (block,) = (each for each in blocks(ROOT / "docs/guide-migration.md") if "hub.move(" in each)
    from hubq import Child, Hub

    async def scenario() -> str:
        hub = Hub("chat", redis=server)
        async with Cluster(hub) as cluster:
            await cluster.start("a", "b")
            await hub.aio.start_child("room-1", Child)
            names: dict[str, Any] = {"hub": hub}
            await asyncio.to_thread(exec, block.replace('hub = Hub("chat")\n', ""), names)
            hub.close()
            return str(names["place"].node)

    assert asyncio.run(scenario()) == "b"
