"""Control messages between nodes: one closed union. Each docstring: who sends it, to whom, the answer, what silence means.

On the wire every field is text under its own name; ``kind`` says which message it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields


@dataclass(frozen=True, slots=True)
class StartChildren:
    """Source → target: build the children of this shard (or just those in ``child``, one per line), closed for intake.

    Answer: :class:`ChildStartProgress` while it builds, then :class:`ChildStartResp`. Silence for ``child_migration_timeout``: the
    source gives the move up.
    """

    sender: str
    shard: int
    handover_id: str
    child: str = ""


@dataclass(frozen=True, slots=True)
class ChildStartProgress:
    """Target → source, about every second: children are being built, those of this move, or those of another that come before them.

    No answer. Silence: the source takes it that no child has been built (a target of an older version is silent until it is done).
    """

    sender: str
    shard: int
    handover_id: str


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
    proof: str | None = None

    @property
    def asked(self) -> tuple[str, ...]:
        """What its proof says."""
        return ("withdraw", self.child, self.sender, self.message_id)

    @property
    def clients(self) -> tuple[str, ...]:
        """In whose name it asks."""
        return (self.sender,)


@dataclass(frozen=True, slots=True)
class Cancel:
    """Somebody (``sender`` is the client id) → owner of the child: a call of the client ``caller`` is not wanted any more.

    Answer: a reply under ``answer_id``, by the commit that holds what was done: ``cancelled`` (the call itself is answered so, too),
    ``in_thread`` (it goes on), ``done`` (the call's own reply has gone out, or goes with the same commit). Silence: the owner is
    blocked, dead, or giving the child away.
    """

    sender: str
    shard: int
    child: str
    caller: str
    message_id: str
    answer_id: str
    proof: str | None = None

    @property
    def asked(self) -> tuple[str, ...]:
        """What its proof says."""
        return ("cancel", self.child, self.sender, self.caller, self.message_id, self.answer_id)

    @property
    def clients(self) -> tuple[str, ...]:
        """In whose name it asks."""
        return (self.sender, self.caller)


@dataclass(frozen=True, slots=True)
class Intervene:
    """Somebody (``sender`` is the client id) → owner of the child: ``kill`` or ``stop`` it with its message in hand, or ``drop``
    the message ``entry`` that waits for it.

    Answer: a reply, by the commit that holds what was done. Silence: the owner is blocked, dead, or giving the child away.
    """

    sender: str
    shard: int
    child: str
    message_id: str
    what: str
    entry: str = ""
    proof: str | None = None

    @property
    def asked(self) -> tuple[str, ...]:
        """What its proof says."""
        return (self.what, self.child, self.sender, self.message_id, self.entry)

    @property
    def clients(self) -> tuple[str, ...]:
        """In whose name it asks."""
        return (self.sender,)


@dataclass(frozen=True, slots=True)
class Wake:
    """A node → itself: ends a blocking read, so that it goes on with other shards."""

    sender: str


ControlMessage = (
    StartChildren
    | ChildStartProgress
    | ChildStartResp
    | Handover
    | ChildrenPassed
    | HandoverConfirmed
    | PinReleased
    | ReplicaJoined
    | Revive
    | Withdraw
    | Cancel
    | Intervene
    | Wake
)

KINDS: dict[str, type[ControlMessage]] = {
    "start_children": StartChildren,
    "child_start_progress": ChildStartProgress,
    "child_start_resp": ChildStartResp,
    "handover": Handover,
    "children_passed": ChildrenPassed,
    "handover_confirmed": HandoverConfirmed,
    "pin_released": PinReleased,
    "replica_joined": ReplicaJoined,
    "revive": Revive,
    "withdraw": Withdraw,
    "cancel": Cancel,
    "intervene": Intervene,
    "wake": Wake,
}
#: Numbers beyond this are none that a node has written.
FAR = 1 << 63


def _whole(text: str) -> int:
    number = int(text)
    if not 0 <= number < FAR:
        raise ValueError(f"{number:.3g} is no number of a message")
    return number


def _real(text: str) -> float:
    number = float(text)
    if not abs(number) < FAR:  # NaN is not
        raise ValueError(f"{number} is no time")
    return number


_WORDS = {kind: word for word, kind in KINDS.items()}
_READ: dict[str, Callable[[str], object]] = {"int": _whole, "float": _real, "str": str, "str | None": str}


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
    """The reverse of :func:`to_fields`; None for a kind of a newer version. Raises ``ValueError``: it is malformed.

    >>> from_fields({"kind": "wake", "from": "a"})
    Wake(sender='a')
    >>> from_fields({"kind": "replica_joined", "from": "a", "shard": "NaN"})
    Traceback (most recent call last):
    ValueError: shard='NaN' of a message 'replica_joined'
    """
    kind = KINDS.get(flat.get("kind", ""))
    if kind is None:
        return None
    values: dict[str, object] = {}
    for field in fields(kind):
        name = "from" if field.name == "sender" else field.name
        if name in flat:
            try:
                values[field.name] = _READ[str(field.type)](flat[name])
            except (ValueError, OverflowError):
                raise ValueError(f"{name}={flat[name][:40]!r} of a message {flat['kind']!r}") from None
        elif field.default is MISSING:
            raise ValueError(f"a message {flat['kind']!r} without {name}")
    made: ControlMessage = kind(**values)  # type: ignore[arg-type]
    return made
