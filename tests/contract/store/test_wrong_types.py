"""A key of another type than hubq writes: the script is refused. When that is mended and it is repeated, all is done once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from hubq.errors import RedisRefused
from hubq.store.answers import keys_of
from hubq.store.command import Command, text
from hubq.store.connection import SyncRedis
from hubq.store.keys import Keys
from hubq.store.scripts import SCRIPTS

from .script_drives import DRIVES, World

#: What stands there twice is passed over by its readers: a client knows its replies, a follower its entries, a node the bell.
READ_ONCE = re.compile(r"^(reply:\w+|shard:\d+:log)$")
BELL = b"remind"
#: What is sent to a shard of which a key is of another type waits in the outbox. So that is not the same as at once.
WAITS_IN_THE_OUTBOX = {("commit_shards", "shard:1:mailbox")}
#: They write one key. (The first takes whatever is there for the result.)
NEVER_REFUSED = {"keep_result", "intervene", "withdraw_call", "rename_keys"}


class Hostile:
    """Runs a script as it is driven, and each time before that once for each of its keys: with this key of another type, and again
    when that is mended.
    """

    def __init__(self, world: World, name: str) -> None:
        self.found: dict[str, str] = {}
        self.refused: set[str] = set()
        self._world, self._name, self._run = world, name, world.run

    def run(self, command: Command[Any]) -> Any:
        """One command of the drive."""
        if command.script is None or command.script.name != self._name:
            return self._run(command)
        before = self._dump()
        twice = {}
        for key in dict.fromkeys(keys_of(command)):
            if self._refuses(command, key, before):
                self._run(command)
                twice[key] = self._content()
            self._restore(before)
        answer = self._run(command)
        once = self._content()
        for key, content in twice.items():
            name = self._short(key)
            self.refused.add(name)
            for at in {*once, *content}:
                if content.get(at) != once.get(at) and (self._name, name) not in WAITS_IN_THE_OUTBOX:
                    self.found[f"{name} -> {at}"] = f"{once.get(at)} became {content.get(at)}"
        return answer

    def run_on_garbage(self, command: Command[Any]) -> Any:
        """One command of the drive, before that with garbage in each of its hashes and feeds."""
        if command.script is None or command.script.name != self._name:
            return self._run(command)
        before, raw = self._dump(), self._world.raw
        for key in dict.fromkeys(keys_of(command)):
            kind = text(raw("TYPE", key))
            for garbage in GARBAGE if kind == "hash" and not self._short(key).startswith(OWN_WINDOW) else ():
                flat = raw("HGETALL", key)
                for field in list(flat if isinstance(flat, dict) else flat[::2]):
                    raw("HSET", key, field, garbage)
                self._run(command)
                self._restore(before)
        return self._run(command)

    def _refuses(self, command: Command[Any], key: str, before: dict[bytes, tuple[bytes, int]]) -> bool:
        """Whether it is refused while this key is of another type. It is as before then."""
        kind = text(self._world.raw("TYPE", key))
        self._world.raw("DEL", key)
        self._world.raw(*(("HSET", key, "x", "y") if kind == "string" else ("SET", key, "x")))
        try:
            self._run(command)
        except RedisRefused:
            self._world.raw("DEL", key)
            if kind != "none":
                value, ttl = before[key.encode()]
                self._world.raw("RESTORE", key, ttl, value)
            return True
        return False

    def _keys(self) -> list[bytes]:
        return sorted(self._world.raw("KEYS", f"{self._world.keys.prefix}*"))

    def _dump(self) -> dict[bytes, tuple[bytes, int]]:
        raw = self._world.raw
        return {key: (raw("DUMP", key), max(0, raw("PTTL", key))) for key in self._keys()}

    def _restore(self, dump: dict[bytes, tuple[bytes, int]]) -> None:
        for key in self._keys():
            self._world.raw("DEL", key)
        for key, (value, ttl) in dump.items():
            self._world.raw("RESTORE", key, ttl, value)

    def _content(self) -> dict[str, str]:
        """All that the hub has, without ids of entries and times."""
        return {self._short(text(key)): re.sub(r"\d{13,}(-\d+)?", "T", self._value(key)) for key in self._keys()}

    def _value(self, key: bytes) -> str:
        raw = self._world.raw
        kind = text(raw("TYPE", key))
        if kind == "string":
            return repr(raw("GET", key))
        if kind == "hash":
            flat = raw("HGETALL", key)
            return repr(sorted(flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)))
        if kind == "zset":
            flat = raw("ZRANGE", key, 0, -1, "WITHSCORES")  # (in the order of times, which are not looked at)
            return repr(sorted(zip(flat[::2], flat[1::2], strict=True)))
        found = raw("LRANGE", key, 0, -1) if kind == "list" else [entry[1] for entry in raw("XRANGE", key, "-", "+")]
        values = [repr(value) for value in found if BELL not in value]
        if READ_ONCE.match(self._short(text(key))):
            values = list(dict.fromkeys(re.sub(r"\d{13,}", "T", value) for value in values))
        return "\n".join(values)

    def _short(self, key: str) -> str:
        return key.removeprefix(self._world.keys.prefix)


@pytest.fixture
def world(server: Any, make_hub: Any) -> Iterator[World]:
    redis = SyncRedis(server)
    yield World(Keys(make_hub().hub_id), redis)
    redis.close()


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_that_was_refused_and_is_repeated_does_all_once(
    name: str, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = Hostile(world, name)
    monkeypatch.setattr(world, "run", hostile.run)
    DRIVES[name](world)
    assert hostile.found == {}
    assert bool(hostile.refused) == (name not in NEVER_REFUSED)


#: What somebody else may have left in the fields of a hash.
GARBAGE = ("soon", "", "-1", "9" * 40)
#: A sender with a window that is garbage is refused: it is its own.
OWN_WINDOW = "sender:"


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_garbage_in_a_key_does_not_stop_a_script(name: str, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its answer may be another one. But it answers: what Redis refuses would be asked again for ever."""
    hostile = Hostile(world, name)
    monkeypatch.setattr(world, "run", hostile.run_on_garbage)
    DRIVES[name](world)
