"""What must be true of reminders, activation, keys, cancels, reads, retries and feeds once the faults have stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hubq import Event, Hub
from hubq.errors import HubqError
from hubq.store.codec import decode
from tests.simulation.checks import wait_for_calm
from tests.simulation.gadgets import Did, Line
from tests.simulation.ledger import NO, YES, Entry

if TYPE_CHECKING:
    from tests.simulation.feature_clients import FeatureClient
    from tests.simulation.world import World

#: A reminder has fired so long after its time at most, once the faults have stopped, ms.
FIRED_BOUND = 10_000
#: What is due at last is due within this many simulated seconds.
LAST_DUE = 20.0
#: Handlers whose dead letters are looked at: all of them have the sender and the number in front.
METHODS = (b"do", b"flaky", b"remind_me", b"leave_me", b"pass_on", b"retire")


async def wait_for_reminders(world: World) -> list[str]:
    """Wait until everything that is due once has fired: what is wrong when the time is up."""
    witness, until, began = world.witness, world.loop.now + LAST_DUE, world.now_ms()
    assert witness is not None
    while witness.waiting and world.loop.now < until:
        late = witness.overdue(world.now_ms(), FIRED_BOUND, began)  # (one whose child had a full mailbox has waited)
        if late:
            return late
        await asyncio.sleep(0.25)
    left = [f"reminder {name!r} of {child!r} waits: {record}" for (child, name), record in witness.waiting.items()]
    return left or await wait_for_calm(world)


def take_letters(world: World) -> None:
    """What has become a dead letter: it was sent again, or it is one."""
    for letter in world.observer.letters:
        if letter.get(b"why") == b"malformed" or letter[b"method"] not in METHODS:
            continue
        (sender, number, *_), _ = decode(letter[b"payload"])
        took_down = letter.get(b"why", b"took-down") == b"took-down"
        told = world.features.ledger.died if took_down else world.features.ledger.failed
        told(letter[b"child"].decode(), sender, number)


async def check_features(world: World, hub: Hub, client: FeatureClient) -> list[str]:
    """Ask every child, and compare it with its feed, with what its senders were told, and with what Redis has seen."""
    features, found = world.features, list[str]()
    states: dict[str, tuple[list[Did], list[Line]]] = {}
    for child in features.gadgets:
        try:
            states[child] = await hub.aio.ref(child).call("everything", timeout=10.0)
        except HubqError as error:
            return [f"{child} does not answer: {type(error).__name__}: {error}"]
    _pass_on(world, {child: did for child, (did, _) in states.items()})
    for child, (did, reminded) in states.items():
        events = await _feed(hub, child)
        # (A copy that handles messages by itself does so by an execution of its own. If it goes on as the child, its marks stay.)
        again = features.copies_handle and child.startswith("interval")
        if _numbers(_data(events), again) != _numbers(did, again):
            found.append(f"{child} has done {did}, and its feed has {_data(events)}")
        found += features.ledger.compare(child, _by_sender(did))
        found += _reads(client, child, did)
        found += _reminders(world, child, reminded)
        heard = [getattr(item, "id", item) for item in client.heard.get(child, [])]
        if heard != [event.id for event in events][: len(heard)]:
            found.append(f"a reader of {child} has heard {heard}; its feed has {[event.id for event in events]}")
    for child in features.on_demand:
        found += features.ledger.compare(child, _by_sender(_data(await _feed(hub, child))))
    return found


async def _feed(hub: Hub, child: str) -> list[Event]:
    return [item async for item in hub.aio.ref(child).feed(after="0", follow=False) if isinstance(item, Event)]


def _data(events: list[Event]) -> list[Any]:
    return [event.data for event in events]


def _numbers(did: list[Any], without_marks: bool) -> list[Any]:
    return [tuple(each[:2]) for each in did] if without_marks else did


def _by_sender(did: list[Did]) -> dict[str, list[Entry]]:
    applied: dict[str, list[Entry]] = {}
    for sender, number, mark in did:
        applied.setdefault(sender, []).append((number, mark))
    return applied


def _pass_on(world: World, done: dict[str, list[Did]]) -> None:
    """What gadgets have passed on was sent if, and only if, they have done so."""
    for child, message, _, passed in world.features.passed_on:
        sent = any(number == message.number for _, number, _ in done[child])
        if sent:
            passed.one_way, passed.in_order = True, message.in_order and message.applied == YES
        else:
            passed.applied = NO


def _reads(client: FeatureClient, child: str, did: list[Did]) -> list[str]:
    """A read sees what is committed, and all that was answered before it."""
    if child.startswith("interval"):
        return []  # after a crash it is as it was saved, until what was answered since then has been handled again
    found: list[str] = []
    for of, seen, before in client.looks:
        if of != child:
            continue
        if seen != did[: len(seen)]:
            found.append(f"a read of {child} has seen {seen}, which is no beginning of {did}")
        missing = before - {number for _, number, _ in seen}
        if missing:
            found.append(f"a read of {child} has seen {seen}: {sorted(missing)} had been answered before")
    return found


def _reminders(world: World, child: str, lines: list[Line]) -> list[str]:
    """Each tick that Redis has fired is in the state once, and what was set has fired, or was taken back."""
    witness, found = world.witness, list[str]()
    assert witness is not None
    rang = [(sender, number) for what, _, sender, number, _ in lines if what == "ring"]
    fired = {what[1:]: count for what, count in witness.fired.items() if what[0] == child}
    set_here = {(sender, number): again for what, _, sender, number, again in lines if what == "set"}
    for what in sorted({*rang, *(what for what in fired if what in set_here)}):
        if rang.count(what) != fired.get(what, 0):
            found.append(
                f"{child}: reminder {what} has fired {fired.get(what, 0)} times, and was handled {rang.count(what)} times"
            )
        if what not in set_here:
            found.append(f"{child}: reminder {what} has fired, and nobody has set it")
        elif not set_here[what] and rang.count(what) > 1:
            found.append(f"{child}: reminder {what} fires once, and was handled {rang.count(what)} times")
    for name in sorted({name for what, name, *_ in lines if what == "set"}):
        what, _, sender, number, again = [line for line in lines if line[1] == name][-1]
        if (
            what == "set"
            and not again
            and not fired.get((sender, number))
            and (child, sender, number) not in witness.skipped
        ):
            found.append(f"{child}: reminder {name!r} of {(sender, number)} was set, and has not fired")
    return found
