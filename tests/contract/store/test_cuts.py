"""A commit that cuts a mailbox off does what one does that names its messages (docs/adr/0033-*)."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from hubq.core.unfinished import Unfinished
from hubq.store.connection import SyncRedis
from hubq.store.effects import Effects
from hubq.store.keys import Keys
from hubq.store.mailbox import read_range
from hubq.store.owners import Owner, commit_shards
from hubq.store.registry import read_texts
from tests.contract.store.script_drives.world import World

CHILDREN = ("a", "b", "c")


@pytest.fixture
def world(server: Any, make_hub: Any) -> Iterator[World]:
    redis = SyncRedis(server)
    made = World(Keys(make_hub().hub_id), redis)
    for shard in (0, 1):
        made.start(shard, *CHILDREN)
        made.raw("XTRIM", made.keys.mailbox(shard), "MAXLEN", 0)
        made.raw("DEL", made.keys.backlog(shard))
    yield made
    redis.close()


def commit(world: World, shard: int, effects: Effects, owner: Owner | None = None) -> str:
    (command,) = commit_shards(world.keys, [(shard, None, owner or world.owner, effects)])
    (word,) = world.run(command)
    return str(word)


def waiting(world: World, shard: int) -> dict[str, str]:
    """Child -> how many messages wait for it, as it is kept."""
    return dict(world.run(read_texts(world.keys.backlog(shard))))


def left(world: World, shard: int) -> list[str]:
    """The children for whom messages stand in the mailbox."""
    return [message.child for message in world.run(read_range(world.keys, shard, b"0", b"+", 1000))]


def after(entry: bytes) -> bytes:
    unfinished = Unfinished(complete=True)
    unfinished.read([entry])
    unfinished.finished([[entry]])
    return unfinished.cut()


def test_what_comes_later_stays_and_a_repetition_changes_nothing(world: World) -> None:
    entries = [world.send(0, child) for child in "aab"]
    world.send(0, "b"), world.send(0, "c")
    effects = Effects(done={"a": entries[:2], "b": entries[2:]}, replies={"u": [b"r"]}, cut=after(entries[-1]))
    for _ in range(2):  # the second time as if the answer to the first had been lost
        assert commit(world, 0, effects) == "ok"
        assert left(world, 0) == ["b", "c"] and waiting(world, 0) == {"b": "1", "c": "1"}


def test_what_is_fenced_cuts_nothing(world: World) -> None:
    entries = [world.send(0, "a") for _ in range(2)]
    for wrong in (Owner("a", world.a, 2), Owner("b", world.a, 1), Owner("a", world.a + 1, 1)):
        assert commit(world, 0, Effects(done={"a": entries}, cut=after(entries[-1])), wrong) == "fenced"
    assert left(world, 0) == ["a", "a"] and waiting(world, 0) == {"a": "2"}


def test_if_some_were_gone_the_mailbox_is_counted(world: World) -> None:
    entries = [world.send(0, child) for child in "aabc"]
    world.send(0, "b")
    world.raw("XDEL", world.keys.mailbox(0), entries[1])
    assert (
        commit(world, 0, Effects(done={"a": entries[:2], "b": entries[2:3], "c": entries[3:]}, cut=after(entries[-1])))
        == "ok"
    )
    assert left(world, 0) == ["b"] and waiting(world, 0) == {"b": "1"}


def test_it_says_that_the_mailbox_is_empty_if_it_is_asked_and_is_so(world: World) -> None:
    entries = [world.send(0, "a") for _ in range(3)]
    assert commit(world, 0, Effects(done={"a": entries[:1]}, asked_at=3)) == "ok", "two are left"
    assert commit(world, 0, Effects(done={"a": entries[1:2]})) == "ok"
    assert commit(world, 0, Effects(done={"a": entries[2:]}, asked_at=3)) == "empty"
    assert waiting(world, 0) == {}


def test_several_shards_in_one_commit_each_have_their_own_cut(world: World) -> None:
    entries = {shard: [world.send(shard, "a") for _ in range(3)] for shard in (0, 1)}
    commits = [
        (0, None, world.owner, Effects(done={"a": entries[0]}, cut=after(entries[0][-1]))),
        (1, None, world.owner, Effects(done={"a": entries[1][:2]}, states={"a": b"1 attributes 0\ns"})),
    ]
    (command,) = commit_shards(world.keys, commits)
    assert world.run(command) == ["ok", "ok"]
    assert left(world, 0) == [] and left(world, 1) == ["a"] and waiting(world, 1) == {"a": "1"}
    assert world.raw("HEXISTS", world.keys.msk(1), "a") == 1


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("seed", range(4))
def test_a_cut_leaves_what_naming_each_message_leaves(world: World, seed: int) -> None:
    random, unfinished, read = Random(seed), Unfinished(complete=True), 0
    entries: list[tuple[str, bytes, bytes]] = []  # of the same message in shard 0, and in shard 1
    hand: list[int] = []
    cuts = 0
    for _ in range(60):
        for _ in range(random.randrange(4)):
            child = random.choice(CHILDREN)
            entries.append((child, world.send(0, child), world.send(1, child)))
        if random.random() < 0.7:
            unfinished.read([entry for _, entry, _ in entries[read:]])
            hand += range(read, len(entries))
            read = len(entries)
        some = hand if random.random() < 0.6 else random.sample(hand, random.randint(0, len(hand)))
        some, hand = sorted(some), [n for n in hand if n not in some]
        done: tuple[dict[str, list[bytes]], dict[str, list[bytes]]] = {}, {}
        for n in some:
            child, *of_shards = entries[n]
            for shard, entry in enumerate(of_shards):
                done[shard].setdefault(child, []).append(entry)
        cut, _ = unfinished.finished(done[0].values())
        cuts += bool(cut)
        assert commit(world, 0, Effects(done=done[0], cut=cut)) == commit(world, 1, Effects(done=done[1])) == "ok"
        assert left(world, 0) == left(world, 1) and waiting(world, 0) == waiting(world, 1)
    assert cuts > 5
