"""``hubq rollout``: a new version of the app gets a share of the shards first, and all of them if nothing is worse than before."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Annotated

import typer

from hubq.cli.loading import HubName, RedisUrl, open_hub
from hubq.cli.output import print_table, say
from hubq.cli.reachable import of_those_that_answer
from hubq.client.operations.rollouts import codes, end_rollout, left_on, ramp_to, rollout
from hubq.client.results import NodeStatus
from hubq.core.readiness import NOT_SERVING
from hubq.core.rollout import Health, Ramp, staying, without_return, worse
from hubq.core.wording import counted
from hubq.errors import ConfigError, HubqError

if TYPE_CHECKING:
    from hubq.client.hub import Hub

POLL = 1.0
#: Seconds in which a child that did not go back with its shard may follow.
FOLLOWS = 20.0


def rollout_command(
    hub: HubName,
    version: Annotated[
        str | None, typer.Argument(metavar="[VERSION]", help="The version that its workers say (--app-version).")
    ] = None,
    ramp: Annotated[str, typer.Option(metavar="SHARES", help="The shares, one after the other.")] = "10%,50%,100%",
    watch: Annotated[float, typer.Option(min=0.0, help="Seconds to watch each share.")] = 30.0,
    timeout: Annotated[float, typer.Option(min=1.0, help="Seconds until a share has moved.")] = 300.0,
    back: Annotated[bool, typer.Option("--back", help="Give all shards back to the other versions.")] = False,
    end: Annotated[bool, typer.Option("--end", help="Forget the share: nothing moves by itself.")] = False,
    redis: RedisUrl = None,
) -> None:
    """Give the workers of a new version a share of the shards, watch, and go on; if something is worse, give them back.

    Without VERSION: show the versions, and the share. Exit code 1 if the shards were given back.
    """
    if (back and end) or (version is not None and (back or end)):
        raise ConfigError("give one of VERSION, --back and --end")
    shares = shares_of(ramp)
    opened = open_hub(hub, redis)
    if version is None and not (back or end):
        with of_those_that_answer(opened):
            _show(opened.nodes(), opened.driver.drive(rollout(opened.driver.context)))
        return
    present = opened.driver.drive(rollout(opened.driver.context))
    if back or end:
        if present is None:
            raise HubqError(f"no version has a share of hub {opened.hub_id!r}: nothing is rolled out")
        _take_back(opened, present.version, "by hand") if back else _end(opened, present.version)
    elif version is not None:
        Rollout(opened, version, watch, timeout).run(shares)


def shares_of(text: str) -> list[float]:
    """The shares as numbers, or :class:`~hubq.errors.ConfigError`.

    >>> shares_of("10%,50%,100%"), shares_of("5 %, 100 %")
    ([0.1, 0.5, 1.0], [0.05, 1.0])
    """
    shares: list[float] = []
    for part in text.split(","):
        try:
            share = float(part.strip().removesuffix("%")) / 100
        except ValueError:
            share = math.nan
        if not 0 < share <= 1 or (shares and share <= shares[-1]):
            raise ConfigError(f"--ramp {text!r}: give growing shares from above 0% to 100%, as in 10%,50%,100%")
        shares.append(share)
    return shares


class Rollout:
    """One version on its way to its shares."""

    def __init__(self, hub: Hub, version: str, watch: float, timeout: float) -> None:
        self._hub = hub
        self._version = version
        self._watch = watch
        self._timeout = timeout

    def run(self, shares: list[float]) -> None:
        """Step by step. Raises :class:`~hubq.errors.HubqError` if it was given back."""
        nodes = self._hub.nodes()
        versions = {node.app_version for node in nodes if node.status == "up"}
        if self._version not in versions:
            known = ", ".join(sorted(version or "(none)" for version in versions)) or "none is up"
            raise HubqError(
                f"no worker of version {self._version!r} is up: start them first, with --app-version (there are: {known})"
            )
        if len(versions) == 1:
            raise HubqError(f"all workers are of version {self._version!r}: there is nothing to roll out")
        before = self._health(nodes)
        for line in without_return(self._hub.driver.drive(codes(self._hub.driver.context)), self._version):
            say(line)
        for share in shares:
            self._hub.driver.drive(ramp_to(self._hub.driver.context, Ramp(self._version, share)))
            say(f"{share:.0%} of the shards go to version {self._version}")
            self._moved(share, before)
            self._all_well(before)
        if shares[-1] == 1.0:
            _end(self._hub, self._version)
            say("done: drain the workers of the other versions")

    def _moved(self, share: float, before: Health) -> None:
        wanted = math.ceil(share * self._hub.config.shards)
        until = time.monotonic() + self._timeout
        while (there := self._shards()) != wanted:
            self._check(before)
            if time.monotonic() > until:
                self._give_back(f"{there} of {wanted} shards have moved within {self._timeout:g} s")
            time.sleep(POLL)

    def _all_well(self, before: Health) -> None:
        until = time.monotonic() + self._watch
        while time.monotonic() < until:
            self._check(before)
            time.sleep(min(POLL, self._watch))
        self._check(before)

    def _check(self, before: Health) -> None:
        if why := worse(before, self._health(self._hub.nodes())):
            self._give_back(why)

    def _give_back(self, why: str) -> None:
        _take_back(self._hub, self._version, why)
        self._report()
        raise HubqError(f"the shards go back to the other versions: {why}")

    def _report(self) -> None:
        """Wait until the shards have gone back, and say which children have not."""
        until = time.monotonic() + self._timeout
        while (there := self._shards()) and time.monotonic() < until:
            time.sleep(POLL)
        if there:
            say(
                f"{counted(there, 'shard is', 'shards are')} on workers of version {self._version} after {self._timeout:g} s still"
            )
        # A child that is busy follows when its message is done.
        until = min(until, time.monotonic() + FOLLOWS)
        while (left := self._left()) and time.monotonic() < until:
            time.sleep(POLL)
        for line in staying(left, self._version):
            say(line)

    def _left(self) -> dict[str, str]:
        own = [node.name for node in self._hub.nodes() if node.app_version == self._version]
        return self._hub.driver.drive(left_on(self._hub.driver.context, own))

    def _shards(self) -> int:
        return sum(node.shards for node in self._hub.nodes() if node.app_version == self._version)

    def _health(self, nodes: list[NodeStatus]) -> Health:
        live = [node for node in nodes if node.lease > 0 and node.status == "up"]
        own = [node for node in live if node.app_version == self._version]
        unready = [f"{node.name} is not ready: {node.unready}" for node in own if node.unready not in ("", NOT_SERVING)]
        return Health(
            parked=sum(node.parked for node in live),
            failing=sum(node.failing for node in live),
            nodes=len(own),
            unready=next(iter(unready), ""),
            blocked_for=max((node.blocked_for for node in own), default=0.0),
        )


def _take_back(hub: Hub, version: str, why: str) -> None:
    hub.driver.drive(ramp_to(hub.driver.context, Ramp(version, 0.0), why))
    say(f"0% of the shards go to version {version}")


def _end(hub: Hub, version: str) -> None:
    hub.driver.drive(end_rollout(hub.driver.context, version))


def _show(nodes: list[NodeStatus], ramp: Ramp | None) -> None:
    versions = sorted({node.app_version for node in nodes})
    rows = []
    for version in versions:
        own = [node for node in nodes if node.app_version == version]
        share = f"{ramp.share:.0%}" if ramp is not None and ramp.version == version else "-"
        rows.append((version or "(none)", len(own), sum(node.shards for node in own), share))
    print_table(("version", "workers", "shards", "share"), rows)
