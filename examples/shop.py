"""A shop: orders, stock, shipments and mails that always agree, and a page that shows orders as they come, behind FastAPI.

    pip install 'hubq[examples]'
    hubq worker examples.shop:hub --name a --jobs 1        # one or more, in terminals of their own
    uvicorn examples.shop:app                              # http://localhost:8000/
    curl -X POST localhost:8000/orders/1 -H 'Content-Type: application/json' -d '{"customer": "ann", "item": "tea", "count": 2}'

Kill workers while people order. No order is lost, and none is taken from the stock or written to its customer twice.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from starlette.routing import Route

from hubq import Child, Hub, read
from hubq.contrib.fastapi import error_handlers, lifespan
from hubq.web import sse

hub = Hub("shop")

#: The post takes parcels this long after they were packed, seconds.
PICK_UP = 2.0
#: An order that is not shipped by then is looked into, seconds.
TOO_LATE = 3_600.0


def send_mail(order: str, to: str, text: str) -> None:
    """A job of RQ. (It may begin again if its process is killed: a real shop gives the order to its mail provider as the key.)"""
    print(f"to {to}, about {order}: {text}")


@hub.child(activate=True)
class Stock(Child):
    """How many there are of one item: so many at first."""

    def __init__(self, left: int = 10_000) -> None:
        self.left = left

    async def take(self, order: str, count: int) -> None:
        """Reserve some for an order, if there are as many. The answer is a message of its own."""
        enough = count <= self.left
        self.left -= count if enough else 0
        self.ref(Order, order).cast(Order.reserved if enough else Order.refused)

    @read
    async def how_many(self) -> int:
        return self.left


@hub.child(activate=True, idle_after=300)
class Order(Child):
    """One order, from its checkout until it is shipped. All that a method says leaves with the state that it leaves behind."""

    def __init__(self) -> None:
        self.status, self.customer, self.item, self.count = "new", "", "", 0

    async def checkout(self, customer: str, item: str, count: int) -> str:
        """Order something. Asked twice, it orders once."""
        if self.status == "new":
            self.customer, self.item, self.count = customer, item, count
            self.becomes("ordered")
            self.ref(Stock, item).cast(Stock.take, self.child_id, count)
            self.remind("late", after=TOO_LATE, call=Order.look_into)
        return self.status

    async def reserved(self) -> None:
        self.becomes("reserved")
        self.ref(Shipment, f"{self.child_id}-parcel", self.child_id).cast(Shipment.pack, self.item, self.count)
        self.enqueue(send_mail, self.child_id, self.customer, f"Thank you for {self.count} {self.item}")

    async def refused(self) -> None:
        self.becomes("sold out")
        self.forget("late")
        self.enqueue(send_mail, self.child_id, self.customer, f"We have no {self.count} {self.item}, sorry")

    async def shipped(self) -> None:
        self.becomes("shipped")
        self.forget("late")

    async def look_into(self) -> None:
        self.enqueue(send_mail, self.child_id, "the boss", f"{self.child_id} is late: it is {self.status}")

    def becomes(self, status: str) -> None:
        """For those who ask, and for the page."""
        self.ref(Board, "board").cast(Board.show, self.child_id, self.status, status)
        self.status = status

    @read
    async def now(self) -> str:
        return self.status


@hub.child(activate=True)
class Shipment(Child):
    """A parcel: it waits for the post, tells its order, and is no more."""

    def __init__(self, order: str) -> None:
        self.order = order

    async def pack(self, item: str, count: int) -> None:
        self.content = {item: count}
        self.remind("post", after=PICK_UP, call=Shipment.picked_up)

    async def picked_up(self) -> None:
        self.ref(Order, self.order).cast(Order.shipped)
        self.stop()


@hub.child(activate=True)
class Board(Child):
    """What the page shows: how many orders there are of each status. Its feed has every change."""

    feed_kept = 10_000

    def __init__(self) -> None:
        self.orders = Counter[str]()

    async def show(self, order: str, before: str, status: str) -> None:
        self.orders = self.orders - Counter([before]) + Counter([status])  # (a new one has not been counted)
        self.publish("orders", {"order": order, "status": status, "all": dict(self.orders)})


class Wanted(BaseModel):
    """What somebody orders."""

    customer: str = Field(max_length=40)
    item: str = Field(max_length=40)
    count: int = Field(1, gt=0)


live = Route("/events", sse(hub.aio.ref("board"), topics="orders"))
app = FastAPI(lifespan=lifespan(hub), exception_handlers=error_handlers(), routes=[live])


@app.post("/orders/{number}")
async def checkout(number: str, wanted: Wanted) -> str:
    """Order something. The number is the customer's: a browser that has got no answer asks again."""
    order = hub.aio.ref(Order, f"order-{number}").options(timeout=30)
    return await order.call(Order.checkout, wanted.customer, wanted.item, wanted.count)


@app.get("/orders/{number}")
async def status(number: str) -> str:
    """What has become of an order. (By its name alone: to ask starts none, and is answered with 404 if there is none.)"""
    return str(await hub.aio.ref(f"order-{number}").call("now"))


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("shop.html"))
