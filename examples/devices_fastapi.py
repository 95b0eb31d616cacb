"""Devices behind FastAPI: each is a child that lives as long as it reports, with a live page, alarms and mails.

pip install 'hubq[examples]'
hubq worker examples.devices_fastapi:hub --name a --jobs 1     # one or more, in terminals of their own
uvicorn examples.devices_fastapi:app
curl -X POST 'http://localhost:8000/devices/oven-7/readings?celsius=92'
curl -N http://localhost:8000/devices/oven-7/events
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.routing import Route

from hubq import AsyncTypedRef, Child, Hub, Retry, read
from hubq.contrib.fastapi import child_of, error_handlers, lifespan
from hubq.web import sse

SILENT_AFTER, HOT = 60.0, 90.0

hub = Hub("devices")


@hub.child(activate=True)  # the first reading starts it
class Device(Child):
    """A device: its last readings, whether it is there, and whom it alarms."""

    def __init__(self) -> None:
        self.readings: list[float] = []
        self.online = self.alarmed = False

    async def report(self, celsius: float) -> int:
        """A reading has come. All of this leaves with one commit: the state, what pages see, the mail, the reminder."""
        self.readings = [*self.readings[-99:], celsius]
        self.publish("readings", celsius)
        if not self.online:
            self.online = True
            self.publish("presence", "online")
        if celsius >= HOT and not self.alarmed:
            self.enqueue(send_mail, self.child_id, f"{celsius:g} degrees")
            self.ref(Room, "control-room").cast(Room.alarm, self.child_id, celsius)
        self.alarmed = celsius >= HOT
        self.remind("silent", after=SILENT_AFTER, call=Device.silent)  # the next reading sets it anew
        return len(self.readings)

    async def silent(self) -> None:
        """Nothing was heard for a minute."""
        self.online = False
        self.publish("presence", "offline")

    @read
    async def status(self) -> dict[str, Any]:
        """At once, whatever its handler does."""
        return {"online": self.online, "last": self.readings[-1:], "count": len(self.readings)}


@hub.child(activate=True, retry=Retry(max=5, wait=0.1, backoff=2.0))  # the siren may be out of reach for a moment
class Room(Child):
    """The control room: all alarms, in their order."""

    def __init__(self) -> None:
        self.alarms: list[tuple[str, float]] = []

    async def alarm(self, device: str, celsius: float) -> None:
        """A device is too hot."""
        await siren(device)
        self.alarms.append((device, celsius))

    @read
    async def all(self) -> list[tuple[str, float]]:
        """The alarms."""
        return self.alarms


async def siren(device: str) -> None:
    """Make a noise. (Put your own here.)"""


def send_mail(device: str, text: str) -> str:
    """A job: ``hubq worker ... --jobs 1`` runs it."""
    return f"to the owner of {device}: {text}"


events = sse(lambda scope: hub.aio.ref(scope["path_params"]["name"]))
app = FastAPI(
    lifespan=lifespan(hub), exception_handlers=error_handlers(), routes=[Route("/devices/{name}/events", events)]
)
OfPath = Annotated[AsyncTypedRef[Device], Depends(child_of(hub, Device, "name"))]


@app.post("/devices/{name}/readings")
async def report(device: OfPath, celsius: float) -> int:
    """How many readings it has."""
    return await device.call(Device.report, celsius)


@app.get("/devices/{name}")
async def status(device: OfPath) -> dict[str, Any]:
    """How it is."""
    return await device.call(Device.status)


@app.get("/alarms")
async def alarms() -> list[tuple[str, float]]:
    """All alarms."""
    return await hub.aio.ref(Room, "control-room").call(Room.all)
