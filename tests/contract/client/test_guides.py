"""The guides of the client are followed: their modules are imported, their code is run, and prints what it says."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hubq.testing import Cluster

DOCS = Path(__file__).resolve().parents[3] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    ("page", "name", "printed"),
    [
        ("guide-typed.md", "typed", "1\n3\n"),
        ("guide-calls.md", "calls", "0\nTrue\n5\n5\n"),
        ("guide-feeds.md", "live", "posts hi\nposts hello\n"),
    ],
)
def test_a_guide(server: Any, monkeypatch: pytest.MonkeyPatch, page: str, name: str, printed: str) -> None:
    first, *others = BLOCK.findall((DOCS / page).read_text(encoding="utf-8"))
    module: Any = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)
    exec(first, module.__dict__)
    module.hub.connect_to(server)

    async def scenario() -> str:
        async with Cluster(module.hub) as cluster:
            await cluster.start("a")
            said = io.StringIO()
            with contextlib.redirect_stdout(said):
                for block in others:
                    await asyncio.to_thread(exec, block, {})
            module.hub.close()
            return said.getvalue()

    assert asyncio.run(scenario()) == printed
