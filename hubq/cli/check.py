"""``hubq check``: whether the code here can run the children that a hub has, before it is deployed."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from hubq.cli.loading import App, AsJson, RedisUrl, load_hub
from hubq.cli.output import print_json, say
from hubq.client.operations.saved_states import Saved, SavedStates
from hubq.core.wording import counted, names
from hubq.errors import ConfigError, HubqError, StartFailed
from hubq.store.keys import Keys

if TYPE_CHECKING:
    from hubq.client.hub import Hub

#: Children that are named for one cause.
NAMED = 1_000
#: Causes that are told apart; the last one stands for all others.
MOST_CAUSES = 100


def check_command(
    app: App,
    states: Annotated[
        bool, typer.Option("--states", help="Build every child, and bring its saved state up to date.")
    ] = False,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", help="At most about N children, from all shards.")
    ] = None,
    as_json: AsJson = False,
    redis: RedisUrl = None,
) -> None:
    """Look whether the code here can run the children of a hub. Exit code 1 if it cannot run one, or if there is no such hub.

    Nothing in Redis changes. It looks for the classes of all children. With `--states` it runs `__init__`, `upgrade_state` and
    `alter_handover_state` of each child, in this process.
    """
    if sample is not None and sample < 1:
        raise ConfigError(f"--sample {sample}: give a number from 1 on")
    hub = load_hub(app, redis)
    if states and (seal := hub.driver.context.seal) is not None:
        seal.keys.for_workers()
    _refuse_none(hub)
    found = asyncio.run(_look(hub, states, sample))
    if as_json:
        print_json(asdict(found))
    else:
        found.say(states, sampled=sample is not None)
    if found.failed:
        raise typer.Exit(1)


@dataclass
class Cause:
    """Why children of a class (``kind``) cannot run: how many, and the ids of some of them."""

    kind: str
    cause: str
    count: int
    children: list[str]


@dataclass
class Found:
    """What came of the trials: children looked at, those of them with a saved state, those that cannot run, and why."""

    children: int = 0
    with_state: int = 0
    failed: int = 0
    causes: list[Cause] = field(default_factory=list)

    def add(self, saved: Saved, why: str) -> None:
        """A child was tried."""
        self.children += 1
        self.with_state += saved.envelope is not None
        if not why:
            return
        self.failed += 1
        kind = saved.record.name
        cause = next((each for each in self.causes if (each.kind, each.cause) == (kind, why)), None)
        if cause is None and len(self.causes) < MOST_CAUSES:
            cause = Cause(kind, why, 0, [])
            self.causes.append(cause)
        elif cause is None:
            cause = self.causes[-1]
            cause.kind = cause.cause = "other causes"
        cause.count += 1
        if len(cause.children) < NAMED:
            cause.children.append(saved.child_id)

    def say(self, states: bool, *, sampled: bool = False) -> None:
        """Print it for people."""
        for cause in self.causes:
            number = counted(cause.count, f"child of class {cause.kind}", f"children of class {cause.kind}")
            say(f"{number} cannot run with this code: {names(cause.children)}: {cause.cause}")
        looked = f"{counted(self.children, 'child', 'children')} {'of a sample ' if sampled else ''}looked at"
        restored = counted(self.with_state, "saved state", "saved states")
        if self.failed:
            say(f"{looked}: {self.failed} cannot run with this code")
        elif states:
            say(f"{looked}: all were built, {restored} restored")
        else:
            say(f"{looked}: the class of each is known (--states tries their states, too)")


def _refuse_none(hub: Hub) -> None:
    """Raise :class:`~hubq.errors.HubqError` if Redis knows no such hub: that all of none can run would tell nothing. (The first question
    to a hub begins it in Redis, and here nothing is to change.)
    """
    from hubq.store.connection import SyncRedis
    from hubq.store.membership import read_config
    from hubq.store.server import of_hub

    server = of_hub(hub.groups.given[0], hub.hub_id)
    connection = SyncRedis(server)
    try:
        known = connection.run(read_config(Keys(hub.hub_id))) is not None
    finally:
        connection.close()
    if not known:
        raise HubqError(
            f"no hub {hub.hub_id!r} in Redis at {server.address}: check the id and --redis. "
            "Before its first worker there is nothing to check"
        )


async def _look(hub: Hub, states: bool, sample: int | None) -> Found:
    """A loop runs meanwhile, as in a worker: an ``__init__`` may ask for it."""
    found = Found()
    most = None if sample is None else max(1, -(-sample // hub.config.shards))
    limit = hub.config.max_state_bytes
    reading = SavedStates(hub.aio.driver.context, most)
    try:
        while not reading.done and (sample is None or found.children < sample):
            for saved in await hub.aio.driver.drive(reading.page()):
                if sample is None or found.children < sample:
                    found.add(saved, _why(hub, saved, limit) if states else _unknown_class(hub, saved))
            if sys.stderr.isatty():
                shards = f"{reading.shards_read} of {hub.config.shards} shards"
                print(f"\r{found.children:,} children, {shards}", end="", file=sys.stderr)
    finally:
        await hub.aio.close()
        if sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr)
    found.causes.sort(key=lambda cause: -cause.count)
    for cause in found.causes:
        cause.children.sort()
    return found


def _why(hub: Hub, saved: Saved, limit: int) -> str:
    from hubq.node.held.state_trial import try_state

    return try_state(
        hub.classes,
        hub.driver.context.values,
        hub.driver.context.seal,
        saved.child_id,
        saved.record,
        saved.envelope,
        limit,
    )


def _unknown_class(hub: Hub, saved: Saved) -> str:
    if saved.record.malformed:
        return f"its spec is malformed ({saved.record.malformed})"
    try:
        hub.classes.resolve(saved.record.name, saved.record.module)
    except StartFailed as error:
        return str(error)
    return ""
