"""`hubq regroup` as a process: from a plain Redis to a cluster, killed in the middle, and then to more groups there."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import pytest

from hubq.store.connection import RedisServer
from hubq.store.embedded_cluster import EmbeddedCluster
from hubq.testing import Cluster, Ledger
from tests.contract.client.test_regroup import at, filled, goes_on, raw

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "hubq", *arguments]


def run(*arguments: str) -> tuple[int, str]:
    ended = subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False)
    return ended.returncode, ended.stdout + ended.stderr


def killed_when_it_copies(*arguments: str) -> None:
    with subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None and "keys set aside" in process.stderr.readline()
        process.send_signal(signal.SIGKILL)


@pytest.mark.long
def test_a_hub_of_a_plain_redis_goes_to_a_cluster_and_to_more_groups_of_it(
    real_server: RedisServer, three: EmbeddedCluster
) -> None:
    hub_id, plain = "to-a-cluster", real_server.url
    ledger = asyncio.run(filled(at(real_server, hub_id, 1)))
    move = "regroup", hub_id, "--groups", "4", "--redis", plain, "--to", three.url
    killed_when_it_copies(*move)
    code, said = run("ps", hub_id, "--redis", plain)
    assert code == 2 and "it is being moved from groups=1 to groups=4: wait for `hubq regroup`" in said
    assert run("ps", hub_id, "--redis", three.url)[0] == 2
    code, said = run(*move)
    assert code == 1 and "another hubq regroup" in said
    raw(real_server, "DEL", f"hubq:{{{hub_id}}}:regroup:lock")  # as half a minute later
    code, said = run(*move)
    assert code == 0 and "outboxes" in said and f"hub {hub_id} has groups=4 at redis+cluster://" in said, said
    code, said = run("ps", hub_id, "--redis", plain)
    assert (
        code == 2
        and f"hub '{hub_id}' at {real_server.address}: it was moved: it has groups=4 at redis+cluster://" in said
    )
    asyncio.run(goes_on(at(three.url, hub_id, 4), ledger))
    code, said = run("regroup", hub_id, "--groups", "6", "--redis", three.url, "--delete-source")
    assert code == 0 and "deleted" in said, said
    asyncio.run(checked(ledger, hub_id, three.url))


async def checked(ledger: Ledger, hub_id: str, url: str) -> None:
    hub = at(url, hub_id, 6)
    ledger.hub = hub
    async with Cluster(hub) as cluster:
        await cluster.start("a", "b")
        for _, child in list(ledger.sent):
            await ledger.call("again", child)
        await ledger.check()
