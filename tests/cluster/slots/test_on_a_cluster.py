"""What a hub on a Redis Cluster is used with: the list of hubs, users with few rights, jobs."""

from __future__ import annotations

import asyncio

import pytest

from hubq import ChildSpec, Hub, hubs
from hubq.cli.main import outcome
from hubq.errors import RedisRefused
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded_cluster import EmbeddedCluster
from hubq.store.keys import Keys
from hubq.store.permissions import acl_rules
from hubq.testing import Cluster, Ledger, LedgerChild

pytestmark = [pytest.mark.server, pytest.mark.timeout(60)]


CHILDREN = [f"child-{n}" for n in range(8)]


def test_hubs_of_all_primaries_are_found(three: EmbeddedCluster) -> None:
    names = [f"found{n}" for n in range(6)]
    assert len({three.owner_of(name) for name in names}) > 1
    for name in names:
        hub = Hub(name, redis=three.url, shards=8)
        assert hub.nodes() == []
        hub.close()
    assert {hub.hub_id for hub in hubs(three.url)} >= set(names)
    assert Hub.open("found3", redis=three.url).config.shards == 8


@pytest.mark.parametrize("groups", [1, 4])
def test_users_with_the_printed_rules_are_enough(three: EmbeddedCluster, groups: int) -> None:
    name = f"granted{groups}"
    with_selectors = three.ask(three.ports[0], "INFO server").split("redis_version:")[1][0] != "6"
    for role in ("worker", "client"):
        rules = acl_rules(Keys(name), role, read_only_keys=with_selectors, groups=groups)
        for port in three.ports:
            three.ask(port, "ACL SETUSER", f"{name}-{role}", *rules, "on", ">secret")
    login = {role: three.url.replace("//", f"//{name}-{role}:secret@") for role in ("worker", "client")}

    async def scenario() -> None:
        app = Hub(name, redis=login["client"], shards=8, groups=groups)
        ledger = Ledger(app)
        async with Cluster(Hub(name, redis=login["worker"], shards=8, groups=groups)) as cluster:
            await cluster.start("a")
            await cluster.settled()
            await app.aio.start_children([ChildSpec(child, LedgerChild) for child in CHILDREN], on_failure="rollback")
            for child in CHILDREN:
                await ledger.call("app", child)
                await ledger.cast("app", child)
            await ledger.check()
        await app.aio.close()

    asyncio.run(scenario())


def test_a_wrong_password_is_said(three: EmbeddedCluster) -> None:
    with pytest.raises(RedisRefused, match="check the user, the password"):
        Hub("x", redis=three.url.replace("//", "//nobody:wrong@"), shards=8).nodes()


def test_a_node_of_the_cluster_by_a_plain_url(three: EmbeddedCluster) -> None:
    other = next(port for port in three.ports if port != three.owner_of("plain"))
    with pytest.raises(RedisRefused, match=r"redis\+cluster://"):
        Hub("plain", redis=f"redis://127.0.0.1:{other}/0", shards=8).nodes()


def test_jobs_are_in_a_redis_of_their_own(three: EmbeddedCluster, real_server: RedisServer) -> None:
    hub = Hub("jobs-apart", redis=three.url, jobs_redis=real_server, shards=8)
    job = hub.enqueue(print, "hi")
    assert job.id in hub.rq_queue.job_ids
    hub.close()
    redis = SyncRedis(real_server)
    assert redis.run(plain("EXISTS", f"rq:job:{job.id}", read=int)) == 1
    redis.close()


def test_a_hub_without_jobs_is_deleted_from_a_cluster(
    three: EmbeddedCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    hub = Hub("deleted", redis=three.url, shards=8, groups=4)
    assert hub.nodes() == []
    hub.close()
    command = ["delete-hub", "deleted", "--yes", "--redis", three.url]
    assert outcome(command) == 2
    assert "A hub that has no jobs is deleted with --without-jobs" in capsys.readouterr().err
    assert "deleted" in {each.hub_id for each in hubs(three.url)}
    assert outcome([*command, "--without-jobs"]) == 0
    assert "hub deleted deleted: 4 keys" in capsys.readouterr().out
    assert "deleted" not in {each.hub_id for each in hubs(three.url)}
