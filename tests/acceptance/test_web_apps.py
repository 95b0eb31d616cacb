"""The web-app examples over real HTTP, under gunicorn (prefork) and uvicorn, while all workers are replaced."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import websockets

from hubq import Hub

from .browser import Browser, chromium
from .sites import Site, customers, replaced, sites, workers
from .waiting import soon

if TYPE_CHECKING:
    from conftest import Shell

    from hubq.store.embedded import EmbeddedServer

pytestmark = [pytest.mark.acceptance, pytest.mark.long]

__all__ = ["sites"]  # a fixture


def test_no_request_to_flask_under_gunicorn_fails_in_a_deploy(
    shell: Shell, redis_server: EmbeddedServer, sites: list[Site]
) -> None:
    app = "examples.carts_flask:hub"
    old = workers(shell, app, "a", "b")
    site = Site(shell, "gunicorn", "--workers", "2", "--bind", "127.0.0.1:{port}", "examples.carts_flask:app")
    sites.append(site)
    assert site.request("GET", "/carts/nobody")[0] == 404
    assert site.request("POST", "/carts/x/items", {"item": "tea", "count": -1})[0] == 409
    counts, bad = [0] * 4, list[tuple[int, Any]]()

    def order(n: int) -> None:
        status, items = site.request("POST", f"/carts/c{n}/items", {"item": "tea"})
        counts[n] += 1
        if status != 200 or items != {"tea": counts[n]}:
            bad.append((status, items))

    with customers(4, order):
        replaced(shell, app, old)
    assert bad == []
    assert min(counts) > 10
    assert [site.request("GET", f"/carts/c{n}") for n in range(4)] == [(200, {"tea": count}) for count in counts]


def test_a_chat_over_websockets_loses_no_post_in_a_deploy(
    shell: Shell, redis_server: EmbeddedServer, sites: list[Site]
) -> None:
    app = "workers.chat:hub"
    old = workers(shell, app, "a", "b")
    site = Site(shell, "uvicorn", "--port", "{port}", "--log-level", "warning", "examples.chat_fastapi:app")
    sites.append(site)
    room = f"room-{shell.hub_id}"
    url = f"ws://127.0.0.1:{site.port}/rooms/{room}?who="

    async def scenario() -> tuple[int, list[str]]:
        async with websockets.connect(url + "ann") as ann, websockets.connect(url + "bob") as bob:
            deploy = asyncio.create_task(asyncio.to_thread(replaced, shell, app, old))
            sent, heard = 0, list[str]()

            async def say(text: str) -> None:
                await ann.send(text)
                while json.loads(await ann.recv())["data"]["text"] != text:
                    pass  # she goes on when she has heard herself

            async def talk() -> None:
                nonlocal sent
                while not deploy.done() or sent < 30:
                    await say(f"post {sent}")
                    sent += 1
                await say("bye")

            async def listen() -> None:
                while (post := json.loads(await bob.recv())["data"])["text"] != "bye":
                    if post["who"] == "ann":
                        heard.append(post["text"])

            async with asyncio.timeout(100):
                await asyncio.gather(talk(), listen())
            await deploy
            return sent, heard

    sent, heard = asyncio.run(scenario())
    assert heard == [f"post {n}" for n in range(sent)]
    status, posts = site.request("GET", f"/rooms/{room}/posts")
    assert status == 200
    kept = [post["text"] for post in posts if post["who"] == "ann"]
    assert kept == [*heard, "bye"][-len(kept) :] and len(kept) >= min(sent, 190)  # a room keeps 200 posts
    hub = Hub("rooms", redis=redis_server.url)
    assert {node.name for node in hub.nodes()} == {"new-0", "new-1"}
    hub.close()


def test_a_page_in_a_browser_shows_each_post_once_through_a_move_and_a_kill(
    shell: Shell, redis_server: EmbeddedServer, sites: list[Site], tmp_path: Path
) -> None:
    path = chromium()
    if path is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    app = "workers.chat:hub"
    (first,) = workers(shell, app, "a")
    site = Site(shell, "uvicorn", "--port", "{port}", "--log-level", "warning", "examples.chat_fastapi:app")
    sites.append(site)
    room = f"page-{shell.hub_id}"
    browser = Browser(path, tmp_path / "profile", f"http://127.0.0.1:{site.port}/?room={room}&who=ann")
    number = 0

    def say(count: int) -> None:
        nonlocal number
        for _ in range(count):
            number += 1
            assert site.request("POST", f"/rooms/{room}/posts", {"who": "ann", "text": f"post {number}"}) == (
                200,
                number,
            )

    try:
        soon(lambda: browser.run("document.getElementById('state')?.textContent") == "live", "the page is live")
        say(10)
        (second,) = workers(shell, app, "b")
        first.signal(signal.SIGTERM)  # a move, while it posts
        say(20)
        assert first.wait() == 0
        workers(shell, app, "c")
        second.signal(signal.SIGKILL)
        say(10)
        browser.run("document.getElementById('text').value = 'by hand'; document.querySelector('button').click()")
        wanted = [*(f"{n} ann: post {n}" for n in range(1, number + 1)), f"{number + 1} ann: by hand"]
        shown = "[...document.querySelectorAll('#posts li')].map(post => post.textContent)"
        soon(lambda: len(browser.run(shown)) >= len(wanted), "the page has all posts")
        assert browser.run(shown) == wanted
    finally:
        browser.close()
