"""``hubq acl --jobs``: a real worker runs the jobs of its hub under the users that it prints, and those of no other hub."""

from __future__ import annotations

import shlex
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from rq import Retry

from hubq import Hub
from hubq.core.job_names import id_prefix
from hubq.errors import RedisRefused
from hubq.store.command import plain
from hubq.store.connection import RedisServer, SyncRedis
from hubq.store.embedded import EmbeddedServer

from .waiting import ended

if TYPE_CHECKING:
    from conftest import Shell

pytestmark = pytest.mark.acceptance


def run(redis: SyncRedis, *words: str) -> Any:
    return redis.run(plain(*words, read=lambda answer: answer))


def users_of(hub_id: str, shell: Shell, admin: SyncRedis, url: str) -> dict[str, str]:
    """The URL of each user that ``hubq acl --jobs`` prints for a hub."""
    found: dict[str, str] = {}
    for line in shell.run("acl", hub_id, "--jobs").stdout.splitlines():
        words = shlex.split(line.replace("#SHA256", f"#{sha256(b'secret').hexdigest()}"))
        run(admin, *words)
        found[words[2].rpartition("-")[2]] = url.replace("redis://", f"redis://{words[2]}:secret@")
    return found


@pytest.mark.long
def test_two_hubs_with_jobs_on_one_redis_are_apart(shell: Shell, redis_server: EmbeddedServer, hub_id: str) -> None:
    admin = SyncRedis(RedisServer(redis_server.url))
    if run(admin, "INFO", "server").split(b"redis_version:")[1][:1] < b"7":
        pytest.skip("Redis 6.2 has no selectors")
    mine, theirs = (users_of(name, shell, admin, redis_server.url) for name in (hub_id, f"{hub_id}-2"))
    run(admin, "ACL", "LOG", "RESET")
    shell.environment["HUBQ_TEST_CRON"] = "1"
    worker = shell.spawn("jobs_app:hub", "--name", "a", "--jobs", "1", "--redis", mine["worker"])
    worker.wait_line("hubq worker a: ")
    web = Hub(hub_id, redis=mine["client"])
    plain_job, keyed = web.enqueue("jobs_app.add", 1, 2), web.enqueue("jobs_app.add", 3, 4, key="k")
    retried = web.enqueue("jobs_app.fails", retry=Retry(1, interval=1))
    later = web.enqueue_in(0.1, "jobs_app.where_am_i")
    for job in (plain_job, keyed, retried, later):
        ended(job)
    assert [job.return_value(refresh=True) for job in (plain_job, keyed, later)] == [3, 7, hub_id]
    assert "job" in shell.ok("jobs", hub_id, "--redis", mine["inspector"]).lower()
    assert run(admin, "BLMOVE", f"notes:{hub_id}", f"seen:{hub_id}", "LEFT", "RIGHT", "20") == b"tick", "cron"
    assert run(admin, "ACL", "LOG") == []

    # The web app of the other hub, in the name of the first one.
    attacker = Hub(hub_id, redis=theirs["client"])
    for act in (
        lambda: attacker.enqueue("os.system", "true"),
        lambda: attacker.enqueue("os.system", "true", job_id=f"{id_prefix(hub_id)}x"),
        lambda: attacker.enqueue_in(1, "os.system", "true"),
        lambda: attacker.job_progress(plain_job.id),
    ):
        with pytest.raises(RedisRefused, match="permission"):
            act()
    for one in (web, attacker):
        one.close()
    admin.close()
