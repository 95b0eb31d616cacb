"""Children are brought to the nodes where they are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

from hubq.core.hashing import shard_of
from hubq.core.wish import Wish
from hubq.node.departures.moves import Moves
from hubq.node.held.holding import Holding
from hubq.node.planning.guide import RETRY, Guide
from hubq.store.membership import NodeInfo
from hubq.store.owners import Owner, Owners
from tests.unit.node.movers import Stage, a_record

NOBODY = Owners({}, {})
#: A child of shard 0 in a hub of two shards.
ROOM = next(f"room-{n}" for n in range(100) if shard_of(f"room-{n}", 2) == 0)


class Passing:
    """A passing that ends at once."""

    def __init__(self, holding: Holding, target: str, children: Sequence[str], failed: dict[str, str]) -> None:
        self.holding, self.target, self.children = holding, target, list(children)
        self.failed = {child: failed[child] for child in children if child in failed}
        self.confirmed = asyncio.get_running_loop().create_future()
        self.confirmed.set_result(None)

    async def run(self) -> None:
        """Nothing to wait for; who goes does not wait for its place any more."""
        for child in self.children:
            if child not in self.failed:
                self.holding.placed(child)


class Around:
    """What is above and beside a guide: it remembers what it was told to do."""

    def __init__(self) -> None:
        self.welcomed: list[tuple[str, bool]] = []
        self.adopted: list[tuple[int, list[str]]] = []
        self.given_back: list[str | None] = []
        self.passings: list[Passing] = []
        self.failed: dict[str, str] = {}

    async def welcome(self, shard: int, child: str, stay: bool = False) -> None:
        self.welcomed.append((child, stay))

    async def adopt_pins(self, shard: int, children: list[str]) -> None:
        self.adopted.append((shard, children))

    async def give_back(self, pin: Holding) -> None:
        self.given_back.append(pin.pinned)

    def make(self, holding: Holding, target: str, incarnation: int, children: Sequence[str]) -> Passing:
        passing = Passing(holding, target, children, self.failed)
        self.passings.append(passing)
        return passing


class Guided(Stage):
    """Shard 0 is here; ``ROOM`` and others are wanted where ``wishes`` say; nodes a and b are up."""

    def __init__(self, **moved: str) -> None:
        super().__init__(shards=2)
        self.around, self.moves = Around(), Moves(self.background, self.plan_due)
        around = cast(Any, self.around)
        self.guide = Guide(
            self.group, self.background, self.register, self.cursors, self.wishes, around, self.moves, around, around
        )
        self.moved = {ROOM if child == "room" else child: Wish(node, "moved") for child, node in moved.items()}
        self._epoch = 0

    async def look(self, owners: Owners = NOBODY, **nodes: int) -> None:
        """One look, and all that follows."""
        self._epoch += 1
        self.replies["HGETALL"] = self.moved
        await self.wishes.refresh(self._epoch)
        self.seen(**nodes)
        self.guide.look(owners)
        await asyncio.sleep(0.01)

    def seen(self, **nodes: int) -> None:
        """These nodes are up (a and b, if nothing is said)."""
        ups = nodes or {"a": 7, "b": 9}
        self.wishes.seen({name: NodeInfo(number, "up", 0) for name, number in ups.items()})

    def passed(self) -> list[tuple[list[str], str]]:
        """What was passed, and whereto."""
        return [(passing.children, passing.target) for passing in self.around.passings]


def test_a_child_that_was_moved_by_hand_is_passed_to_its_node_and_its_neighbours_stay() -> None:
    async def scenario() -> None:
        stage = Guided(room="b")
        stage.child(ROOM)
        stage.child("neighbour")
        await stage.look()
        assert stage.passed() == [([ROOM], "b")] and not stage.shard.in_motion
        await stage.end()

    asyncio.run(scenario())


def test_nobody_goes_to_a_node_that_is_away_or_from_a_node_that_leaves() -> None:
    async def scenario() -> None:
        stage = Guided(room="b")
        stage.child(ROOM)
        await stage.look(a=7)
        stage.standing.drain()
        await stage.look()
        assert stage.passed() == []

    asyncio.run(scenario())


def test_one_that_is_wanted_here_stays() -> None:
    async def scenario() -> None:
        stage = Guided(room="a")
        stage.child(ROOM)
        await stage.look()
        assert stage.passed() == []

    asyncio.run(scenario())


def test_a_shard_that_moves_or_catches_up_is_left_alone() -> None:
    async def scenario() -> None:
        stage = Guided(room="b")
        stage.child(ROOM)
        stage.shard.begin_motion()
        await stage.look()
        stage.shard.end_motion()
        stage.cursors.late[stage.shard] = None
        await stage.look()
        assert stage.passed() == []

    asyncio.run(scenario())


def test_what_could_not_go_stays_with_the_reason_and_is_not_offered_again_at_once() -> None:
    async def scenario() -> None:
        stage = Guided(room="b")
        stage.around.failed = {ROOM: "no module"}
        stage.child(ROOM)
        await stage.look()
        (said,) = [words for words in (command.args for command in stage.replies.sent) if "no module" in str(words)]
        assert ROOM in str(said)
        stage.seen()
        stage.guide.look(NOBODY)
        assert len(stage.passed()) == 1
        stage.clock.now += RETRY + 0.1
        stage.guide.look(NOBODY)
        assert len(stage.passed()) == 2
        await stage.end()

    asyncio.run(scenario())


def test_one_that_waits_for_its_place_goes_there_when_its_node_is_up() -> None:
    async def scenario() -> None:
        stage = Guided()
        stage.shard.wait_for_place("new", a_record(place="b guided waits"))
        await stage.look(a=7)
        assert stage.passed() == [] and not stage.around.welcomed, "it waits for it"
        await stage.look()
        assert stage.passed() == [(["new"], "b")]

    asyncio.run(scenario())


def test_one_that_need_not_wait_for_its_node_lives_with_its_shard_meanwhile() -> None:
    async def scenario() -> None:
        stage = Guided()
        stage.shard.wait_for_place("new", a_record(place="b guided"))
        await stage.look(a=7)
        assert stage.around.welcomed == [("new", False)] and not stage.shard.unplaced

    asyncio.run(scenario())


def test_one_that_cannot_start_at_its_place_and_need_not_wait_is_served_by_its_shard_and_stays() -> None:
    async def scenario() -> None:
        stage = Guided()
        stage.around.failed = {"new": "no module", "waits": "no module"}
        stage.shard.wait_for_place("new", a_record(place="b guided"))
        stage.shard.wait_for_place("waits", a_record(place="b guided waits"))
        await stage.look()
        assert stage.around.welcomed == [("new", True)] and list(stage.shard.unplaced) == ["waits"]

    asyncio.run(scenario())


def test_a_pin_that_is_not_wanted_here_is_given_back() -> None:
    async def scenario() -> None:
        stage = Guided(kept="a")
        stage.pin("kept")
        other = stage.pin("other", 5)
        await stage.look()
        assert stage.around.given_back == ["other"] and other.straggles and other.in_motion
        stage.guide.look(NOBODY)
        await asyncio.sleep(0.01)
        assert stage.around.given_back == ["other"], "once"

    asyncio.run(scenario())


def test_a_straggler_is_not_given_back_by_a_second_hand() -> None:
    async def scenario() -> None:
        stage = Guided()
        stage.pin("straggler").straggle()  # it is followed already
        await stage.look()
        assert stage.around.given_back == []

    asyncio.run(scenario())


def test_a_node_that_leaves_gives_back_those_that_are_wanted_here_too() -> None:
    async def scenario() -> None:
        stage = Guided(kept="a")
        stage.pin("kept")
        stage.standing.drain()
        await stage.look()
        assert stage.around.given_back == ["kept"]

    asyncio.run(scenario())


def test_pins_that_are_ours_and_not_here_are_adopted() -> None:
    async def scenario() -> None:
        stage = Guided(kept="a")
        stage.pin("kept")
        pins = {(0, "kept"): Owner("a", 7, 4), (1, "lost"): Owner("a", 7, 4), (1, "old"): Owner("a", 6, 4)}
        await stage.look(Owners({}, pins))
        assert stage.around.adopted == [(1, ["lost"])]

    asyncio.run(scenario())


def test_a_pin_of_a_shard_in_motion_is_not_adopted_on_its_way() -> None:
    async def scenario() -> None:
        stage = Guided()
        stage.shard.begin_motion()
        await stage.look(Owners({}, {(0, "late"): Owner("a", 7, 4)}))
        assert stage.around.adopted == []

    asyncio.run(scenario())


def test_new_children_are_sent_away_each_to_its_node_and_who_fails_is_named() -> None:
    async def scenario() -> None:
        stage = Guided()
        stage.around.failed = {"two": "no module"}
        stage.seen(a=7, b=9, c=8)
        new = {"one": a_record(place="b guided"), "two": a_record(place="b guided"), "three": a_record(place="c guided"),
               "four": a_record(place="d guided waits")}  # fmt: skip
        for child, record in new.items():
            stage.shard.wait_for_place(child, record)
        assert await stage.guide.send_away(stage.shard, new) == {"two": "no module"}
        assert stage.passed() == [(["one", "two"], "b"), (["three"], "c")]
        await stage.end()

    asyncio.run(scenario())


def test_nothing_is_sent_away_of_a_shard_that_has_gone_while_it_was_waited_for() -> None:
    async def scenario() -> None:
        stage = Guided()
        stage.seen()
        stage.shard.wait_for_place("one", record := a_record(place="b guided"))
        stage.shard.begin_motion()
        sending = asyncio.ensure_future(stage.guide.send_away(stage.shard, {"one": record}))
        await asyncio.sleep(0)
        stage.register.drop(stage.shard)
        stage.shard.end_motion()
        assert await asyncio.wait_for(sending, 5) == {} and stage.passed() == []

    asyncio.run(scenario())
