"""The web apps of ``examples/``: short, and tidy when a child does not answer. (Over HTTP: tests/acceptance.)"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from examples import chat_fastapi
from hubq import CallTimeout, Hub
from hubq.testing import FakeServer

EXAMPLES = sorted((Path(__file__).parents[3] / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_has_at_most_120_lines_but_for_the_shop(path: Path) -> None:
    most = 160 if path.name == "shop.py" else 120
    assert len(path.read_text(encoding="utf-8").splitlines()) <= most


class Silent:
    """A hub whose rooms take no posts; and a socket that has one to send."""

    def __init__(self) -> None:
        self.aio = self
        self.said: list[str] = []
        self.sent: list[Any] = []
        self.heard = [{"type": "websocket.connect"}, {"type": "websocket.receive", "text": "hello"}]
        self.scope = {"type": "websocket", "path_params": {"name": "redis"}, "query_string": b"who=ann"}
        self.feed = Hub("rooms", redis=FakeServer()).aio.ref("redis").feed

    def ref(self, name: str) -> Silent:
        return self

    async def start_child(self, name: str, kind: Any) -> None: ...

    async def call(self, method: str, *args: Any, timeout: float) -> list[Any]:
        if method == "post":
            raise CallTimeout("no answer")
        return []

    async def cast(self, method: str, who: str) -> None:
        self.said.append(f"{who}: {method}")

    async def receive(self) -> Any:
        return self.heard.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)


def test_a_socket_whose_room_does_not_answer_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    silent: Any = Silent()
    monkeypatch.setattr(chat_fastapi, "hub", silent)

    async def scenario() -> None:
        with pytest.raises(CallTimeout):
            await chat_fastapi.room(silent, "redis", "ann")
        assert silent.said == ["ann: leave"]

    asyncio.run(scenario())
