"""A polite crawler, one child per host: ``hubq worker workers.crawler:hub``.

Each host's child fetches its pages one after another, in the order found, with a pause between, wherever it runs. What it
still has to fetch is its state, so a deploy costs at most the page in hand, which is fetched again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import urllib.error
import urllib.request
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

from hubq import AlreadyStarted, Child, Hub

hub = Hub("crawler")

#: Seconds one page may take, and the most that is read of it, bytes.
PATIENCE, MOST = 10.0, 2**20


@hub.child
class Host(Child):
    """The pages of one host (``name:port``). ``delay`` seconds between two requests; at most ``most`` pages."""

    transient = ("found",)

    def __init__(self, delay: float = 1.0, most: int = 1000) -> None:
        self.delay = delay
        self.most = most
        self.queue: list[str] = []
        self.seen: set[str] = set()
        self.done: dict[str, int] = {}  # URL -> HTTP status, 0 if it could not be reached
        self.last_at = 0.0  # seconds since the epoch: the pause also holds across a move

    async def on_start(self) -> None:
        """Called on each node it comes to."""
        self.found = asyncio.Event()

    async def add(self, *urls: str) -> int:
        """Have pages fetched; how many of them are new."""
        new = [url for url in dict.fromkeys(urls) if url not in self.seen][: max(0, self.most - len(self.seen))]
        self.seen.update(new)
        self.queue += new
        self.found.set()
        return len(new)

    async def report(self) -> dict[str, Any]:
        """How far it is."""
        return {"queued": len(self.queue), "done": dict(self.done), "node": self.node_name}

    async def run(self) -> None:
        """Fetch what is queued, politely."""
        while True:
            self.found.clear()
            if not self.queue:
                await self.found.wait()
                continue
            await asyncio.sleep(max(0.0, self.last_at + self.delay - time.time()))
            url = self.queue[0]  # it leaves the queue when it is done, so a move in between fetches it again
            self.last_at = time.time()
            await self.commit()
            status, page = await asyncio.to_thread(fetch, url)
            self.queue.remove(url)
            self.done[url] = status
            links = links_of(url, page)
            here = [link for link in links if urlsplit(link).netloc == urlsplit(url).netloc]
            await self.add(*here)
            await self.commit()
            for link in links:
                if link not in here:
                    await crawl(link, self.delay, self.most)


async def crawl(url: str, delay: float = 1.0, most: int = 1000) -> None:
    """Have a page fetched by the child of its host, which is started if need be."""
    host = urlsplit(url).netloc
    with contextlib.suppress(AlreadyStarted):
        await hub.aio.start_child(host, Host, delay, most)
    await hub.aio.ref(host).cast("add", url)


def fetch(url: str) -> tuple[int, str]:
    """A page's HTTP status and text; status 0 if the host cannot be reached."""
    request = urllib.request.Request(url, headers={"User-Agent": "hubq-example"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read(MOST).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""
    except OSError:
        return 0, ""


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.targets += [value for name, value in attrs if name == "href" and value]


def links_of(url: str, page: str) -> list[str]:
    """The HTTP links of a page, each once, in their order.

    >>> links_of("http://a/x", '<a href="/y#top">y</a> <a href="http://b/">b</a> <a href="mailto:c@d">c</a>')
    ['http://a/y', 'http://b/']
    """
    parser = _Links()
    parser.feed(page)
    found = (urldefrag(urljoin(url, target)).url for target in parser.targets)
    return list(dict.fromkeys(link for link in found if urlsplit(link).scheme in ("http", "https")))
