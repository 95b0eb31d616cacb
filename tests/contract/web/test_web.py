"""Feeds for browsers: what goes out, where it begins, when it ends (docs/guide-feeds.md)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

import pytest

from hubq import Child, ConfigError, Hub
from hubq.testing import Cluster, eventually
from hubq.web import sse, websocket


class Room(Child):
    def __init__(self) -> None:
        self.count = 0

    async def post(self, data: Any = None, topic: str = "posts") -> None:
        self.count += 1
        self.publish(topic, self.count if data is None else data)


class Connection:
    """One connection of an ASGI server to an app."""

    def __init__(
        self, app: Any, kind: str = "http", method: str = "GET", last_id: str = "", query: str = "", **scope: Any
    ) -> None:
        headers = [(b"last-event-id", last_id.encode())] if last_id else []
        self.sent: list[Any] = []
        self._incoming: asyncio.Queue[Any] = asyncio.Queue()
        if kind == "websocket":
            self.incoming("websocket.connect")
        full = {"type": kind, "method": method, "headers": headers, "query_string": query.encode(), **scope}
        self.task = asyncio.create_task(app(full, self._incoming.get, self._send))

    def incoming(self, kind: str, **message: Any) -> None:
        self._incoming.put_nowait({"type": kind, **message})

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    @property
    def body(self) -> str:
        return b"".join(message.get("body", b"") for message in self.sent).decode()

    @property
    def numbers(self) -> list[Any]:
        lines = [line.removeprefix("data: ") for line in self.body.splitlines() if line.startswith('data: {"id')]
        return [json.loads(line)["data"] for line in lines]

    async def shows(self, text: str) -> None:
        await eventually(lambda: text in self.body, what=f"{text} in {self.body}")

    async def ends(self) -> None:
        await asyncio.wait_for(self.task, 10)


def with_room(make_hub: Any, scenario: Any) -> None:
    async def whole() -> None:
        hub: Hub = make_hub()
        hub.child(Room)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("r", Room)
            work: Coroutine[Any, Any, None] = scenario(hub, hub.aio.ref("r"))
            await work

    asyncio.run(whole())


def test_server_sent_events_go_on_behind_the_last_one_and_end_with_the_child(make_hub: Any) -> None:
    async def scenario(hub: Hub, ref: Any) -> None:
        for _ in range(3):
            await ref.call("post")
        first = Connection(sse(ref), query="after=0")
        await first.shows('"data":3}')
        start, *_ = first.sent
        assert start["status"] == 200 and dict(start["headers"])[b"content-type"].startswith(b"text/event-stream")
        last = [line for line in first.body.splitlines() if line.startswith("id: ")][-1].removeprefix("id: ")
        first.incoming("http.disconnect")
        await first.ends()
        await ref.call("post")
        second = Connection(sse(ref), last_id=last)
        await second.shows('"data":4}')
        await ref.call("post")
        await hub.aio.stop_child("r")
        await second.ends()
        assert first.numbers == [1, 2, 3] and second.numbers == [4, 5]
        assert "event: posts\n" in second.body and "event: hubq-end\n" in second.body
        assert not second.sent[-1].get("more_body")

    with_room(make_hub, scenario)


def test_comments_go_out_while_nothing_happens_and_topics_are_chosen(make_hub: Any) -> None:
    async def scenario(hub: Hub, ref: Any) -> None:
        connection = Connection(sse(lambda scope: hub.aio.ref(scope["path_params"]["name"]), topics="b", heartbeat=0.02),
                                path_params={"name": "r"})  # fmt: skip
        await eventually(lambda: connection.body.count(":\n\n") > 3, what="comments")
        await ref.call("post", None, "a")
        await ref.call("post", None, "b")
        await connection.shows("event: b")
        assert connection.numbers == [2]
        connection.incoming("http.disconnect")
        await connection.ends()

    with_room(make_hub, scenario)


def test_what_is_no_json_is_said_and_stops_nobody(make_hub: Any) -> None:
    async def scenario(hub: Hub, ref: Any) -> None:
        await ref.call("post", 1j)
        await ref.call("post", "next")
        connection = Connection(sse(ref, after="0"))
        await connection.shows("next")
        assert "its data is no JSON" in connection.body
        connection.incoming("http.disconnect")
        await connection.ends()

    with_room(make_hub, scenario)


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize(("query", "method", "status"), [("after=yesterday", "GET", 400), ("", "POST", 405)])
def test_bad_requests_are_refused(make_hub: Any, query: str, method: str, status: int) -> None:
    async def scenario(hub: Hub, ref: Any) -> None:
        connection = Connection(sse(ref), query=query, method=method)
        await connection.ends()
        assert connection.sent[0]["status"] == status

    with_room(make_hub, scenario)


def test_a_websocket_sends_items_hears_texts_and_closes_with_the_child(make_hub: Any) -> None:
    async def scenario(hub: Hub, ref: Any) -> None:
        async def said(scope: Any, text: str) -> None:
            await ref.call("post", text)

        connection = Connection(websocket(ref, on_text=said), "websocket")
        await eventually(lambda: bool(connection.sent), what="it is accepted")
        connection.incoming("websocket.receive", text="hello")
        await eventually(lambda: len(connection.sent) == 2, what="the post has come")
        await hub.aio.stop_child("r")
        await connection.ends()
        accept, post, end, close = connection.sent
        assert accept["type"] == "websocket.accept" and close == {"type": "websocket.close", "code": 1000}
        assert json.loads(post["text"])["data"] == "hello" and json.loads(end["text"])["end"].endswith("-2")

    with_room(make_hub, scenario)


def test_a_websocket_that_asks_for_nothing_known_is_closed(make_hub: Any) -> None:
    async def scenario(hub: Hub, ref: Any) -> None:
        connection = Connection(websocket(ref), "websocket", query="after=x")
        await connection.ends()
        assert connection.sent[0]["code"] == 1008

    with_room(make_hub, scenario)


def test_a_feed_that_cannot_be_awaited_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"give hub\.aio\.ref"):
        sse(object())  # type: ignore[arg-type]
