"""Who owns which shard or pin, and how the token passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from hubq.config import Config
from hubq.core.malformed import Malformed
from hubq.store.command import Arg, Command, plain, run_script, text
from hubq.store.effects import Effects
from hubq.store.keys import Keys, owner_field, split_owner_field

#: Most keys and arguments of one commit script with several shards: about a millisecond of Redis's time.
TOGETHER = 2_000


@dataclass(frozen=True, slots=True)
class Owner:
    """One owner line: ``node incarnation token``; node ``-`` is nobody.

    >>> Owner.read(b"a 3 7"), Owner("a", 3, 7).line
    (Owner(node='a', incarnation=3, token=7), 'a 3 7')
    """

    node: str
    incarnation: int
    token: int

    @property
    def line(self) -> str:
        """The line as it stands in Redis."""
        return f"{self.node} {self.incarnation} {self.token}"

    @classmethod
    def read(cls, line: Any) -> Owner:
        """The reverse of :attr:`line`. Raises ``ValueError``: it is no owner line."""
        node, incarnation, token = text(line).split(" ")
        if not node or not incarnation.isdecimal() or not token.isdecimal() or len(incarnation) + len(token) > 36:
            raise ValueError("no owner line (node incarnation token)")
        return cls(node, int(incarnation), int(token))

    @classmethod
    def of(cls, line: Any) -> Owner:
        """The owner that the line names; nobody for None, and for what is no owner line.

        >>> Owner.of(None), Owner.of(b"a 1 7").token, Owner.of(b"garbage").node
        (Owner(node='-', incarnation=0, token=0), 7, '-')
        """
        try:
            return cls.read(line) if line is not None else NOBODY
        except ValueError:
            return NOBODY


#: Who owns what has no owner.
NOBODY = Owner("-", 0, 0)


@dataclass(frozen=True, slots=True)
class Owners:
    """The whole ``owners`` hash. A malformed line is nobody's: its shard is claimed, its pin dissolved, as after a crash."""

    shards: dict[int, Owner]
    pins: dict[tuple[int, str], Owner]
    malformed: tuple[Malformed, ...] = ()
    _by_shard: dict[int, dict[str, Owner]] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for (shard, child), owner in self.pins.items():
            self._by_shard.setdefault(shard, {})[child] = owner

    def pinned(self, shard: int) -> Mapping[str, Owner]:
        """The children of a shard that are pinned, and to whom."""
        return self._by_shard.get(shard, {})


def read_owners(keys: Keys) -> Command[Owners]:
    """Everything there is to know of ownership, in one look."""

    def read(answer: Any) -> Owners:
        shards: dict[int, Owner] = {}
        pins: dict[tuple[int, str], Owner] = {}
        malformed: list[Malformed] = []
        for name, line in zip(answer[::2], answer[1::2], strict=True):
            try:
                shard, child = split_owner_field(name.decode())
                try:
                    owner = Owner.read(line)
                except ValueError as error:
                    malformed.append(Malformed.of(f"field {text(name)!r} of {keys.owners}", error))
                    owner = NOBODY
            except ValueError as error:  # it belongs to no shard
                malformed.append(Malformed.of(f"field {text(name)!r} of {keys.owners}", error))
                continue
            if child is None:
                shards[shard] = owner
            else:
                pins[shard, child] = owner
        return Owners(shards, pins, tuple(malformed))

    return plain("HGETALL", keys.owners, read=read)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the scripts that see a crash need to write: how many events and dead letters are kept, and for how long a
    reply (ms).
    """

    events: int
    letters: int
    reply_ttl_ms: int

    @classmethod
    def of(cls, config: Config) -> Kept:
        """As the hub is configured."""
        return cls(config.events_kept, config.dead_kept, int(config.reply_ttl * 1000))


def claim_shards(
    keys: Keys,
    node: str,
    incarnation: int,
    shards: Sequence[int],
    pins: Sequence[tuple[int, str]],
    kept: Kept,
    callers: Sequence[str] = (),
) -> Command[dict[int, int] | None]:
    """Take ownerless shards: shard -> token for those taken. None: this node is no member any more.

    An owner that is gone without having parked its shard has crashed: what it had in hand is counted (docs/poison.md).
    """

    def read(answer: Sequence[Any]) -> dict[int, int] | None:
        if text(answer[0]) != "ok":
            return None
        return {int(answer[i]): int(answer[i + 1]) for i in range(1, len(answer), 2)}

    places = list(dict.fromkeys([*shards, *(shard for shard, _ in pins)]))
    names = [keys.owners, keys.nodes, keys.events, keys.stragglers]
    for shard in places:
        names += keys.crash_keys(shard)
    return run_script(
        "claim_shards",
        [*names, *map(keys.reply, callers)],
        [
            node, incarnation, kept.events, kept.letters, kept.reply_ttl_ms, len(shards), len(places), len(callers),
            *places, *callers, *(owner_field(shard, child) for shard, child in pins),
        ],
        read,
        lambda more: claim_shards(keys, node, incarnation, shards, pins, kept, [*callers, *more]),
    )  # fmt: skip


def pass_token(
    keys: Keys,
    shard: int,
    source: Owner,
    target: str,
    incarnation: int,
    *,
    handover_id: str,
    closed_at_ms: float,
    pinned: Mapping[str, str],
    apart: Iterable[str] = (),
    effects: Effects,
    events_kept: int,
) -> Command[str]:
    """Give the shard to the target, but for the ``pinned`` children (child -> why): ``passed``, ``fenced`` or ``target_gone``.

    ``apart``: the children that have a pin already. The target is told of both.
    """
    names, arguments = effects.for_script(keys, shard)
    return run_script(
        "pass_token",
        [keys.owners, keys.nodes, keys.leases, keys.events, keys.control(target), keys.stragglers, *names],
        [
            owner_field(shard), source.line, target, incarnation, handover_id, f"{closed_at_ms:.3f}", source.node,
            events_kept, "\n".join(apart), len(pinned), *(part for pin in pinned.items() for part in pin), *arguments,
        ],
        text,
    )  # fmt: skip


def release_pin(
    keys: Keys,
    shard: int,
    child: str,
    owner: Owner,
    *,
    closed_at_ms: float,
    effects: Effects,
    events_kept: int,
    nodes: Sequence[str] = (),
) -> Command[str]:
    """Give a pinned child back to its shard: ``released`` or ``fenced``."""
    names, arguments = effects.for_script(keys, shard)
    return run_script(
        "release_pin",
        [keys.owners, keys.events, keys.stragglers, *names, *map(keys.control, nodes)],
        [
            shard, child, owner.line, f"{closed_at_ms:.3f}", owner.node, events_kept, len(nodes), *nodes, *arguments
        ],
        lambda answer: text(answer[0]),
        lambda nodes: release_pin(
            keys, shard, child, owner, closed_at_ms=closed_at_ms, effects=effects, events_kept=events_kept, nodes=nodes
        ),
    )  # fmt: skip


def dissolve_pins(
    keys: Keys, shard: int, owner: Owner, children: Sequence[str], kept: Kept, callers: Sequence[str] = ()
) -> Command[tuple[str, ...] | None]:
    """Free pinned children whose pin's owner is gone: those freed. None: fenced."""

    def read(answer: Sequence[Any]) -> tuple[str, ...] | None:
        return None if text(answer[0]) == "fenced" else tuple(text(child) for child in answer[1:])

    return run_script(
        "dissolve_pins",
        [keys.owners, keys.nodes, keys.events, keys.stragglers, *keys.crash_keys(shard), *map(keys.reply, callers)],
        [
            owner_field(shard), owner.line, kept.events, kept.letters, kept.reply_ttl_ms, len(callers), *callers, *children
        ],
        read,
        lambda more: dissolve_pins(keys, shard, owner, children, kept, [*callers, *more]),
    )  # fmt: skip


