"""``hubq acl``: ACL rules for the users of Redis."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from hubq.cli.loading import HubName, load_hub
from hubq.config import checked_name
from hubq.store.keys import Keys
from hubq.store.permissions import acl_rules


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
    redis6: Annotated[
        bool, typer.Option("--redis6", help="For Redis 6.2, whose rules cannot allow reading a key without writing it.")
    ] = False,
    jobs: Annotated[bool, typer.Option("--jobs", help="Add the keys that jobs use: rq:*.")] = False,
) -> None:
    """Print ACL rules for Redis: lines for redis-cli, or for the ACL file. Replace PASSWORD.

    It does not connect to Redis. `move`, `drain`, `dead replay` and `dead drop` need the rules of a worker.
    """
    hub_id = load_hub(hub).hub_id if ":" in hub else checked_name("hub id", hub)
    for each in [role] if role is not None else list(Role):
        rules = acl_rules(Keys(hub_id), each, read_only_keys=not redis6, jobs=jobs)
        print(f"ACL SETUSER {hub_id}-{each} on >PASSWORD {' '.join(rules)}")
