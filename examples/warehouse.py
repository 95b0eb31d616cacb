"""A warehouse: freezers, a live chat, orders that take stock and send mails, a report each night, an import (docs/guide-workers.md).

hubq worker examples.warehouse:hub --jobs 1; in another terminal: uvicorn examples.warehouse:app
"""

from typing import Any

from fastapi import FastAPI
from starlette.routing import Route

from hubq import Child, Hub
from hubq.contrib.fastapi import error_handlers, lifespan
from hubq.web import sse

hub = Hub("warehouse")


@hub.child(activate=True)
class Freezer(Child):  # silent 30 s after its last report
    def __init__(self) -> None:
        self.celsius, self.online = 0.0, False

    async def report(self, celsius: float) -> None:
        self.celsius, self.online = celsius, True
        self.remind("silent", after=30, call=Freezer.silent)

    async def silent(self) -> None:
        self.online = False

    async def status(self) -> tuple[float, bool]:
        return self.celsius, self.online


@hub.child(activate=True)
class Room(Child):  # its posts are numbered, and pages see them live
    def __init__(self) -> None:
        self.posts = 0

    async def post(self, who: str, text: str) -> int:
        self.posts += 1
        self.publish("posts", {"number": self.posts, "who": who, "text": text})
        return self.posts


@hub.child(activate=True)
class Stock(Child):  # of one item
    def __init__(self) -> None:
        self.left = 0

    async def add(self, count: int) -> None:
        self.left += count

    async def take(self, order: str, count: int) -> None:
        enough = count <= self.left
        self.left -= count if enough else 0
        self.ref(Order, order).cast(Order.answered, enough)


@hub.child(activate=True)
class Order(Child):  # what it says leaves with its commit: no item is taken twice, and no mail is missing
    def __init__(self) -> None:
        self.status = self.mail = ""

    async def place(self, item: str, count: int, mail: str) -> str:
        if not self.status:  # else it was placed before
            self.status, self.mail = "placed", mail
            self.ref(Stock, f"stock-{item}").cast(Stock.take, self.child_id, count)
        return self.status

    async def answered(self, enough: bool) -> None:
        self.status = "packed" if enough else "sold out"
        self.enqueue(send_mail, self.mail, f"{self.child_id} is {self.status}")


def send_mail(to: str, text: str) -> str:
    return f"to {to}: {text}"


def report() -> None:
    found = [hub.ref(Freezer, each.child_id).call(Freezer.status)[1] for each in hub.children(kind="Freezer")]
    hub.ref(Room, "hall").cast(Room.post, "report", f"{found.count(False)} of {len(found)} freezers are silent")


@hub.job(resumable=True)
async def import_goods(ctx: Any, goods: list[tuple[str, int]]) -> None:
    while (done := ctx.state.setdefault("done", 0)) < len(goods):
        ctx.ref(Stock, f"stock-{goods[done][0]}").cast(Stock.add, goods[done][1])
        ctx.state.done = done + 1
        ctx.progress(done + 1, len(goods), goods[done][0])
        await ctx.commit()


hub.cron("0 3 * * *", report)
live = Route("/rooms/{name}/events", sse(lambda scope: hub.aio.ref(scope["path_params"]["name"])))
app = FastAPI(lifespan=lifespan(hub), exception_handlers=error_handlers(), routes=[live])


@app.post("/freezers/{name}")
async def reported(name: str, celsius: float) -> None:
    await hub.aio.ref(Freezer, name).call(Freezer.report, celsius)


@app.post("/rooms/{name}")
async def post(name: str, who: str, text: str) -> int:
    return await hub.aio.ref(Room, name).call(Room.post, who, text)


@app.post("/orders/{name}")
async def order(name: str, item: str, count: int, mail: str) -> str:
    return await hub.aio.ref(Order, name).call(Order.place, item, count, mail)


@app.post("/imports/{name}")
async def imported(name: str, goods: list[tuple[str, int]]) -> Any:
    return (await hub.aio.enqueue(import_goods, goods, job_id=name)).id


@app.get("/imports/{name}")
async def progress(name: str) -> Any:
    return await hub.aio.job_progress(name)
