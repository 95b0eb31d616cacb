"""With which keys what a hub keeps is sealed; sealing it anew."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from hubq.client.asking.context import HubContext
from hubq.client.asking.over_groups import of_all
from hubq.client.asking.steps import Fetch, Operation
from hubq.errors import ConfigError, Unsealed
from hubq.store.frames import form_of
from hubq.store.registry import read_some_specs
from hubq.store.sealed_fields import dormant_anew, parts_of, scan, sealed_by, spec_anew, state_anew, write_anew


def _hashes(hub: HubContext, shard: int) -> tuple[tuple[str, str], ...]:
    keys = hub.keys
    return ("spec", keys.children(shard)), ("state", keys.msk(shard)), ("dormant", keys.dormant(shard))


@dataclass(frozen=True, slots=True)
class SealCount:
    """How many specs or states (``what``) are sealed with this key (0: with none) in this form: ``"encrypted"``, ``"signed"``
    or, unsealed, ``""``.
    """

    what: str
    key: int
    form: str
    count: int


def _joined_counts(answers: Sequence[list[SealCount]]) -> list[SealCount]:
    found = Counter[tuple[str, int, str]]()
    for each in chain.from_iterable(answers):
        found[each.what, each.key, each.form] += each.count
    return _counts(found)


def _counts(found: Counter[tuple[str, int, str]]) -> list[SealCount]:
    return [SealCount(what, key, form, count) for (what, key, form), count in sorted(found.items())]


@of_all(_joined_counts)
def seals(hub: HubContext) -> Operation[list[SealCount]]:
    """How many specs and states are sealed with each key, in each form. Read in pages."""
    found = Counter[tuple[str, int, str]]()
    for shard in hub.shards:
        for what, name in _hashes(hub, shard):
            cursor = ""
            while cursor != "0":
                ((cursor, values),) = yield Fetch([scan(name, cursor or "0")])
                for value in values.values():
                    for kind, part in parts_of(what, value):
                        key, tag = sealed_by(part)
                        found[kind, key, form_of(tag)] += 1
    return _counts(found)


@dataclass(frozen=True, slots=True)
class Resealed:
    """How many specs and states were sealed anew, and what was left, with the reason."""

    written: int
    left: tuple[str, ...]


def _joined_reseals(answers: Sequence[Resealed]) -> Resealed:
    return Resealed(sum(each.written for each in answers), tuple(chain.from_iterable(each.left for each in answers)))


@of_all(_joined_reseals)
def reseal(hub: HubContext) -> Operation[Resealed]:
    """Seal anew, with the key and in the form that writes, all specs and states that are not sealed, or otherwise. Nodes may run meanwhile:
    what they write at the same moment stays as they write it.

    Raises :class:`~hubq.errors.ConfigError`: this process has no root keys, or writes nothing sealed.
    """
    seal = hub.seal
    if seal is None or not seal.keys.root or not seal.writes:
        raise ConfigError("reseal takes root keys (HUBQ_KEYS), and seal='write' or 'require'")
    wanted, written, left = (next(iter(seal.keys.keys)), seal.tag), 0, []
    for shard in hub.shards:
        for what, name in _hashes(hub, shard):
            cursor = ""
            while cursor != "0":
                ((cursor, values),) = yield Fetch([scan(name, cursor or "0")])
                old = {
                    child: value
                    for child, value in values.items()
                    if any(sealed_by(part) != wanted for _, part in parts_of(what, value))
                }
                if not old:
                    continue
                starts: dict[str, str] = {}
                if what == "state":
                    (records,) = yield Fetch([read_some_specs(hub.keys, shard, list(old))])
                    starts = {child: record.start_id for child, record in records.items()}
                changed: dict[str, tuple[bytes, bytes]] = {}
                for child, value in old.items():
                    try:
                        if what == "state" and child not in starts:
                            raise Unsealed("it has no spec")
                        if what == "state":
                            after = state_anew(seal, child, starts[child], value)
                        else:
                            after = (spec_anew if what == "spec" else dormant_anew)(seal, child, value)
                        changed[child] = (value, after)
                    except Unsealed as error:
                        left.append(f"{what} of {child}: {error}")
                if changed:
                    (count,) = yield Fetch([write_anew(name, changed)])
                    written += count
    return Resealed(written, tuple(left))
