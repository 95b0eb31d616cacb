"""Events for people: events of many shards at once are one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hubq.client.operations.happened import Event
from hubq.core.wording import names

#: Events that are left out: their outcome is an event of its own (shard_migrated, child_migrated).
DETAILS = frozenset({"token_passed", "tokens_renewed"})
#: Events that come once per shard, and all at once at a join, a drain or a take-over.
PER_SHARD = frozenset({"shard_migrated", "shard_adopted", "shard_parked"})


#: Events that come once per child, for one reason and all at once.
PER_CHILD = frozenset({"child_parked", "child_start_failed"})
#: Events that each group of a hub writes, at about the same time: so long they count as one, seconds.
PER_GROUP = frozenset({"node_joined", "node_draining", "node_left", "node_evicted", "paused", "resumed"})
TOGETHER = 2.0
#: Events with a list of shards: what each group writes of one node is one list.
WITH_SHARDS = frozenset({"shards_claimed", "shards_assigned", "tokens_renewed"})


def for_people(events: Iterable[Event]) -> list[Event]:
    """The events without ``DETAILS``. Events of many shards become one: the number of ``shards`` and ``children``, and the
    longest pause. So do events of many children that have one reason, and what each group of the hub says of one node. It stands at the
    place and the time of the first of them. (Else a join would fill a terminal.)

    >>> moved = [Event(f"{n}-0", n, "shard_migrated", {"node": "b", "source": "a", "shard": f"{n}", "children": "3",
    ...     "token": "2", "seconds": "0.0010", "pause_ms": f"{n}.50"}) for n in (8, 9)]
    >>> for event in for_people([Event("7-0", 7, "node_joined", {"node": "b"}), *moved]):
    ...     print(event.type, event.fields)
    node_joined {'node': 'b'}
    shard_migrated {'node': 'b', 'source': 'a', 'shards': '2', 'children': '6', 'pause_ms': '9.50'}
    >>> parked = [Event(f"{n}-0", n, "child_parked", {"node": "b", "child": f"c-{n}", "shard": "3", "reason": "no database"})
    ...     for n in range(5)]
    >>> for event in for_people(parked):
    ...     print(event.type, event.fields)
    child_parked {'node': 'b', 'child': 'c-0, c-1, c-2 and 2 more', 'reason': 'no database'}
    >>> len(for_people([Event(f"7-{n}", 7, "node_joined", {"node": "b"}) for n in range(4)]))
    1
    >>> [event.at for event in for_people([Event(f"{n}-0", n, "node_joined", {"node": "b"}) for n in (7, 20)])]
    [7, 20]
    >>> claimed = [Event(f"7-{n}", 7, "shards_claimed", {"node": "b", "shards": f"{n},{n + 10}"}) for n in (1, 0)]
    >>> [event.fields["shards"] for event in for_people(claimed)]
    ['0,1,10,11']
    """
    lines: list[list[Event]] = []
    open_lines: dict[tuple[str, ...], list[Event]] = {}
    said: dict[tuple[str, str], float] = {}
    lists: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        if event.type in DETAILS:
            continue
        if event.type in PER_GROUP:
            about = event.type, event.fields.get("node") or event.fields.get("what", "")
            if abs(event.at - said.get(about, -TOGETHER)) < TOGETHER:
                continue
            said[about] = event.at
        if event.type in WITH_SHARDS:
            about = event.type, event.fields.get("node", "")
            if about in lists and abs(event.at - lists[about][0].at) < TOGETHER:
                lists[about].append(event)
                continue
            lists[about] = []
            lines.append(lists[about])
            lists[about].append(event)
            open_lines.clear()
            continue
        if event.type not in PER_SHARD | PER_CHILD:
            open_lines.clear()  # events on both sides of another event are not joined
            lines.append([event])
            continue
        key = (event.type, *(event.fields.get(name, "") for name in ("node", "source", "reason")))
        if key not in open_lines:
            open_lines[key] = []
            lines.append(open_lines[key])
        open_lines[key].append(event)
    return [_one(line) for line in lines]


def spans(numbers: str) -> str:
    """Numbers in their order, neighbours joined; a text of another form stays as it is.

    >>> spans("0,1,2,5,7,8"), spans("64"), spans("1,x"), spans("")
    ('0-2,5,7-8', '64', '1,x', '')
    """
    parts = numbers.split(",")
    if not all(part.isdecimal() for part in parts):
        return numbers
    joined: list[list[int]] = []
    for number in map(int, parts):
        if joined and number == joined[-1][1] + 1:
            joined[-1][1] = number
        else:
            joined.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else f"{first}" for first, last in joined)


def _number(shard: str) -> int:
    return int(shard) if shard.isdecimal() else -1


def _one(events: list[Event]) -> Event:
    first = events[0]
    if len(events) == 1:
        return first
    if first.type in WITH_SHARDS:
        every = ",".join(event.fields.get("shards", "") for event in events).split(",")
        return replace(first, fields={**first.fields, "shards": ",".join(sorted(every, key=_number))})
    if first.type in PER_CHILD:
        together = {name: value for name, value in first.fields.items() if name != "shard"}
        together["child"] = names(event.fields.get("child", "") for event in events)
        return Event(first.id, first.at, first.type, together)
    fields: dict[str, str] = {name: first.fields[name] for name in ("node", "source") if name in first.fields}
    fields["shards"] = str(len(events))
    if "children" in first.fields:
        fields["children"] = str(sum(int(event.fields.get("children", 0)) for event in events))
    if "pause_ms" in first.fields:
        fields["pause_ms"] = max((event.fields.get("pause_ms", "0") for event in events), key=float)
    return Event(first.id, first.at, first.type, fields)