def park_shard(
    keys: Keys, shard: int, pinned: str | None, owner: Owner, effects: Effects, events_kept: int
) -> Command[str]:
    """Own it no more, with everything saved: ``parked`` or ``fenced``."""
    names, arguments = effects.for_script(keys, shard)
    return run_script(
        "park_shard",
        [keys.owners, keys.events, *names],
        [owner_field(shard, pinned), owner.line, owner.node, events_kept, *arguments],
        text,
    )


def commit_shard(keys: Keys, shard: int, pinned: str | None, owner: Owner, effects: Effects) -> Command[str]:
    """The commit of one shard or pin: ``ok``, ``held`` (ok; something waits in the outbox of the shard) or ``fenced``."""
    names, arguments = _commit(keys, shard, pinned, owner, effects)
    return run_script("commit_shards", [keys.owners, *names], arguments, lambda words: text(words[0]))


def commit_shards(keys: Keys, commits: Sequence[tuple[int, str | None, Owner, Effects]]) -> list[Command[list[str]]]:
    """The commits of several shards or pins, in order, in few scripts: ``ok``, ``held`` or ``fenced`` for each."""
    if len(commits) == 1 and commits[0][3].plain:  # a call by itself
        shard, pinned, owner, effects = commits[0]
        first = "cut" if effects.cut or effects.asked_at else "plain"
        names, arguments = _commit(keys, shard, pinned, owner, effects, first)
        return [run_script("commit_shards", (keys.owners, *names), (first, *arguments), _all_words)]
    first = ""
    if all(effects.plain for _, _, _, effects in commits):
        first = "cut" if any(effects.cut or effects.asked_at for _, _, _, effects in commits) else "plain"
    scripts: list[tuple[list[str], list[Arg]]] = []
    for shard, pinned, owner, effects in commits:
        names, arguments = _commit(keys, shard, pinned, owner, effects, first)
        if scripts and len(scripts[-1][0]) + len(scripts[-1][1]) + len(names) + len(arguments) <= TOGETHER:
            scripts[-1][0].extend(names)
            scripts[-1][1].extend(arguments)
        else:
            scripts.append(([keys.owners, *names], [first, *arguments] if first else arguments))
    return [run_script("commit_shards", names, arguments, _all_words) for names, arguments in scripts]


def _all_words(answer: Sequence[bytes]) -> list[str]:
    return [text(word) for word in answer]


def _commit(
    keys: Keys, shard: int, pinned: str | None, owner: Owner, effects: Effects, first: str = ""
) -> tuple[list[str], list[Arg]]:
    """``first``: the first argument of the script. Empty: what is committed is not plain."""
    names, arguments = effects.for_plain(keys, shard, first == "cut") if first else effects.for_script(keys, shard)
    return names, [len(arguments) + 3, len(names), owner_field(shard, pinned), owner.line, *arguments]


def renew_tokens(
    keys: Keys, node: str, renewals: Sequence[tuple[int, str | None, Owner, Owner]], events_kept: int
) -> Command[list[str]]:
    """Void what was sent under old tokens and may still be on its way: ``renewed`` or ``fenced`` for each shard or pin, with its owner
    before and after.
    """
    lines = [(owner_field(shard, pinned), before.line, after.line) for shard, pinned, before, after in renewals]
    return run_script(
        "renew_tokens", [keys.owners, keys.events], [node, events_kept, *chain.from_iterable(lines)], _all_words
    )
