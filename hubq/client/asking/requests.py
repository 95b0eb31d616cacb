"""Messages and starts as script calls: how they are grouped, and how large a request may be."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Start
from hubq.errors import Unsealed
from hubq.store.command import Command
from hubq.store.one_send import OneSend
from hubq.store.outgoing import Outgoing, send_messages, start_children
from hubq.store.reminders import Later, send_reminders
from hubq.store.replies import read_reply
from hubq.store.spec_record import SpecRecord

log = logging.getLogger("hubq.client")

#: A wait for a reply is cut into slices of this many seconds, so that a dead connection is noticed.
WAIT_SLICE = 2.0
#: How long a send is repeated while Redis cannot be reached, seconds.
RETRY_FOR = 10.0
#: Most messages in one script call: half a millisecond of Redis's time.
BATCH = 128
#: Most messages in one request.
IN_FLIGHT = 512
#: Most shards in one request of a start.
STARTS = 500

#: How long a node may take to answer whether a call that has timed out was begun, seconds.
WITHDRAW_WAIT = 0.25


def new_sender(client: str = "") -> str:
    """A new sender id: 64 random bits, behind the name of the app."""
    return f"{client}.{secrets.token_hex(8)}" if client else secrets.token_hex(8)


def new_intervention() -> str:
    """The id of an intervention: it has no number, since doing it twice is the same as once."""
    return "i" + secrets.token_hex(8)


def proof(hub: HubContext, *asked: str) -> str:
    """What goes with an ask to a node, if the hub has a seal."""
    return hub.seal.proof(*asked) if hub.seal is not None else ""


def reply_of(hub: HubContext, sender: str, data: bytes) -> tuple[str, str, str, bytes] | None:
    """A reply: message id, status, node, payload. None: it is none that hubq has written for this sender."""
    try:
        reply = read_reply(data, sender, hub.seal)
    except Unsealed as error:
        log.warning("a reply is passed over: %s", error)
        return None
    if reply is None:
        log.warning("a malformed reply of %d bytes is passed over", len(data))
    return reply


def one_send(hub: HubContext, sender: str) -> OneSend:
    """Makes the commands of this sender that send one message each."""
    return OneSend(
        hub.keys,
        sender,
        sender_ttl_ms=int(hub.config.sender_ttl * 1000),
        max_backlog=hub.config.max_backlog,
        max_mailbox_bytes=hub.config.max_mailbox_bytes,
        seal=hub.seal,
    )


def send_commands(
    hub: HubContext, sender: str, numbers: Sequence[int], messages: Sequence[Outgoing]
) -> list[tuple[list[int], Command[list[str]]]]:
    """Messages and their numbers, grouped by shard, several shards to a script call: (places in the list, the command that sends them)."""
    by_shard: dict[int, list[int]] = {}
    shard_of = hub.shards_at_hand.__getitem__
    for place, shard in enumerate(map(shard_of, [message.child for message in messages])):
        if shard in by_shard:
            by_shard[shard].append(place)
        else:
            by_shard[shard] = [place]
    groups: list[tuple[list[int], Command[list[str]]]] = []
    shards: dict[int, list[tuple[int, Outgoing]]] = {}
    together: list[int] = []
    for shard, places in by_shard.items():
        for first in range(0, len(places), BATCH):
            batch = places[first : first + BATCH]
            if len(together) + len(batch) > BATCH:
                groups.append((together, _send_command(hub, sender, shards)))
                shards, together = {}, []
            shards[shard] = [(numbers[place], messages[place]) for place in batch]
            together += batch
    groups.append((together, _send_command(hub, sender, shards)))
    return groups


def _send_command(
    hub: HubContext, sender: str, shards: Mapping[int, Sequence[tuple[int, Outgoing]]]
) -> Command[list[str]]:
    return send_messages(
        hub.keys,
        sender,
        shards,
        sender_ttl_ms=int(hub.config.sender_ttl * 1000),
        max_backlog=hub.config.max_backlog,
        max_mailbox_bytes=hub.config.max_mailbox_bytes,
        seal=hub.seal,
    )


def remind_command(hub: HubContext, sender: str, seq: int, later: Later) -> Command[list[str]]:
    """The command that has one message sent later."""
    shards = {hub.shard_of(later.child): [(seq, later)]}
    return send_reminders(hub.keys, sender, shards, int(hub.config.sender_ttl * 1000))


def start_command(
    hub: HubContext, sender: str, seq: int, shard: int, specs: Mapping[str, SpecRecord], start: Start
) -> Command[list[str]]:
    """The command that writes the specs of one shard; their start id is the request's."""
    start_id = f"{sender}:{seq}"
    started = {child: replace(record, start_id=start_id) for child, record in specs.items()}
    if hub.seal is not None:
        started = {child: hub.seal.spec(child, record) for child, record in started.items()}
    written = {child: record.written() for child, record in started.items()}
    return start_children(
        hub.keys, shard, sender, seq, written, reply_to=sender, timeout_ms=0, all_or_nothing=start.all_or_nothing,
        sender_ttl_ms=int(hub.config.sender_ttl * 1000), options=start.options,
    )  # fmt: skip
