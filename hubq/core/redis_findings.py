"""What the diagnosis finds in the settings and figures of Redis."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address

from hubq.core.facts import Facts, Finding

#: Redis memory in use above this share of ``maxmemory`` is a finding.
MEMORY_SHARE = 0.8


def settings_of_redis(facts: Facts) -> Iterable[Finding]:
    said = facts.redis
    policy = said.get("maxmemory-policy", "")
    if policy and policy != "noeviction":
        yield Finding(
            "Redis may evict",
            f"maxmemory-policy is {policy}: when its memory is full, Redis deletes mailboxes and states",
            "CONFIG SET maxmemory-policy noeviction, and set it in redis.conf",
        )
    if said.get("appendonly") == "no":
        yield Finding(
            "Redis may forget",
            "appendonly is off: a restart of Redis loses all since its last snapshot, or all if it takes none",
            "CONFIG SET appendonly yes, and set it in redis.conf",
        )
    used, most = int(said.get("used_memory") or 0), int(said.get("maxmemory") or 0)
    if most and used > most * MEMORY_SHARE:
        yield Finding(
            "Redis is nearly full",
            f"it uses {used / most:.0%} of maxmemory ({used // 2**20} of {most // 2**20} MiB)",
            "raise maxmemory, or find what grows: hubq mailbox, hubq ps",
        )
    if said.get("password") == "no" and not _is_private(facts.host):
        yield Finding(
            "Redis without a password",
            f"Redis at {facts.host} accepts connections without a password, and hubq unpickles the data that it reads there",
            "set a password or ACL users (hubq acl), and close its port to the outside",
        )


def _is_private(host: str) -> bool:
    if host in ("", "localhost"):
        return True
    try:
        return ip_address(host.strip("[]")).is_private
    except ValueError:
        return "." not in host or host.endswith((".internal", ".local", ".svc", ".lan"))
