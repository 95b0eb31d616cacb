"""The clients of schedules with features: they remind, cancel, read, call with keys, and start children by their messages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from hubq import Event, Gap
from hubq.errors import (
    AlreadyStarted,
    CallFailed,
    CallTimeout,
    Cancelled,
    HubqError,
    KeyReused,
    MailboxFull,
    NotCancelled,
    Poisoned,
    RedisUnavailable,
    StartFailed,
    UnknownChild,
)
from tests.simulation.gadgets import GADGETS, Did, Gadget, OnDemand
from tests.simulation.ledger import MAYBE, NO, YES, Sent

if TYPE_CHECKING:
    from tests.simulation.world import World


class FeatureClient:
    """A client process with a few senders, and readers of feeds."""

    def __init__(self, world: World) -> None:
        self.world, self.features = world, world.features
        self.process = world.process("features")
        self.hub = world.hub(self.process)
        self.looks: list[tuple[str, list[Did], set[int]]] = []
        """Of each read: the child, what it has seen, and the numbers that had been answered before."""
        self.heard: dict[str, list[Event | Gap]] = {}
        """What was read of the feeds while they grew."""

    async def start_all(self) -> None:
        """Start the gadgets, however often it takes."""
        left = list(self.features.gadgets)
        while left:
            child = left[0]
            try:
                await self.hub.aio.start_child(child, GADGETS[child.partition("-")[0]], timeout=3.0)
            except (AlreadyStarted, CallTimeout):
                pass
            except HubqError:
                await asyncio.sleep(0.3)
                continue
            left.pop(0)

    async def work(self) -> None:
        """Several senders at once, until the faults stop; the feeds are read meanwhile."""
        rng = self.features.rng
        listening = [asyncio.create_task(self._listen(child)) for child in self.features.gadgets if rng.random() < 0.5]
        await asyncio.gather(*(self._sender(f"f{n}") for n in range(rng.randint(1, 3))))
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)

    async def _listen(self, child: str) -> None:
        heard = self.heard[child] = []
        feed = self.hub.aio.ref(child).feed(after="0")
        while True:
            with contextlib.suppress(RedisUnavailable):
                async for item in feed:
                    heard.append(item)
            feed = self.hub.aio.ref(child).feed(after=feed.last_id or "0")
            await asyncio.sleep(0.1)

    async def quieten(self) -> None:
        """What fires again and again fires no more."""
        for child in self.features.gadgets:
            while True:
                try:
                    await self.hub.aio.ref(child).call("quieten", timeout=5.0)
                    break
                except (CallTimeout, RedisUnavailable, MailboxFull):
                    await asyncio.sleep(0.2)

    # -- sending ---------------------------------------------------------------------------------------------------

    async def _sender(self, sender: str) -> None:
        features, rng = self.features, self.features.rng
        pace = rng.choice([0.02, 0.1, 0.4])
        for _ in range(30):
            if self.world.calm:
                return
            if rng.random() < 0.35:
                await self._demand(sender, rng.choice(features.on_demand))
            else:
                child = rng.choice(features.gadgets)
                await getattr(self, f"_{rng.choice(features.kinds)}")(sender, child)
            await asyncio.sleep(rng.expovariate(1 / pace))

    def _ref(self, child: str) -> Any:
        if child.startswith("demand"):
            return self.hub.aio.ref(OnDemand, child, "a client")
        return self.hub.aio.ref(GADGETS[child.partition("-")[0]], child)

    async def _told(self, child: str, message: Sent, work: Awaitable[Any], *, in_order: bool = True) -> Any:
        """Await a call or a cast, and write down what it says of its message."""
        ledger, name = self.features.ledger, f"{child} {message.number}"
        try:
            mark = await work
        except CallTimeout as error:
            message.in_order = in_order
            self._maybe(message, error.may_run)
        except RedisUnavailable:
            self._maybe(message, True)
        except Poisoned:
            message.applied = YES  # it is a dead letter, and is sent again
        except (MailboxFull, Cancelled):
            self._maybe(message, False)
        except (UnknownChild, StartFailed) as error:
            self._maybe(message, False)
            if not child.startswith("demand"):
                ledger.wrong.append(f"{name}: {type(error).__name__}: {error}")
        except CallFailed as error:
            self._maybe(message, False)
            if error.remote_type != "ValueError":
                ledger.wrong.append(f"{name}: {error} {error.remote_traceback}")
        except HubqError as error:
            ledger.wrong.append(f"{name}: {type(error).__name__}: {error}")
        else:
            if mark is not None and message.mark not in (None, mark):
                ledger.wrong.append(f"{name}: was answered {message.mark}, and then {mark}")
            message.applied, message.in_order, message.mark = YES, in_order, mark
            self.world.say(f"{name}: {mark}")
            return mark
        return None

    def _maybe(self, message: Sent, may: bool) -> None:
        """One try of a message has failed; others of the same key may have succeeded."""
        if message.applied != YES:
            message.applied = MAYBE if may or message.tries > 1 else NO

    def _begin(self, sender: str, child: str) -> Sent:
        return self.features.ledger.begin(sender, child)

    async def _plain(self, sender: str, child: str) -> None:
        rng, message, ref = self.features.rng, self._begin(sender, child), self._ref(child)
        if rng.random() < 0.4:
            message.one_way = True
            await self._told(child, message, ref.cast("do", sender, message.number))
        else:
            before, after = (rng.choice([0.0, 0.0, 0.02, 0.3]) for _ in range(2))
            timed = ref.options(timeout=rng.choice([0.5, 2.0, 8.0]), cancel_on_timeout=rng.random() < 0.5)
            await self._told(child, message, timed.call("do", sender, message.number, before, after))

    async def _key(self, sender: str, child: str) -> None:
        features, rng = self.features, self.features.rng
        key = f"key-{rng.randint(1, 3)}"
        message = features.keyed.get((child, key))
        if message is None:
            message = features.keyed[child, key] = self._begin("keyed", child)
        ref = self._ref(child).options(key=key, timeout=rng.choice([0.5, 2.0, 8.0]))
        if rng.random() < 0.15 and message.mark is not None:
            await self._wrong_key(ref, child)
            return
        message.tries += 1
        if rng.random() < 0.3:
            await self._told(child, message, ref.cast("do", "keyed", message.number, 0.1, 0.1), in_order=False)
        else:
            self.world.say(f"{sender} uses {key} of {child}")
            await self._told(child, message, ref.call("do", "keyed", message.number, 0.1, 0.1), in_order=False)

    async def _wrong_key(self, ref: Any, child: str) -> None:
        """The key of a message that has been run, with other arguments."""
        other = self._begin("keyed wrongly", child)
        other.applied = NO
        with contextlib.suppress(
            KeyReused, CallTimeout, RedisUnavailable, MailboxFull, Poisoned, UnknownChild, StartFailed
        ):
            answer = await ref.call("do", "keyed wrongly", other.number)
            self.features.ledger.wrong.append(f"{child}: a key that was used for others has let it answer {answer}")

    async def _cancel(self, sender: str, child: str) -> None:
        rng, message, ref = self.features.rng, self._begin(sender, child), self._ref(child)
        before, after = (rng.choice([0.0, 0.05, 0.4]) for _ in range(2))
        future = ref.options(timeout=8.0).begin("do", sender, message.number, before, after)
        await asyncio.sleep(rng.choice([0.0, 0.01, 0.1, 0.4]))
        said = False
        with contextlib.suppress(NotCancelled, RedisUnavailable):
            said = await future.cancel(timeout=rng.choice([0.3, 3.0]))
        mark = await self._told(child, message, future)
        if said:
            message.applied, message.mark = NO, None
            if mark is not None:
                self.features.ledger.wrong.append(f"{child} {message.number}: was cancelled, and answered {mark}")

    async def _flaky(self, sender: str, child: str) -> None:
        if child.startswith("interval"):
            return await self._plain(sender, child)  # what was answered is run again after a crash, and may fail then
        message, ref = self._begin(sender, child), self._ref(child)
        if self.features.rng.random() < 0.7:
            message.one_way, message.applied = True, MAYBE
            await self._told(child, message, ref.cast("flaky", sender, message.number))
            message.applied = MAYBE if message.applied == YES else message.applied
            for behind in (self._begin(sender, child), self._begin(sender, child)):  # they wait for it
                await self._told(child, behind, ref.cast("do", sender, behind.number))
        else:
            await self._told(child, message, ref.options(timeout=8.0).call("flaky", sender, message.number))
        return None

    async def _look(self, sender: str, child: str) -> None:
        before = {
            message.number
            for (_, of), messages in self.features.ledger.sent.items() if of == child
            for message in messages if message.mark is not None
        }  # fmt: skip
        try:
            seen, half = await self._ref(child).options(timeout=3.0).call(Gadget.look)
        except (CallTimeout, RedisUnavailable, MailboxFull, Poisoned):
            return
        if half:
            self.features.ledger.wrong.append(f"a read of {child} has seen a message half handled: {seen}")
        self.looks.append((child, seen, before))

    async def _remind(self, sender: str, child: str) -> None:
        rng, message, ref = self.features.rng, self._begin(sender, child), self._ref(child)
        name = f"r{rng.randint(1, 3)}"
        if rng.random() < 0.2:
            await self._told(child, message, ref.options(timeout=8.0).call("leave_me", sender, message.number, name))
            return
        after, late = rng.choice([0.0, 0.1, 0.5, 2.0]), rng.choice(["once", "all", "skip"])
        every = rng.choice([None, None, 0.2, 0.7])
        fails = not child.startswith("interval") and rng.random() < 0.3
        args = (sender, message.number, name, after, every, late, fails)
        await self._told(child, message, ref.options(timeout=8.0).call("remind_me", *args))

    async def _later(self, sender: str, child: str) -> None:
        rng, message = self.features.rng, self._begin(sender, child)
        ref = self._ref(child)
        try:
            later = await ref.cast_in(rng.choice([0.0, 0.1, 0.5, 2.0]), "do", sender, message.number)
        except RedisUnavailable:
            return
        message.applied = YES
        if rng.random() < 0.4:
            await asyncio.sleep(rng.choice([0.0, 0.1, 0.4]))
            try:
                if await later.cancel():
                    message.applied = NO
            except RedisUnavailable:
                message.applied = MAYBE

    async def _pass(self, sender: str, child: str) -> None:
        features, rng = self.features, self.features.rng
        message, to = self._begin(sender, child), rng.choice(features.on_demand)
        passed = self._begin(f"{child}<{sender}", to)
        passed.number = message.number
        features.passed_on.append((child, message, to, passed))
        await self._told(
            child, message, self._ref(child).options(timeout=8.0).call("pass_on", sender, message.number, to)
        )

    async def _demand(self, sender: str, child: str) -> None:
        rng, message, ref = self.features.rng, self._begin(sender, child), self._ref(child)
        dice = rng.random()
        if dice < 0.15:
            await self._told(child, message, ref.options(timeout=8.0).call("retire", sender, message.number))
        elif dice < 0.5:
            message.one_way = True
            await self._told(child, message, ref.cast("do", sender, message.number))
            message.applied = MAYBE if message.applied == YES else message.applied  # or it is refused: a dead letter
        else:
            await self._told(
                child, message, ref.options(timeout=rng.choice([0.5, 8.0])).call("do", sender, message.number)
            )
