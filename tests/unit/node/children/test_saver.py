"""When a child's state is taken and saved."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from hubq.core.child import Child
from hubq.core.lifecycle import Life, LifeEvent
from hubq.errors import StateTooLarge
from hubq.node.held.holding import HostedChild
from hubq.node.held.state import HANDED
from hubq.store.envelope import Envelope
from tests.unit.node.children.test_outcomes import Witness
from tests.unit.node.fakes import in_hand_of, run_forward, time_passes
from tests.unit.node.household import Household, cast_of, state_in


class Room(Child):
    def __init__(self) -> None:
        self.n = 0


class Hurried(Room):
    """Saved at once, whenever a message is done."""

    durability = "interval"
    save_after = 2
    save_every = 0.0


class Patient(Room):
    """Saved after a while."""

    durability = "interval"
    save_after = 2
    save_every = 60.0


def attributes(hosted: Any) -> Room:
    return hosted.instance  # type: ignore[no-any-return]


async def save_is_due(home: Household, hosted: HostedChild) -> None:
    """Enough messages are done, and what is made of that."""
    home.saver.interval_progress(hosted, hosted.kind.save_after)
    await asyncio.wait_for(home.background.idle(), 5)


class StateWitness(Witness):
    def __init__(self) -> None:
        super().__init__()
        self.told = 0

    def state(self, hosted: Any) -> None:
        self.told += 1


def test_a_state_is_saved_once_and_followers_hear_of_what_no_message_explains() -> None:
    async def scenario() -> None:
        witness = StateWitness()
        async with Household(Room, recorder=witness) as home:
            hosted = home.child(Room)
            attributes(hosted).n = 5
            home.saver.save(hosted)
            assert state_in(home.shard.effects.states["room-1"]) == {"n": 5} and hosted.saved and witness.told == 1
            home.commit()
            home.saver.save(hosted)
            assert not home.shard.effects.states and witness.told == 1
            hosted.is_changed()  # a message has made it so: its state was taken then
            home.saver.save(hosted)
            assert home.shard.effects.states and witness.told == 1

    asyncio.run(scenario())


def test_the_state_of_the_last_boundary_can_be_saved_at_any_time() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            home.saver.save_boundary(hosted)
            assert not home.shard.effects  # there is none yet
            hosted.taken(b"boundary")
            attributes(hosted).n = 5
            home.saver.save_boundary(hosted)
            assert Envelope.read(home.shard.effects.states["room-1"]).data == b"boundary"
            home.commit()
            home.saver.save_boundary(hosted)
            assert not home.shard.effects

    asyncio.run(scenario())


def test_messages_go_with_the_save_that_holds_them_and_no_other_is_due() -> None:
    async def scenario() -> None:
        async with Household(Hurried) as home:
            hosted = home.child(Hurried)
            hosted.arm(asyncio.get_running_loop().call_later(60, lambda: None))
            hosted.waits_for_save(b"5-0")
            hosted.waits_for_save(b"6-0")
            home.saver.save(hosted)
            assert home.shard.effects.done == {"room-1": [b"5-0", b"6-0"]}
            assert hosted.unsaved is None and hosted.save_timer is None

    asyncio.run(scenario())


def test_enough_messages_are_saved_at_the_next_boundary() -> None:
    async def scenario() -> None:
        async with Household(Hurried) as home:
            hosted = home.child(Hurried)
            in_hand_of(hosted, cast_of("post"))
            home.saver.interval_progress(hosted, hosted.waits_for_save(b"5-0"))
            hosted.disarm()  # not the timer: the number of messages
            home.saver.interval_progress(hosted, hosted.waits_for_save(b"6-0"))
            await asyncio.sleep(0)
            assert not home.shard.effects
            hosted.hand_empty()
            await asyncio.wait_for(home.queue.waits(), 5)
            assert home.shard.effects.states and home.shard.effects.done == {"room-1": [b"5-0", b"6-0"]}

    asyncio.run(scenario())


def test_few_messages_are_saved_when_their_time_has_come() -> None:
    async def scenario() -> None:
        async with Household(Hurried) as home:
            hosted = home.child(Hurried)
            home.commit()
            home.saver.interval_progress(hosted, hosted.waits_for_save(b"5-0"))
            assert hosted.save_timer is not None
            await asyncio.wait_for(home.queue.waits(), 5)
            assert home.shard.effects.done == {"room-1": [b"5-0"]} and hosted.save_timer is None

    asyncio.run(scenario())


def test_while_the_token_passes_nothing_is_saved_and_it_is_tried_again() -> None:
    async def scenario() -> None:
        async with Household(Patient) as home:
            hosted = home.child(Patient)
            home.shard.close_intake()
            home.shard.freeze()
            hosted.waits_for_save(b"5-0")
            await save_is_due(home, hosted)
            assert hosted.save_timer is not None and not home.shard.effects
            home.shard.thaw()
            await time_passes(Patient.save_every)
            await asyncio.wait_for(home.queue.waits(), 5)
            assert home.shard.effects.done == {"room-1": [b"5-0"]}
            home.commit()
            home.shard.lose()
            hosted.waits_for_save(b"6-0")
            await save_is_due(home, hosted)
            assert not home.shard.effects and hosted.save_timer is None

    run_forward(scenario())


def test_commit_waits_for_the_boundary_and_for_the_commit() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            in_hand_of(hosted, cast_of("post"))
            commit = asyncio.create_task(attributes(hosted).commit())
            await asyncio.sleep(0)
            assert not home.shard.effects
            hosted.hand_empty()
            home.keep_committing()
            await asyncio.wait_for(commit, 5)
            assert [set(effects.states) for effects in home.committed] == [{"room-1"}]

    asyncio.run(scenario())


def test_commit_in_a_handler_returns_at_once_and_in_on_start_it_saves() -> None:
    class Starting(Room):
        async def on_start(self) -> None:
            self.n = 9
            await self.commit()

        async def post(self) -> None:
            await self.commit()

    async def scenario() -> None:
        async with Household(Starting) as home:
            home.keep_committing()
            hosted = home.child(Starting)
            assert hosted.settling
            await asyncio.wait_for(hosted.has_started(), 5)
            assert hosted.life is Life.RUNNING and state_in(home.committed[0].states["room-1"]) == {"n": 9}
            commits = len(home.committed)
            await home.handled(hosted, cast_of("post"))
            home.commit()
            assert [effects.done for effects in home.committed[commits:]] == [{"room-1": [b"5-0"]}]

    asyncio.run(scenario())


def test_what_is_in_redis_already_is_not_handed_over_again() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            child, envelope = await home.saver.hand_over(hosted, True)
            assert child == "room-1" and envelope is not None and state_in(envelope) == {"n": 0}
            home.saver.save(hosted)
            assert (await home.saver.hand_over(hosted, True))[1] is not None  # it is not committed yet
            home.commit()
            assert await home.saver.hand_over(hosted, True) == ("room-1", None)
            attributes(hosted).n = 1
            _, envelope = await home.saver.hand_over(hosted, True)
            assert envelope is not None and state_in(envelope) == {"n": 1}
            assert await home.saver.hand_over(hosted, False) == ("room-1", None)

    asyncio.run(scenario())


def test_a_child_may_say_itself_what_it_hands_over() -> None:
    class Plain(Room):
        def prepare_handover_state(self) -> Any:
            return ["mine"]

    class Slow(Room):
        async def prepare_handover_state(self) -> Any:
            return ["late"]

    class Large(Room):
        def prepare_handover_state(self) -> Any:
            return b"x" * 5000

    async def scenario() -> None:
        async with Household(Plain, Slow, Large, max_state_bytes=1000) as home:
            for kind, expected in ((Plain, ["mine"]), (Slow, ["late"])):
                _, envelope = await home.saver.hand_over(home.child(kind), True)
                assert envelope is not None and Envelope.read(envelope).form == HANDED
                assert state_in(envelope) == expected
            with pytest.raises(StateTooLarge):
                await home.saver.hand_over(home.child(Large), True)

    asyncio.run(scenario())


def test_while_a_thread_may_change_the_instance_the_last_boundary_moves() -> None:
    async def scenario() -> None:
        async with Household(Room) as home:
            hosted = home.child(Room)
            hosted.abandon()
            assert await home.saver.hand_over(hosted, True) == ("room-1", None)
            hosted.taken(b"boundary")
            attributes(hosted).n = 1
            _, envelope = await home.saver.hand_over(hosted, True)
            assert envelope is not None and Envelope.read(envelope).data == b"boundary"

    asyncio.run(scenario())


def test_run_is_ended_before_the_state_is_taken() -> None:
    class Busy(Room):
        async def run(self) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                self.n = 7

    async def scenario() -> None:
        async with Household(Busy) as home:
            hosted = home.child(Busy)
            await asyncio.sleep(0)
            _, envelope = await home.saver.hand_over(hosted, True)
            assert envelope is not None and state_in(envelope) == {"n": 7} and hosted.run_task is None

    asyncio.run(scenario())


def test_run_that_does_not_end_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(Room):
        async def run(self) -> None:
            may_end = asyncio.Event()
            self.__class__.may_end = may_end  # type: ignore[attr-defined]
            while not may_end.is_set():
                with suppress(asyncio.CancelledError):
                    await may_end.wait()

    async def scenario() -> None:
        async with Household(Stubborn, stop_timeout=0.0) as home:
            hosted = home.child(Stubborn)
            await asyncio.sleep(0)
            task = hosted.run_task
            await home.saver.end_run(hosted)
            assert task is not None and hosted.run_task is task  # a child never has two
            assert "run() of child room-1 goes on though it was cancelled" in caplog.text
            Stubborn.may_end.set()  # type: ignore[attr-defined]
            await asyncio.wait([task])
            await home.saver.end_run(hosted)
            assert hosted.run_task is None

    asyncio.run(scenario())


def test_a_child_that_is_not_running_any_more_is_not_saved() -> None:
    async def scenario() -> None:
        async with Household(Hurried) as home:
            hosted = home.child(Hurried)
            hosted.waits_for_save(b"5-0")
            hosted.moved(LifeEvent.END)
            await save_is_due(home, hosted)
            assert not home.shard.effects

    asyncio.run(scenario())
