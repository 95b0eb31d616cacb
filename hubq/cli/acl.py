"""``hubq acl``: ACL rules for the users of Redis."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from hubq.cli.loading import HubName, load_hub
from hubq.config import checked_name
from hubq.core.job_names import checked_for_jobs, id_prefix
from hubq.errors import ConfigError
from hubq.store.job_permissions import Jobs
from hubq.store.keyring import checked_client
from hubq.store.keys import Keys
from hubq.store.permissions import acl_rules

#: What stands in the rules for the hash of a password.
PLACE = "SHA256"


class Role(StrEnum):
    """The user for whom the rules are."""

    WORKER = "worker"
    CLIENT = "client"
    INSPECTOR = "inspector"


def acl_command(
    hub: HubName,
    role: Annotated[
        Role | None, typer.Argument(metavar="[ROLE]", help="worker, client (a web app), or inspector (reads only).")
    ] = None,
    client: Annotated[
        str, typer.Option("--client", metavar="NAME", help="For the web app of this name (HUBQ_CLIENT) alone.")
    ] = "",
    redis6: Annotated[
        bool, typer.Option("--redis6", help="For Redis 6.2, where a client can do all that a worker can.")
    ] = False,
    groups: Annotated[
        int, typer.Option(metavar="N", min=1, help="How many groups the hub has, if HUB is its id. Default: one.")
    ] = 1,
    jobs: Annotated[
        bool, typer.Option("--jobs", help="Add what the jobs of this hub take: not those of other hubs on this Redis.")
    ] = False,
    all_jobs: Annotated[
        bool,
        typer.Option("--all-jobs", help="Add all of RQ's keys, for queues that other clients of RQ fill or serve."),
    ] = False,
) -> None:
    """Print ACL rules for Redis, a line for redis-cli for each user. Replace SHA256 by the hash of its password.

    It does not connect to Redis: for a hub with several groups name the Hub as module:attribute, or give --groups.
    `move`, `drain`, `dead replay` and `dead drop` need the rules of a worker.
    """
    if jobs and all_jobs:
        raise ConfigError("--jobs and --all-jobs contradict each other: leave one out")
    loaded = load_hub(hub) if ":" in hub else None
    hub_id = loaded.hub_id if loaded is not None else checked_name("hub id", hub)
    groups = loaded.config.groups if loaded is not None else groups
    if client and (redis6 or role not in (None, Role.CLIENT)):
        raise ConfigError("--client is for the role client, on Redis 7: leave the other one out")
    reach = Jobs.ALL if all_jobs else Jobs.OWN if jobs else Jobs.NONE
    if jobs:
        checked_for_jobs(hub_id)
    roles = [Role.CLIENT] if client else [role] if role is not None else list(Role)
    name = checked_client(client) if client else ""
    for each in roles:
        rules = acl_rules(Keys(hub_id), each, read_only_keys=not redis6, jobs=reach, client=name, groups=groups)
        words = [f"{rules[0]} on #{PLACE}", *(f"'{rule}'" if rule[0] in "(%~&" else rule for rule in rules[1:])]
        print(f"ACL SETUSER {hub_id}-{name or each} {' '.join(words)}")
    print(
        f'{PLACE} is what `printf %s "$PASSWORD" | sha256sum` prints. Redis lets in everybody until you close the user '
        "without a password (have a user of your own first, who may do all): ACL SETUSER default off",
        file=sys.stderr,
    )
    if redis6:
        print("Redis 6.2 has no selectors: the client can do all that a worker can", file=sys.stderr)
    if jobs:
        print(
            f"a job with an id of your own (job_id=...) is one of this hub if the id begins with {id_prefix(hub_id)!r}",
            file=sys.stderr,
        )
    if all_jobs:
        print(
            "everybody who may enqueue jobs can have any function run in the job workers of every hub here",
            file=sys.stderr,
        )
