"""``hubq pause --class``: a name that no child has is told, since nobody would notice that nothing is paused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from hubq import Child, Hub
from hubq.cli.main import outcome
from hubq.store.connection import RedisServer
from hubq.testing import Cluster, eventually

pytestmark = pytest.mark.server

APP = """
from hubq import Child, Hub
hub = Hub({hub_id!r}, redis={url!r}, shards=4)
@hub.child
class Desk(Child): pass
"""


class Room(Child):
    pass


class Lamp(Child):
    activate, idle_after = True, 0.02

    def on(self) -> None: ...


def test_a_class_that_no_child_has_is_told(
    real_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hub_id = "pause-a-class"
    (tmp_path / "app_of_pauses.py").write_text(APP.format(hub_id=hub_id, url=real_server.url))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUBQ_REDIS_URL", real_server.url)
    told: dict[str, tuple[int, str, str]] = {}

    def pause(hub: str, kind: str) -> None:
        capsys.readouterr()
        code = outcome(["pause", hub, "--class", kind])
        told[f"{hub} {kind}"] = (code, *capsys.readouterr())

    def pause_all() -> None:
        for kind in ("Room", "Romm", "Desk", "Lamp", "HubqKeyedJobs"):
            pause(hub_id, kind)
        pause("app_of_pauses:hub", "Desk")

    async def scenario() -> list[str]:
        hub = Hub(hub_id, redis=real_server, shards=4)
        hub.child(Lamp)
        async with Cluster(hub) as cluster:
            await cluster.start("a")
            await hub.aio.start_child("room-1", Room)
            await hub.aio.ref(Lamp, "lamp-1").call(Lamp.on)
            await eventually(hub.aio.inspect.dormant, 10, "the lamp rests")
            await asyncio.to_thread(pause_all)
            return [pause.name for pause in await hub.aio.pauses()]

    paused = asyncio.run(scenario())
    assert paused == ["Desk", "HubqKeyedJobs", "Lamp", "Romm", "Room"], "each is paused, also one that is told"
    assert [code for code, _, _ in told.values()] == [0] * 6
    silent = {who for who, (_, _, said) in told.items() if not said}
    assert silent == {f"{hub_id} Room", f"{hub_id} Lamp", f"{hub_id} HubqKeyedJobs", "app_of_pauses:hub Desk"}
    assert told[f"{hub_id} Romm"][2] == (
        "no child of class Romm is there now (did you mean Room?): the pause is for those that start later; "
        "`hubq resume pause-a-class --class Romm` ends it\n"
    )
    assert told[f"{hub_id} Desk"][2].startswith("no child of class Desk is there now: the pause is for")
