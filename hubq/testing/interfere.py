"""Makes rare things happen inside one node. See :mod:`hubq.testing.probe`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from hubq.core.child import Child
from hubq.core.messages import ControlMessage
from hubq.errors import StartFailed
from hubq.node.arrivals import shards
from hubq.node.departures import shard_handover
from hubq.node.departures.turns import CLOSED_AT_ONCE
from hubq.node.held.pins import set_aside
from hubq.node.node import Node
from hubq.node.part import NodePart
from hubq.store.scripts import SCRIPTS
from hubq.testing.patching import replaced
from hubq.testing.probe import ChildHere, probe


def look_at_the_plan(node: Node) -> None:
    """Make its next look at the plan due."""
    node.wiring.runtime.plan_due.ring()


def receive(node: Node, message: ControlMessage) -> None:
    """As if this control message had come."""
    node.wiring.control._receive(message)


def write_events(node: Node, count: int, kind: str, **fields: object) -> None:
    """As if this had happened so many times in one moment."""
    for _ in range(count):
        node.wiring.runtime.events.add(kind, **fields)


def count_pause(node: Node, seconds: float) -> None:
    """As if a child had come that was paused for so long."""
    node.counters.paused(seconds)


# -- commits -------------------------------------------------------------------------------------------------------


async def commit_only_at_the_end(node: Node) -> None:
    """No commit is made any more but the last one, of a node that ends."""
    await node.wiring.commits.committer.stop()


@contextmanager
def next_commit_raises(node: Node, error: Exception) -> Iterator[list[Exception]]:
    """The next commit fails with an error that is none of Redis; it is in the list then."""
    raised: list[Exception] = []

    def once(until_answered: Any) -> Any:
        async def fail_first(batch: Any) -> Any:
            if raised:
                return await until_answered(batch)
            raised.append(error)
            raise error

        return fail_first

    with replaced(node.wiring.commits.committer, "_until_answered", once):
        yield raised


@contextmanager
def commits_held(child: ChildHere) -> Iterator[None]:
    """Nothing of its shard is committed, as while the token is being passed."""
    holding = child.inside.holding
    holding.freeze()
    try:
        yield
    finally:
        holding.thaw()


# -- the lease ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def lease_not_renewed(node: Node, age: float) -> AsyncIterator[None]:
    """Its lease is ``age`` seconds older than it was, and is not renewed meanwhile."""
    keeper = node.wiring.lease.keeper
    await keeper.stop()
    lease = node.wiring.runtime.standing.lease
    lease.begin(lease.asked_at - age)
    try:
        yield
    finally:
        keeper.start()


# -- joining and leaving ---------------------------------------------------------------------------------------------


async def drain_where_joined(node: Node) -> None:
    """As if somebody had drained it in each group that it has joined, while the primaries of others are away."""
    for part in node.parts:
        if part.wiring.runtime.standing.incarnation:
            await part.wiring.membership.member.announce_drain()


@contextmanager
def tries_to_join(node: Node) -> Iterator[asyncio.Event]:
    """The event comes when the node tries again to join a group."""
    tried = asyncio.Event()

    def noticed(check: Any) -> Any:
        async def checked(part: NodePart) -> None:
            if part in node.parts:
                tried.set()
            await check(part)

        return checked

    with replaced(NodePart, "check", noticed):
        yield tried


# -- children -------------------------------------------------------------------------------------------------------


def begin_run(node: Node, child: ChildHere) -> None:
    """As every move does that leaves a child where it is."""
    node.wiring.children.lives.start_run(child.inside)


def replace_class(child: ChildHere, kind: type[Child]) -> None:
    """Its handlers are those of another class from now on; its instance stays."""
    child.inside.kind = kind


def taken_out_of_its_shard(node: Node, child: ChildHere) -> ChildHere:
    """As when its shard goes and it cannot go along: it is in a pin now (which no node serves)."""
    set_aside(node.wiring.held.cursors, child.inside.holding, child.inside)
    return child


@contextmanager
def one_child_cannot_be_built(node: Node) -> Iterator[list[str]]:
    """The first child that is to be built on this node cannot be, now and later; it is in the list then."""
    unlucky: list[str] = []

    def but_one(build: Any) -> Any:
        def refuse(holding: Any, child_id: str, record: Any) -> Any:
            if not unlucky or child_id in unlucky:
                unlucky[:] = [child_id]
                raise StartFailed(f"{child_id} cannot be built on {node.name}")
            return build(holding, child_id, record)

        return refuse

    with replaced(node.wiring.children.builder, "build", but_one):
        yield unlucky


# -- shards ---------------------------------------------------------------------------------------------------------


async def forget_shards(node: Node) -> None:
    """The node does not know any more that it owns what it owns; all is committed before."""
    wiring = node.wiring
    for holding in wiring.held.register.all():
        await wiring.commits.committer.flush()
        wiring.held.register.drop(holding)
        wiring.runtime.standing.learn(holding.shard, 0)


@asynccontextmanager
async def no_shard_closes(node: Node) -> AsyncIterator[None]:
    """The shards that are to go wait for their turn, and serve meanwhile."""
    with (
        replaced(shard_handover, "PATIENCE", lambda _: 30.0),
        replaced(shard_handover, "MOST_PATIENCE", lambda _: 30.0),
    ):
        turns = [await node.wiring.moving.closing.take(5.0, 5.0) for _ in range(CLOSED_AT_ONCE)]
        assert all(turns)
        try:
            yield
        finally:
            for _ in turns:
                node.wiring.moving.closing.give()


def closed_at_once(node: Node) -> int:
    """So many shards of the node, of whatever groups, may be closed for moves at the same time."""
    return len({id(part.wiring.moving.closing) for part in node.parts}) * CLOSED_AT_ONCE


@contextmanager
def first_adoption_of_each_shard_fails(node: Node, step: str) -> Iterator[list[int]]:
    """Each shard that comes here fails once, in ``"reading"`` its states or in ``"starting"`` its children. The answer:
    the shards that have failed; clear it, and they fail once more.

    (``"reading"`` fails on every node of this process.)
    """
    failed: list[int] = []

    def faulty(shard_in: Callable[..., int]) -> Callable[[Any], Any]:
        def wrap(works: Any) -> Any:
            def first_fails(*args: Any, **options: Any) -> Any:
                shard = shard_in(*args)
                if shard not in failed:
                    failed.append(shard)
                    raise RuntimeError("a fault in the node")
                return works(*args, **options)

            return first_fails

        return wrap

    if step == "reading":
        patch = replaced(shards, "read_states", faulty(lambda keys, shard: shard))
    else:
        assert step == "starting"
        patch = replaced(node.wiring.children.lives, "begin", faulty(lambda hosted, envelope: hosted.holding.shard))
    with patch:
        yield failed


@contextmanager
def requests_fail(node: Node, which: Callable[[Any], bool], error: Exception, most: int) -> Iterator[list[Exception]]:
    """The first ``most`` requests of this node that begin with such a command fail; each error is in the list then.

    Parts that repeat a request by themselves give up at once.
    """
    raised: list[Exception] = []

    def refusing(run_many: Any) -> Any:
        async def run(commands: Any, **how: Any) -> list[Any]:
            if len(raised) < most and which(commands[0].args):
                raised.append(error)
                raise error
            answers: list[Any] = await run_many(commands, **how)
            return answers

        return run

    with replaced(probe(node).connection, "run_many", refusing):
        yield raised


@contextmanager
def tries_fail(node: Node, which: Callable[[Any], bool], error: Exception, most: int) -> Iterator[list[Exception]]:
    """The same for single tries: a request that may be repeated is, as after a lost connection."""
    raised: list[Exception] = []

    def losing(attempt: Any) -> Any:
        async def try_it(commands: Any, *rounds: int) -> list[Any]:
            if len(raised) < most and which(commands[0].args):
                raised.append(error)
                raise error
            answers: list[Any] = await attempt(commands, *rounds)
            return answers

        return try_it

    with replaced(probe(node).connection, "_attempt", losing):
        yield raised


@contextmanager
def answers_lost(node: Node, which: Callable[[Any], bool], *, most: int) -> Iterator[list[Exception]]:
    """Redis does what the first ``most`` requests of this node say that begin with such a command, and the answers are lost.

    Each error is in the list then.
    """
    raised: list[Exception] = []

    def losing(attempt: Any) -> Any:
        async def try_it(commands: Any, *rounds: int) -> list[Any]:
            answers: list[Any] = await attempt(commands, *rounds)
            if len(raised) < most and which(commands[0].args):
                raised.append(ConnectionError("the answer is lost (hubq.testing)"))
                raise raised[-1]
            return answers

        return try_it

    with replaced(probe(node).connection, "_attempt", losing):
        yield raised


@contextmanager
def around_script(
    node: Node,
    name: str,
    *,
    before: Callable[[], Awaitable[None]] | None = None,
    after: Callable[[], Awaitable[None]] | None = None,
) -> Iterator[list[str]]:
    """Something happens the first time that this node runs a script: before it is sent, or before its answer is heard. Its name is in the
    list then.
    """
    seen: list[str] = []

    def interrupted(attempt: Any) -> Any:
        async def try_it(commands: Any, *rounds: int) -> list[Any]:
            meant = not seen and any(command.script is SCRIPTS[name] for command in commands)
            if meant:
                seen.append(name)
                if before is not None:
                    await before()
            answers: list[Any] = await attempt(commands, *rounds)
            if meant and after is not None:
                await after()
            return answers

        return try_it

    with replaced(probe(node).connection, "_attempt", interrupted):
        yield seen
