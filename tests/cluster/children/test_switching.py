"""A hub is switched from pickles to data and a seal that is required while it runs, and its keys are changed, then it is
switched from encrypting to signing and back: rolling, under load.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hubq import Hub
from hubq.client.operations.seals import reseal, seals
from hubq.store.keyring import Keyring, new_keys
from hubq.store.server import RedisServer
from hubq.testing import Cluster, Ledger, LedgerChild, connections
from hubq.testing.load import Load, start_children

ONE = new_keys()
TWO = new_keys(ONE)
TURNED = ",".join(reversed(TWO.split(",")))

#: Each stage is deployed to all workers and apps before the next one: settings, and keys ("": none).
STAGES: list[tuple[dict[str, Any], str]] = [
    ({"codec": "pickle"}, ""),
    ({"codec": "pickle"}, ONE),
    ({"codec": "pickle", "seal": "write"}, ONE),
    ({"codec": "data", "reads_pickles": True, "seal": "write"}, ONE),
    ({"codec": "data", "reads_pickles": True, "seal": "write"}, TWO),
    ({"codec": "data", "reads_pickles": True, "seal": "write"}, TURNED),
    ({"codec": "data", "seal": "require"}, TURNED),
    ({"codec": "data", "seal": "require", "seal_form": "encrypt"}, TURNED.split(",")[0]),
    ({"codec": "data", "seal": "require", "seal_form": "sign"}, TURNED.split(",")[0]),
    ({"codec": "data", "seal": "require", "seal_form": "encrypt"}, TURNED.split(",")[0]),
]
#: After these stages all is sealed anew: with which key, and (None: either) in which form.
RESEALED: dict[int, tuple[int, str | None]] = {2: (1, None), 5: (2, None), 8: (2, "signed"), 9: (2, "encrypted")}


@pytest.fixture
def server(real_server: RedisServer) -> RedisServer:
    """A hub that is switched while it runs has a Redis that outlives its processes."""
    return real_server


def test_a_hub_is_switched_while_it_runs(make_hub: Callable[..., Hub]) -> None:
    first = make_hub(shards=4)
    made: list[Hub] = []

    def stage(number: int) -> tuple[Hub, Hub]:
        """The hub of the workers, and that of the app."""
        settings, keys = STAGES[number]
        app_keys = Keyring.read(keys).derive("shop") if keys else ""
        pair = []
        for its in (keys, app_keys):
            hub = Hub(first.hub_id, redis=first.server, shards=4, keys=its or None, **settings)
            hub.child(LedgerChild)
            pair.append(hub)
        made.extend(pair)
        return pair[0], pair[1]

    async def scenario() -> None:
        workers, app = stage(0)
        async with Cluster(workers) as cluster:
            await cluster.start("n0")
            ledger = Ledger(app)
            children = await start_children(app, LedgerChild, 12)
            idle = await app.aio.start_child("idle", LedgerChild)
            assert idle.status == "ok"
            load = Load(ledger, children, senders=4)
            clusters = [cluster]
            try:
                for number in range(1, len(STAGES)):
                    await load.reached(load.count + 60)
                    workers, app = stage(number)
                    after = Cluster(workers)
                    await after.__aenter__()
                    await after.start(f"n{number}")
                    if number % 2:  # workers first, or apps first
                        assert await clusters[-1].drain(f"n{number - 1}")
                        await load.reached(load.count + 20)
                        ledger.hub = app
                    else:
                        ledger.hub = app
                        await load.reached(load.count + 20)
                        assert await clusters[-1].drain(f"n{number - 1}")
                    clusters.append(after)
                    if number in RESEALED:
                        context = connections.context_of(workers)
                        done = await connections.drive_here(workers, reseal(context))
                        assert done.left == ()
                        found = await connections.drive_here(workers, seals(context))
                        key, form = RESEALED[number]
                        assert {each.key for each in found} == {key}
                        assert form is None or {each.form for each in found} == {form}
                await load.reached(load.count + 60)
            finally:
                await load.end()
                for other in reversed(clusters[1:]):
                    if other is not clusters[-1]:
                        await other.__aexit__(None, None, None)
            assert ledger.failed == []
            await ledger.check()
            assert await app.aio.ref("idle").call("entries") == {}
            assert await app.aio.dead_letters() == []
            await clusters[-1].__aexit__(None, None, None)
            for hub in made:
                await hub.aio.close()

    asyncio.run(scenario())
