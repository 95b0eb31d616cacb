"""Giving a version of the app a share of the shards, and looking how it goes (docs/rollouts.md)."""

from __future__ import annotations

from collections.abc import Collection

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import first_said, of_all, united
from hubq.client.asking.steps import Fetch, Operation
from hubq.core.rollout import Code, Ramp
from hubq.store.membership import read_nodes
from hubq.store.owners import read_owners
from hubq.store.places import read_why
from hubq.store.rollout import forget_ramp, read_ramp, set_ramp, tell_ramp


@of_all(first_said)
def rollout(hub: HubContext) -> Operation[Ramp | None]:
    """The share that is set now; None: there is none."""
    (ramp,) = yield Fetch([read_ramp(hub.keys)])
    found: Ramp | None = ramp
    return found


@of_all(lambda answers: None)
def ramp_to(hub: HubContext, ramp: Ramp, why: str = "") -> Operation[None]:
    """Give a version this share of the shards. The nodes begin to move them within a second or two."""
    kept = hub.config.events_kept
    yield Fetch([set_ramp(hub.keys, ramp), tell_ramp(hub.keys, ramp.version, f"{ramp.share:.0%}", why, kept)])


@of_all(first_said)
def codes(hub: HubContext) -> Operation[list[Code]]:
    """The code that each member has."""
    (nodes,) = yield Fetch([read_nodes(hub.keys)])
    return [Code(info.app_version, info.state_versions, frozenset(info.downgrading)) for info in nodes.values()]


@of_all(united)
def left_on(hub: HubContext, nodes: Collection[str]) -> Operation[dict[str, str]]:
    """The children that are served by these nodes, apart from their shards, and why."""
    (owners,) = yield Fetch([read_owners(hub.keys)])
    children = sorted(child for (_, child), owner in owners.pins.items() if owner.node in nodes)
    reasons: list[str] = (yield Fetch([read_why(hub.keys, child) for child in children])) if children else []
    return dict(zip(children, reasons, strict=True))


@of_all(lambda answers: None)
def end_rollout(hub: HubContext, version: str) -> Operation[None]:
    """Forget the share: nothing moves by itself."""
    yield Fetch([forget_ramp(hub.keys), tell_ramp(hub.keys, version, "", "ended", hub.config.events_kept)])
