"""From what Redis holds to what is shown: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hubq.client.operations.happened import Event
from hubq.client.operations.inspection import SavedState
from hubq.client.operations.overview import Glance, NodeGlance, NodeRates
from hubq.client.operations.troubles import said_of
from hubq.client.results import NodeStatus
from hubq.config import Config
from hubq.store import viewer
from hubq.store.dead_letters import DeadLetter
from hubq.web.view import records

#: The longest text of one attribute and of the arguments of a letter, characters.
MOST_TEXT = 20_000
#: A node that has written no account for so long after it has joined is silent, seconds.
SILENT = 5.0


def moment(ms: str) -> float | None:
    """Milliseconds since 1970 as seconds.

    >>> moment("1500"), moment("soon")
    (1.5, None)
    """
    return int(ms) / 1000 if ms.isdecimal() and len(ms) < 16 else None


def hub_view(
    hub_id: str, redis: str, began: float | None, config: Config, found: Glance, members: Mapping[str, NodeStatus],
    rates: Mapping[str, NodeRates], moves: list[records.Move], partitioned: str,
) -> records.HubView:  # fmt: skip
    """The hub as one record."""
    views = [
        node_view(node, members.get(node.name), rates.get(node.name), config.lease, found.at) for node in found.nodes
    ]
    accounts = [node.vitals for node in found.nodes if node.vitals is not None and node.lease_left > 0]
    busy = [
        records.Doing(child, doing.method, doing.seconds, node.name)
        for node in found.nodes
        if node.vitals is not None
        for child, doing in node.vitals.busy.items()
    ]
    known = list(rates.values())
    return records.HubView(
        hub=hub_id,
        redis=redis,
        at=found.at,
        began=began,
        shards=len(found.owners),
        groups=config.groups,
        children=found.children,
        dormant=found.dormant,
        served=sum(owner is not None for owner in found.owners),
        moving=sorted({shard for account in accounts for shard in account.moving}),
        pins=len(found.pins),
        leader=found.leader,
        waiting=sum(sum(account.mailboxes.values()) for account in accounts),
        dead=sum(account.dead for account in accounts),
        messages=round(sum(rate.messages for rate in known), 1) if known else None,
        failed=round(sum(rate.failed for rate in known), 1) if known else None,
        partitioned=partitioned,
        nodes=sorted(views, key=lambda node: node.name),
        owners=list(found.owners),
        busy=sorted(busy, key=lambda doing: -doing.seconds),
        moves=moves,
    )


def node_view(
    node: NodeGlance, member: NodeStatus | None, rate: NodeRates | None, lease: float, now: float
) -> records.NodeView:
    """A node as one record."""
    account = node.vitals
    status, trouble = node.status, ""
    if node.lease_left <= 0:
        status, trouble = "gone", "its lease is over: its shards are being taken over"
    elif account is None:
        status = "silent" if node.uptime > SILENT else "joins"
    elif account.blocked is not None:
        status, trouble = "blocked", said_of(account.blocked, now)
    elif node.status == "up" and not account.ready:
        status, trouble = "not ready", account.unready
    return records.NodeView(
        name=node.name,
        status=status,
        lease_left=round(max(0.0, node.lease_left), 2),
        lease=account.settings.get("lease", lease) if account is not None else lease,
        uptime=round(node.uptime, 1),
        host=member.host if member else "",
        pid=member.pid if member else 0,
        version=member.version if member else "",
        app_version=member.app_version if member else "",
        tags=member.tags if member else {},
        shards=account.shards if account else 0,
        pins=account.pins if account else 0,
        children=account.children if account else 0,
        parked=account.parked if account else 0,
        backlog=sum(account.mailboxes.values()) if account else 0,
        memory=account.memory if account else 0,
        lag=account.lag if account else 0.0,
        messages=round(rate.messages, 1) if rate else None,
        failed=round(rate.failed, 1) if rate else None,
        cpu=round(rate.cpu, 3) if rate else None,
        trouble=trouble,
    )


def move(event: Event) -> records.Move:
    """What an event of a move says."""
    said = event.fields
    what = f"shard {said['shard']}" if event.type == "shard_migrated" and "shard" in said else said.get("child", "")
    try:
        pause = float(said["pause_ms"]) / 1000
    except (KeyError, ValueError):
        pause = None
    return records.Move(event.id, event.at, what, said.get("source", ""), said.get("node", ""), pause)


def state_view(saved: SavedState) -> records.StateView:
    """A saved state, without running any of it."""
    trouble, attributes, as_json, version = "", list[records.Attribute](), None, 1
    try:
        looked = viewer.look(saved.data)
        version = saved.version
        pairs = viewer.fields_of(looked)
        as_json = viewer.plain(looked)
        if pairs is None:
            attributes = [records.Attribute("", viewer.words(looked, MOST_TEXT))]
        else:
            attributes = [records.Attribute(str(name), viewer.words(value, MOST_TEXT)) for name, value in pairs]
    except (ValueError, RecursionError) as error:
        trouble = f"it cannot be shown ({error}): take hubq state --raw"
    return records.StateView(saved.size, version, saved.form, saved.message_age, attributes, as_json, trouble)


def letter(dead: DeadLetter) -> records.LetterView:
    """A dead letter."""
    return records.LetterView(
        dead.letter, dead.shard, dead.child, dead.class_name, dead.kind, dead.method, dead.why, dead.error,
        arguments(dead.payload), len(dead.payload), dead.sent / 1000, dead.died / 1000, dead.tries, list(dead.crashes),
        dead.sender,
    )  # fmt: skip


def arguments(payload: bytes) -> str:
    """The arguments of a message, without running any of them, or why they cannot be shown."""
    if not payload:
        return ""
    try:
        return viewer.arguments(payload, MOST_TEXT)
    except (ValueError, RecursionError) as error:
        return f"cannot be shown ({error})"


@dataclass(frozen=True, slots=True)
class OfChild:
    """Takes the events of a child, and those that say where its shard went."""

    child: str
    shard: str
    of_shard: Sequence[str] = ("shard_migrated", "shard_adopted", "shard_parked", "handover_overdue")

    def takes(self, event: Event) -> bool:
        """Whether this event is meant."""
        said = event.fields
        if event.type in self.of_shard:
            return said.get("shard") == self.shard
        return said.get("child") == self.child or f'"{self.child}"' in said.get("children", "")
