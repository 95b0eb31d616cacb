"""The web view in a real browser: every page and action, both roles, a move and a death seen live, and what comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from rq.job import JobStatus
from starlette.applications import Starlette
from starlette.routing import Mount

from hubq import Child, ChildSpec, Hub
from hubq.client.operations import paging
from hubq.store.embedded import EmbeddedServer, free_port
from hubq.testing import Cluster, eventually
from hubq.web import dashboard, open_to_all

from .browser import chromium

playwright = pytest.importorskip("playwright.async_api")
axe = pytest.importorskip("axe_playwright_python.async_playwright")

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.long,
    pytest.mark.skipif(chromium() is None, reason="chromium is not installed"),
]

PAGES = ("", "children", "child?id=room-0", "jobs", "dead", "events", "metrics", "doctor", "no-such-page")
WIDTHS = (360, 1280, 2560)


class Room(Child):
    def __init__(self) -> None:
        self.posts: list[str] = []
        self.broken = True

    async def post(self, text: str = "hi") -> int:
        self.posts.append(text)
        self.publish("posts", text)
        return len(self.posts)

    async def fail(self) -> None:
        if self.broken:
            raise ValueError("broken")
        self.posts.append("mended")

    async def mend(self) -> None:
        self.broken = False

    async def hang(self) -> None:
        await asyncio.Event().wait()


class World:
    """A hub with workers, its view for an operator (``/op``) and for a viewer (``/view``), and a browser."""

    def __init__(self, redis: EmbeddedServer, hub: Hub, cluster: Cluster, browser: Any) -> None:
        self.redis, self.hub, self.cluster, self.browser = redis, hub, cluster, browser
        self.troubles: list[str] = []
        self.asked: list[str] = []
        self.port = free_port()
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        views = [
            Mount("/op", dashboard(self.hub, auth=open_to_all("ann", "operator"), read_only=False)),
            Mount("/view", dashboard(self.hub, auth=open_to_all("bob"), read_only=False)),
        ]
        config = uvicorn.Config(
            Starlette(routes=views),
            port=self.port,
            log_level="error",
            timeout_graceful_shutdown=1,
            lifespan="off",
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._serving = asyncio.create_task(self._server.serve())
        await eventually(lambda: self._server is not None and self._server.started, what="the web server")

    async def end_serving(self) -> None:
        assert self._server is not None and self._serving is not None
        self._server.should_exit = True
        await self._serving

    async def page(self, path: str, view: str = "op", **options: Any) -> Any:
        context = await self.browser.new_context(**options)
        context.set_default_timeout(40_000)
        page = await context.new_page()
        page.on("pageerror", lambda error: self.troubles.append(f"{path}: {error}"))
        page.on("console", lambda said: self._heard(path, said))
        page.on("request", lambda request: self.asked.append(request.url))
        await page.goto(f"http://127.0.0.1:{self.port}/{view}/{path}")
        return page

    def _heard(self, path: str, said: Any) -> None:
        if said.type == "error" and "the server responded with a status of" not in said.text:
            self.troubles.append(f"{path}: {said.text}")

    async def letter(self, child: str) -> None:
        before = len(await self.hub.aio.dead_letters())
        await self.hub.aio.ref(child).cast("fail")

        async def there() -> bool:
            return len(await self.hub.aio.dead_letters()) > before

        await eventually(there, what="a dead letter")


@asynccontextmanager
async def world(
    *nodes: str, own_redis: EmbeddedServer | None = None, redis: EmbeddedServer, hub_id: str
) -> AsyncIterator[World]:
    server = own_redis or redis
    hub = Hub(hub_id, redis=server.url, lease=2.0, lease_margin=0.4, heartbeat=0.1)
    hub.child(Room)
    async with playwright.async_playwright() as driver, Cluster(hub) as cluster:
        browser = await driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        await cluster.start(*nodes)
        await cluster.settled()
        await hub.aio.start_children([ChildSpec(f"room-{n}", Room) for n in range(20)])
        made = World(server, hub, cluster, browser)
        await made.serve()
        try:
            yield made
        finally:
            await browser.close()
            await made.end_serving()
    assert made.troubles == []


@pytest.fixture
def run(redis_server: EmbeddedServer, hub_id: str) -> Callable[..., None]:
    def run(scenario: Callable[[World], Awaitable[None]], *nodes: str, own_redis: EmbeddedServer | None = None) -> None:
        async def whole() -> None:
            async with world(*nodes, own_redis=own_redis, redis=redis_server, hub_id=hub_id) as made:
                await scenario(made)

        asyncio.run(whole())

    return run


async def says(page: Any, selector: str, text: str) -> None:
    await page.locator(selector).filter(has_text=text).first.wait_for()


async def follow(page: Any, link: str) -> None:
    """Click a link of the navigation, and wait until its page is there and alive: the page before it may say the same words."""
    at = page.get_by_role("navigation").get_by_role("link", name=link, exact=True)
    address = await at.evaluate("link => link.href")
    await at.click()
    await page.wait_for_url(address)
    await says(page, "#live", "live")


async def dots(page: Any, node: str, count: int) -> None:
    await page.wait_for_function(
        "([node, count]) => document.querySelectorAll(`.dot[data-node='${node}']`).length === count", arg=[node, count]
    )


async def confirm(page: Any) -> None:
    await page.locator("#confirm button[value=yes]").click()


@pytest.mark.timeout(240)
def test_every_page_at_every_width_in_light_and_dark_for_both_roles(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        await world.hub.aio.ref("room-0").call("post", "<b>hi</b>")
        await world.letter("room-1")
        await world.hub.aio.enqueue("os.getpid")
        for view, scheme in (("op", "light"), ("view", "dark")):
            for path in PAGES:
                page = await world.page(path, view, color_scheme=scheme)
                if path != "no-such-page":
                    await says(page, "#live", "live")
                for width in WIDTHS:
                    await page.set_viewport_size({"width": width, "height": 900})
                    assert await page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
                found = await axe.Axe().run(page)
                serious = [each for each in found.response["violations"] if each["impact"] in ("serious", "critical")]
                assert serious == [], (path, scheme, [(each["id"], each["nodes"][0]["html"]) for each in serious])
                acts = await page.locator("[data-act]").count()
                assert (
                    acts == 0 if view == "view" else acts > 0 or path not in ("", "child?id=room-0", "jobs", "dead")
                ), path
                await page.context.close()
        assert {url.split("/")[2] for url in world.asked} == {f"127.0.0.1:{world.port}"}  # nothing from a network

    run(scenario, "a")


#: Where each shard is drawn.
PLACES = "Object.fromEntries([...document.querySelectorAll('.dot')].map(dot => [dot.id, dot.dataset.node]))"
#: Writes down which shards are drawn as moving, however short: a look from outside may come too late.
WATCH_MOVES = """() => {
    window.seenToMove = new Set();
    new MutationObserver(changes => changes
        .filter(({target}) => target.classList.contains("moved"))
        .forEach(({target}) => window.seenToMove.add(target.id))
    ).observe(document.querySelector("svg.ring"), {subtree: true, attributes: true, attributeFilter: ["class"]});
}"""


@pytest.mark.timeout(180)
def test_a_move_and_the_death_of_a_worker_are_seen_live(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        page = await world.page("", "view")
        await says(page, "#live", "live")
        assert await page.locator('.dot[data-node="a"]').count() == 64
        before = await page.evaluate(PLACES)
        await page.evaluate(WATCH_MOVES)
        await world.cluster.start("b")
        await world.cluster.settled()
        await dots(page, "b", 32)
        await page.wait_for_function("window.seenToMove.size >= 32")
        await says(page, "#log", "shard_migrated")
        after = await page.evaluate(PLACES)
        moved = {shard for shard, node in after.items() if node != before[shard]}
        assert len(moved) == 32 and moved <= set(await page.evaluate("[...window.seenToMove]"))
        assert "b serves 32" in str(await page.locator("svg.ring").get_attribute("aria-label"))
        await world.cluster.kill("b")
        await dots(page, "a", 64)
        await says(page, "#log", "node_evicted")
        await page.locator('tr[data-key="b"]').wait_for(state="detached")

    run(scenario, "a")


@pytest.mark.timeout(180)
def test_a_child_that_hangs_is_found_looked_into_moved_and_its_dead_letter_sent_again(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        room = world.hub.aio.ref("room-3")
        await world.letter("room-3")
        await room.cast("hang")
        await room.cast("post", "one")
        await room.cast("post", "two")
        page = await world.page("")
        await page.locator("#busy-h + .scroll a", has_text="room-3").click()
        await says(page, ".alarm", "hang")
        await says(page, "#mailbox-h", "3 waiting")
        await says(page, "#mailbox-h + .scroll tr", "in hand")
        assert await page.locator("tr", has_text="in hand").get_by_role("button", name="Drop").count() == 0
        row = page.locator("tr", has_text="post").first
        await row.get_by_role("button", name="Drop").click()
        await confirm(page)
        await says(page, "#said", "is a dead letter now")
        await page.get_by_role("button", name="End the message in hand").first.click()
        await confirm(page)
        await says(page, "#mailbox-h", "0 waiting")
        await says(page, ".state", "['two']")
        await says(page, "#feed", "two")
        there = (await world.hub.aio.where("room-3")).node
        other = "b" if there == "a" else "a"
        await page.locator("select[name=node]").select_option(other)
        await page.get_by_role("button", name="Move", exact=True).click()
        await says(page, ".result", f"room-3 is on {other}")
        await says(page, "ol.log", "child_migrated")
        await page.get_by_label("method").fill("mend")
        await page.get_by_role("button", name="Call", exact=True).click()
        await says(page, ".result", "has answered")
        await follow(page, "Dead letters")
        await page.locator("summary", has_text="fail").click()
        await says(page, "pre", "ValueError: broken")
        await page.locator("li", has_text="fail").get_by_role("button", name="Send again").click()
        await says(page, "#said", "1 sent again")
        assert await room.call("post", "three") == 3  # behind "two" and "mended": "one" was dropped

    run(scenario, "a", "b")


@pytest.mark.timeout(180)
def test_the_other_actions(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        page = await world.page("child?id=room-5")
        await page.get_by_label("method").fill("post")
        await page.get_by_label("arguments, a JSON list").fill("no json")
        await page.get_by_role("button", name="Call", exact=True).click()
        await says(page, ".result.bad", "args is no JSON")
        await page.get_by_label("arguments, a JSON list").fill('["x"]')
        await page.get_by_role("button", name="Call", exact=True).click()
        await says(page, ".result", "1")
        await page.get_by_role("button", name="Cast", exact=True).click()
        await says(page, ".result", "in the mailbox")
        await says(page, ".state", "['x', 'x']")
        await page.get_by_role("button", name="Stop the child").click()
        await page.locator("#confirm button[value=no]").click()
        await page.get_by_role("button", name="Stop the child").click()
        await confirm(page)
        await says(page, "#said", "was stopped on")
        await says(page, "#live", "not there any more")
        await page.goto(page.url.replace("room-5", "room-6"))
        await page.get_by_role("button", name="Stop it now").click()
        await confirm(page)
        await says(page, "#said", "was stopped on")

        for child in ("room-7", "room-8", "room-9"):
            await world.letter(child)
        await page.goto(page.url.split("child?")[0] + "dead?child=room-7")
        await page.get_by_role("button", name="Drop all that fit").click()
        await confirm(page)
        await says(page, "#said", "1 dropped")
        await page.goto(page.url.split("?")[0])
        await page.locator("li", has_text="room-8").get_by_role("button", name="Drop").click()
        await confirm(page)
        await says(page, "#said", "1 dropped")
        await world.hub.aio.ref("room-9").call("mend")
        await page.get_by_role("button", name="Send all again").click()
        await confirm(page)
        await says(page, "#said", "1 sent again")

        queued = await world.hub.aio.enqueue("os.getpid")
        failed = await asyncio.to_thread(failed_job, world.hub)
        await follow(page, "Jobs")
        await page.locator("tr", has_text=failed).get_by_role("button", name="Run again").click()
        await says(page, "#said", "is queued again")
        await page.locator("tr", has_text=str(queued.id)).get_by_role("button", name="Cancel").click()
        await confirm(page)
        await says(page, "#said", "is canceled")

        await follow(page, "Hub")
        await page.locator('tr[data-key="b"]').get_by_role("button", name="Drain").click()
        await confirm(page)
        await says(page, "#said", "hands everything over")
        await dots(page, "a", 64)

        await follow(page, "Children")
        await page.keyboard.press("/")
        await page.keyboard.type("room-1")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**match=room-1**")  # The page before it says room-19 too, and would save itself.
        await says(page, "tbody tr", "room-19")
        await page.get_by_role("button", name="Save this view").click()
        await page.get_by_role("link", name="match room-1").click()
        await page.wait_for_url(lambda address: address.endswith("/children?match=room-1"))
        await page.wait_for_function("document.querySelectorAll('tbody tr').length === 11")

        await page.goto(page.url.split("children")[0] + "events?type=operator_acted")
        for what in (
            "call",
            "cast",
            "stop",
            "stop now",
            "drop dead letters",
            "replay dead letters",
            "retry job",
            "cancel job",
            "drain",
        ):
            await says(page, "#past li", what)
        assert await page.locator("#past li", has_text="ann").count() == await page.locator("#past li").count()

    run(scenario, "a", "b")


def failed_job(hub: Hub) -> str:
    """A job of RQ that stands where its worker puts one that has raised."""
    job = hub.enqueue("os.getpid")
    hub.rq_queue.remove(job)
    job.set_status(JobStatus.FAILED)
    hub.rq_queue.failed_job_registry.add(job, exc_string="ValueError: broken")
    return str(job.id)


#: Counts what the page asks for from now on.
COUNT_QUESTIONS = """() => {
    window.questions = 0;
    for (const name of ["fetch", "EventSource"]) {
        window[name] = new Proxy(window[name], {
            apply: (real, self, given) => (window.questions++, Reflect.apply(real, window, given)),
            construct: (real, given) => (window.questions++, Reflect.construct(real, given)),
        });
    }
}"""
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
    document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.mark.timeout(180)
def test_it_stands_still_while_hidden_and_goes_on_after_redis_or_the_view_was_away(run: Callable[..., None]) -> None:
    with EmbeddedServer(appendonly=True) as redis:

        async def scenario(world: World) -> None:
            page = await world.page("", "view")
            await says(page, "#live", "live")
            await page.evaluate(COUNT_QUESTIONS)
            await page.evaluate(HIDE, True)
            await says(page, "#live", "stands still")
            asked = await page.evaluate("window.questions")
            await world.hub.aio.stop_child("room-11")
            await page.evaluate(
                "new Promise(done => setTimeout(done, 2500))"
            )  # longer than a part waits between two looks
            assert await page.evaluate("window.questions") == asked
            await page.evaluate(HIDE, False)
            await says(page, "#log", "room-11")  # what happened meanwhile

            await asyncio.to_thread(world.redis.stop, keep=True)
            await says(page, "#live", "Redis is away")
            other = await world.page("children", "view")
            await says(other, "h1", "503")
            await asyncio.to_thread(world.redis.start)
            await says(other, "h1", "Children")
            await says(page, "#live", "live")
            await world.hub.aio.stop_child("room-12")
            await says(page, "#log", "room-12")

            await world.end_serving()
            await says(page, "#live", "the view is away")
            await world.serve()
            await says(page, "#live", "live")
            await world.hub.aio.stop_child("room-13")
            await says(page, "#log", "room-13")
            world.troubles.clear()  # the browser has said that the server was away

        run(scenario, "a", own_redis=redis)


def test_what_somebody_does_during_a_slow_look_is_looked_at_soon(run: Callable[..., None]) -> None:
    """A look that took 3 s is followed by a minute's rest, unless somebody acts: also if that was while it was under way."""

    async def scenario(world: World) -> None:
        page = await world.page("child?id=room-5")
        await says(page, "#live", "live")
        await page.get_by_label("method").fill("post")
        call = page.get_by_role("button", name="Call", exact=True)
        held, go_on = asyncio.Event(), asyncio.Event()

        async def slow(route: Any) -> None:
            if not held.is_set():
                held.set()
                answer = await route.fetch()  # what it shows was so before anybody acted
                await go_on.wait()
                await route.fulfill(response=answer)
            else:
                await route.continue_()

        await page.route("**/child?*part=child*", slow)
        await held.wait()
        began = await page.evaluate("performance.now()")
        await call.click()
        await says(page, ".result", "1")
        await page.wait_for_function("began => performance.now() > began + 3000", arg=began)
        go_on.set()
        await says(page, ".state", "['hi']")

    run(scenario, "a")


