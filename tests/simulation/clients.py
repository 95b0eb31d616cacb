"""Web clients of the simulation: they start children, call, cast and stop, and write down what they were told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hubq import ChildSpec
from hubq.errors import (
    AlreadyStarted,
    CallFailed,
    CallTimeout,
    HubqError,
    MailboxFull,
    Poisoned,
    RedisUnavailable,
    UnknownChild,
)
from tests.simulation.blocks import PATIENCE
from tests.simulation.children import KINDS, Plain
from tests.simulation.ledger import MAYBE, NO, YES, Sent

if TYPE_CHECKING:
    from tests.simulation.world import World


class Client:
    """One client process with a few senders in it."""

    def __init__(self, world: World, name: str, children: list[str]) -> None:
        self.world, self.name, self.children = world, name, children
        self.process = world.process(name)
        self.hub = world.hub(self.process)
        self.all_started = True  # as far as start_all was told

    async def start_all(self) -> None:
        """Start the children of the schedule, however often it takes."""
        left = list(self.children)
        while left:
            child = left[0]
            try:
                await self.hub.aio.start_child(child, KINDS[child.partition("-")[0]], timeout=3.0)
            except AlreadyStarted:
                pass  # an earlier try has come through
            except CallTimeout:
                self.all_started = False  # it will start
            except HubqError:
                await asyncio.sleep(0.3)
                continue
            left.pop(0)

    async def send(self) -> None:
        """Several senders at once, until the faults stop."""
        rng = self.world.rng
        await asyncio.gather(*(self._sender(f"{self.name}.{n}") for n in range(rng.randint(1, 2))))

    async def _sender(self, sender: str) -> None:
        world, rng = self.world, self.world.rng
        pace = rng.choice([0.02, 0.1, 0.4])
        count = 0
        while not world.calm and count < world.groups.most_sent:
            count += 1
            if rng.random() < 0.05 and not world.groups.loses:
                await self._guest(sender, f"guest-{sender}-{rng.randint(1, 2)}")
            else:
                await self._one(sender, rng.choice(self.children))
            await asyncio.sleep(rng.expovariate(1 / pace))

    async def _one(self, sender: str, child: str) -> bool:
        world, rng, ledger = self.world, self.world.rng, self.world.ledger
        message = ledger.begin(sender, child)
        dice = rng.random()
        ref = self.hub.aio.ref(child)
        blocked, held = world.blocks.due(child)
        spoilt = dice < 0.1 and not blocked
        try:
            if blocked:
                message.mark = await ref.call("block", sender, message.number, blocked, held, timeout=PATIENCE)
            elif dice < 0.1:
                await self._spoil(ref, sender, message)
            elif dice < 0.2:
                message.mark = await ref.call("thread", sender, message.number, timeout=rng.choice([1.0, 8.0]))
            elif dice < 0.26:
                message.one_way = True
                await ref.cast("fickle", sender, message.number)
            elif dice < 0.35:
                await ref.cast("record", sender, message.number)
            else:
                before, after = (rng.choice([0.0, 0.0, 0.0, 0.02, 0.6]) for _ in range(2))
                work = ref.call("record", sender, message.number, before, after, timeout=rng.choice([0.5, 2.0, 8.0]))
                message.mark = await work
        except CallTimeout as error:
            if blocked:
                world.blocks.unanswered(sender, child, message.number, error)
            message.in_order = True
            message.applied = MAYBE if error.may_run and not spoilt else NO
        except RedisUnavailable:
            message.applied = NO if spoilt else MAYBE
        except Poisoned:
            message.applied = NO if spoilt else YES  # it is a dead letter, and is sent again
        except MailboxFull:
            message.applied = NO
        except UnknownChild as error:
            message.applied = NO
            if not child.startswith("guest"):
                ledger.wrong.append(f"{sender} -> {child}: {error}")
            return False
        except CallFailed as error:
            ledger.wrong.append(f"{sender} -> {child}: {error} {error.remote_traceback}")
        except HubqError as error:
            ledger.wrong.append(f"{sender} -> {child}: {type(error).__name__}: {error}")
        else:
            message.applied, message.in_order = (NO if spoilt else YES), True
            if message.mark is not None:
                self.world.say(f"{sender} -> {child} {message.number}: {message.mark}")
        return True

    async def _spoil(self, ref: object, sender: str, message: Sent) -> None:
        message.applied = NO
        if self.world.rng.random() < 0.5:
            await ref.cast("spoil", sender, message.number)  # type: ignore[attr-defined]
            message.one_way = True
            return
        try:
            await ref.call("spoil", sender, message.number, timeout=2.0)  # type: ignore[attr-defined]
        except CallFailed as error:
            if error.remote_type != "ValueError":
                raise

    async def move_about(self) -> None:
        """The operator moves children by hand, and takes some of it back, until the faults stop."""
        world, rng = self.world, self.world.rng
        while not world.calm:
            await asyncio.sleep(rng.expovariate(1 / world.plan.moves))
            if world.calm:
                return  # what it begins now could undo what it is told to do next
            node = rng.choice([*world.workers, None])
            try:
                await self.hub.aio.move(rng.choice(self.children), node, timeout=rng.choice([0.1, 3.0]))
            except HubqError as error:
                world.say(f"not moved: {error}")

    async def take_back(self) -> None:
        """The operator takes every wish back."""
        for child in self.children:
            await self.hub.aio.move(child, None, timeout=60.0)

    async def replay(self) -> bool:
        """The operator sends again what took workers down; False: there was nothing. (What is for guests who are no more is
        left. So is what a handler raised for: it would raise again. A letter that is gone was sent again by a replay that was cancelled
        when its request had left.)
        """
        try:
            letters = await self.hub.aio.dead_letters()
        except RedisUnavailable:
            # A replica has just taken over, or a connection that the faults have cut is still in use.
            await asyncio.sleep(0.1)
            return True
        again = False
        for letter in letters:
            if letter.why == "took-down":
                try:
                    again = bool(await self.hub.aio.replay_dead([letter.letter])) or again
                except UnknownChild:
                    continue
                except HubqError as error:
                    if not str(error).startswith("no dead letter"):
                        raise
        return again

    async def keep_replaying(self) -> None:
        """The same, again and again."""
        while True:
            await self.replay()
            await asyncio.sleep(1.0)

    def _condemned(self, child: str, error: Exception) -> bool:
        """Whether three workers happened to die while it was being started: it is parked, and will be started again."""
        letters = {(letter.get(b"kind"), letter.get(b"child")) for letter in self.world.observer.letters}
        return "took down" in str(error) and (b"start", child.encode()) in letters

    async def _guest(self, sender: str, child: str) -> None:
        """A child that comes, is written to, and goes."""
        world = self.world
        if child in world.ledger.left:
            return
        world.ledger.stopped.discard(child)  # whatever becomes of the start, or of this client
        try:
            result = await self.hub.aio.start_children([ChildSpec(child, Plain)], timeout=4.0)
            error = result.errors.get(child)
            if error is not None and not isinstance(error, AlreadyStarted) and not self._condemned(child, error):
                world.ledger.wrong.append(f"{child} did not start: {error}")
            for _ in range(world.rng.randint(0, 3)):
                await self._one(sender, child)
            if world.rng.random() < 0.7:
                stopped = await self.hub.aio.stop_children([child], timeout=6.0)
                if child in stopped.stopped or isinstance(stopped.errors.get(child), UnknownChild):
                    world.ledger.forget(child)
                else:
                    world.ledger.leave(child)
        except (RedisUnavailable, CallTimeout):
            world.ledger.leave(child)
