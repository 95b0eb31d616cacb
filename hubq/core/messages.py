"""Control messages between nodes: one closed union. Each docstring: who sends it, to whom, the answer, what silence means.

On the wire every field is text under its own name; ``kind`` says which message it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class StartChildren:
    """Source → target: build the children of this shard (or just those in ``child``, one per line), closed for intake.

    Answer: :class:`ChildStartResp`. Silence: after ``child_migration_timeout`` the source gives the move up.
    """

    sender: str
    shard: int
    handover_id: str
    child: str = ""


@dataclass(frozen=True, slots=True)
class ChildStartResp:
    """Target → source: the children are built, but for those in ``failed`` (ids, one per line; ``reasons`` likewise).

    Answer: :class:`Handover`. Silence: the target drops what it built.
    """

    sender: str
    shard: int
    handover_id: str
    failed: str
    reasons: str = ""


@dataclass(frozen=True, slots=True)
class Handover:
    """Source → target, written by the script that passes the token: the shard is yours.

    Answer: :class:`HandoverConfirmed`. If it is lost, the target finds itself in ``owners`` at its next heartbeat.
    """

    sender: str
    shard: int
    token: int
    handover_id: str
    closed_at: float
    pins: str | None = None
    """The children of the shard that do not come with it, since they have a pin (one per line). None: the source does not
    say it, since it is of an older version."""

    @property
    def pinned(self) -> list[str] | None:
        """The same as a list."""
        return None if self.pins is None else [child for child in self.pins.split("\n") if child]


@dataclass(frozen=True, slots=True)
class ChildrenPassed:
    """Owner of a shard → target, written by the script that makes the pins: these children (one per line) are yours.

    Answer: :class:`HandoverConfirmed`. If it is lost, the target finds its pins in ``owners`` at its next heartbeat.
    """

    sender: str
    shard: int
    token: int
    handover_id: str
    closed_at: float
    children: str


@dataclass(frozen=True, slots=True)
class HandoverConfirmed:
    """Target → source: the children run here. No answer; the source waits for nothing any more."""

    sender: str
    shard: int
    handover_id: str


@dataclass(frozen=True, slots=True)
class PinReleased:
    """Owner of a pin → owner of its shard, written by the script that dissolves the pin: the child is yours again.

    If it is lost, the shard's owner sees at its next heartbeat that the pin is gone.
    """

    sender: str
    shard: int
    child: str
    closed_at: float


@dataclass(frozen=True, slots=True)
class ReplicaJoined:
    """Follower → owner of the shard: write into the log the states that ``msk`` does not hold.

    The log is the answer. Silence: the follower asks again.
    """

    sender: str
    shard: int


@dataclass(frozen=True, slots=True)
class Revive:
    """Client that replays a dead letter → owner of the shard, written by that script: start the parked child again.

    No answer. If it is lost, the owner sees within a while that the child is no longer meant to be parked.
    """

    sender: str
    shard: int
    child: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A caller whose time is over (``sender`` is its client id) → owner of the child: was the call begun?

    Answer: the reply ``overdue`` if it was not, and never will be; none if it was begun, or if the node cannot tell.
    Silence: after a moment the caller takes it that the call may have been run.
    """

    sender: str
    shard: int
    child: str
    message_id: str


@dataclass(frozen=True, slots=True)
class Wake:
    """A node → itself: ends a blocking read, so that it goes on with other shards."""

    sender: str


ControlMessage = (
    StartChildren
    | ChildStartResp
    | Handover
    | ChildrenPassed
    | HandoverConfirmed
    | PinReleased
    | ReplicaJoined
    | Revive
    | Withdraw
    | Wake
)

KINDS: dict[str, type[ControlMessage]] = {
    "start_children": StartChildren,
    "child_start_resp": ChildStartResp,
    "handover": Handover,
    "children_passed": ChildrenPassed,
    "handover_confirmed": HandoverConfirmed,
    "pin_released": PinReleased,
    "replica_joined": ReplicaJoined,
    "revive": Revive,
    "withdraw": Withdraw,
    "wake": Wake,
}
_WORDS = {kind: word for word, kind in KINDS.items()}
_READ = {"int": int, "float": float, "str": str, "str | None": str}


def to_fields(message: ControlMessage) -> dict[str, str]:
    """A message as text fields.

    >>> to_fields(Wake("a"))
    {'kind': 'wake', 'from': 'a'}
    """
    flat = {"kind": _WORDS[type(message)]}
    for field in fields(message):
        value = getattr(message, field.name)
        if value is not None:
            flat["from" if field.name == "sender" else field.name] = str(value)
    return flat


def from_fields(flat: Mapping[str, str]) -> ControlMessage | None:
    """The reverse of :func:`to_fields`; None for a kind of a newer version.

    >>> from_fields({"kind": "wake", "from": "a"})
    Wake(sender='a')
    """
    kind = KINDS.get(flat.get("kind", ""))
    if kind is None:
        return None
    values = {
        field.name: _READ[str(field.type)](flat["from" if field.name == "sender" else field.name])
        for field in fields(kind)
        if field.name == "sender" or field.name in flat
    }
    return kind(**values)


def entry_ms(entry: str) -> int:
    """When a stream entry was written, ms of Redis TIME: the first part of its id. 0 for none (``"0"``, ``""``, ``"-"``).

    >>> entry_ms("1795433907312-0"), entry_ms("0")
    (1795433907312, 0)
    """
    first = entry.partition("-")[0]
    return int(first) if first.isdigit() else 0