def test_the_history_of_a_child_with_a_space_in_its_name_is_live(run: Callable[..., None]) -> None:
    async def scenario(world: World) -> None:
        await world.hub.aio.start_child("room 1 & 2", Room)
        page = await world.page("child?id=room%201%20%26%202")
        await says(page, "#live", "live")
        await world.letter("room 1 & 2")
        await says(page, "[data-part=history]", "message_failed")

    run(scenario, "a")


#: Counts rows that leave the listing.
WATCH_ROWS = """() => {
    window.rowsGone = 0;
    new MutationObserver(changes => changes.forEach(({removedNodes}) =>
        removedNodes.forEach(node => window.rowsGone += node.tagName === "TR")
    )).observe(document.getElementById("main"), {subtree: true, childList: true});
}"""


@pytest.mark.timeout(180)
def test_a_long_search_is_seen_to_grow_and_is_led_on_by_a_link_without_scripts(
    run: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paging, "MOST_READS", 1)  # so that a hub of some hundred children takes 16 looks
    monkeypatch.setattr(paging, "SMALL_AT_ONCE", paging.SHARDS_AT_ONCE)

    async def scenario(world: World) -> None:
        await world.hub.aio.start_children([ChildSpec(f"hall-{n}", Room) for n in range(150)])
        still = await world.page("children?match=room", "view", java_script_enabled=False)
        found: set[str] = set()
        looks = 0
        while True:
            found |= set(await still.locator("tbody th a").all_inner_texts())
            looks += 1
            link = still.get_by_role("link", name="Look further")
            if not await link.count():
                break
            address = still.url
            await link.focus()
            await still.keyboard.press("Enter")
            await still.wait_for_url(lambda now, before=address: now != before)
        assert found == {f"room-{n}" for n in range(20)} and looks == 16

        world.asked.clear()
        page = await world.page("children?match=room", "view", viewport={"width": 360, "height": 900})
        await page.evaluate(WATCH_ROWS)
        await page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 20")
        await page.wait_for_function("() => !document.querySelector('[data-further], [aria-busy]')")
        assert (await page.locator("[data-told]").inner_text()) == "20 shown."
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
        serious = (await axe.Axe().run(page)).response["violations"]
        assert [each["id"] for each in serious if each["impact"] in ("serious", "critical")] == []
        assert len([url for url in world.asked if "part=children" in url]) == 15, (
            "it has gone on from what it came with"
        )
        focused = page.get_by_role("link", name="room-7", exact=True)
        await focused.focus()
        await world.hub.aio.start_child("room-new", Room)
        await says(page, "tbody tr", "room-new")  # a whole new search, which takes no row away before it is over
        assert await page.evaluate("window.rowsGone") == 0
        assert await focused.evaluate("link => link === document.activeElement")
        await world.hub.aio.stop_child("room-3")
        await page.locator('tr[data-key="room-3"]').wait_for(state="detached")

        jobs = await world.page("jobs", "view")
        await says(jobs, "[data-part=resumable]", "nothing more fits")

    run(scenario, "a")
