"""Every key that a script writes is one of its KEYS (docs/adr/0008), and no script builds a key's name.

Each script runs here with every ``redis.call`` recorded: the keys it touches, and the KEYS of that run. Every place that
writes must be reached, so that a new one cannot hide in a branch that nobody drives.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha1
from importlib.resources import files
from typing import Any

import msgspec
import pytest

from hubq.errors import RedisUnavailable
from hubq.store.asks import withdraw_call
from hubq.store.command import Command, plain, text
from hubq.store.connection import AsyncRedis, SyncRedis
from hubq.store.effects import Effects
from hubq.store.keys import Keys
from hubq.store.owners import release_pin
from hubq.store.scripts import SCRIPTS, Script

from .script_drives import DRIVES, World

READS = frozenset({
    "EXISTS", "GET", "HEXISTS", "HGET", "HGETALL", "HLEN", "HMGET", "LLEN", "MEMORY", "STRLEN", "TIME", "XLEN", "XRANGE", "XREVRANGE",
    "ZCARD", "ZRANGE", "ZRANGEBYLEX", "ZRANGEBYSCORE", "ZSCORE",
})  # fmt: skip
#: What is read without being declared: a web app may not write these, and Redis asks for that right.
ONLY_READ = {
    "send_messages": {"partitioned"},
    "start_children": {"partitioned"},
    "withdraw_call": {"owners", "epoch"},
    "intervene": {"owners", "shard:0:children", "shard:3:children", "shard:0:dormant"},
}
_CALL = re.compile(r"redis\.(p?call)\('(\w+)'")


@dataclass(frozen=True)
class Touch:
    """One ``redis.call`` (or ``pcall``): where it stands in its script, what it touched, and the KEYS of that run."""

    place: int
    command: str
    touched: list[str]
    declared: list[str]

    @property
    def writes(self) -> bool:
        return self.command not in READS

    @property
    def undeclared(self) -> set[str]:
        return set(self.touched) - set(self.declared)


def recorded(script: Script, log: str) -> Script:
    """The script with every ``redis.call`` written down in the list ``log``."""
    places = iter(range(1000))
    body = _CALL.sub(lambda call: f"recorded(redis.{call[1]}, {next(places)}, '{call[2]}'", script.text)
    record = f"""
local function recorded(act, place, command, ...)
  local touched = {{...}}
  if command == 'TIME' then touched = {{}} elseif command ~= 'DEL' and command ~= 'EXISTS' then touched = {{touched[1]}} end
  redis.call('RPUSH', '{log}', cjson.encode({{place = place, command = command, touched = touched, declared = KEYS}}))
  return act(command, ...)
end
"""
    full = record + body
    return Script(script.name, full, sha1(full.encode()).hexdigest())


class Recorder:
    """Runs one script recorded, all others as they are."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self._world, self._patch = world, monkeypatch
        self._log = f"recorded:{world.keys.hub_id}"

    def touches(self, script: Script) -> list[Touch]:
        """All that the script does while it is driven."""
        self._patch.setitem(SCRIPTS, script.name, recorded(script, self._log))
        if "mended(" in script.text and script.name != "join_node":
            self._patch.setattr(self._world, "run", self._with_numbers_that_are_none(script.name))
        DRIVES[script.name](self._world)
        return [
            Touch(found["place"], found["command"], list(found["touched"]), list(found["declared"]))
            for found in map(json.loads, self._world.raw("LRANGE", self._log, 0, -1))
        ]

    def _with_numbers_that_are_none(self, name: str) -> Callable[[Command[Any]], Any]:
        world, run = self._world, self._world.run

        def spoilt(command: Command[Any]) -> Any:
            if command.script is not None and command.script.name == name:
                for key in (world.keys.epoch, world.keys.pins_epoch):
                    world.raw("SET", key, "soon")
            return run(command)

        return spoilt


@pytest.fixture
def world(server: Any, make_hub: Any) -> Iterator[World]:
    redis = SyncRedis(server)
    yield World(Keys(make_hub().hub_id), redis)
    redis.close()


@pytest.fixture
def recorder(world: World, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    return Recorder(world, monkeypatch)


def test_every_script_is_driven() -> None:
    assert set(DRIVES) == set(SCRIPTS)


@pytest.mark.long_on_fakeredis
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_a_script_touches_what_was_declared(name: str, world: World, recorder: Recorder) -> None:
    script = SCRIPTS[name]
    touches = recorder.touches(script)
    for touch in touches:
        if touch.writes:
            assert not touch.undeclared, f"{name} writes with {touch.command} what is none of its KEYS"
    read = {key.removeprefix(world.keys.prefix) for touch in touches for key in touch.undeclared}
    assert read == ONLY_READ.get(name, set()), f"{name} reads what is none of its KEYS"
    calls = _CALL.findall(script.text)
    reached = {touch.place for touch in touches}
    missed = [f"{n}: {command}" for n, (_, command) in enumerate(calls) if command not in READS and n not in reached]
    assert not missed, f"{name}: no run got to these of its calls"


@pytest.mark.parametrize(
    ("name", "declared", "built"),
    [
        ("commit_shards", "redis.call('HDEL', stragglers, child)", "string.match(children, '^.*}:') .. 'assignment'"),
        ("commit_shards", "redis.call('HDEL', parked, child)", "string.match(children, '^.*}:') .. 'shard:0:tries'"),
        ("claim_shards", "redis.call('PEXPIRE', replies,", "string.match(KEYS[1], '^.*}:') .. 'reply:other'"),
        ("withdraw_call", "redis.call('PEXPIRE', streams[owner],", "'hubq:{chat}:node:' .. owner .. ':asks'"),
    ],
)
def test_a_key_that_was_left_out_is_noticed(name: str, declared: str, built: str, recorder: Recorder) -> None:
    script = SCRIPTS[name]
    assert declared in script.text
    key = declared.split(", ")[1].rstrip(",")
    changed = script.text.replace(declared, declared.replace(f", {key}", f", {built}"))
    touches = recorder.touches(Script(name, changed, sha1(changed.encode()).hexdigest()))
    assert [touch for touch in touches if touch.writes and touch.undeclared]
    assert list(built_keys(changed)) and not list(built_keys(script.text))


# -- and without running any ----------------------------------------------------------------------------------------

#: The words of which keys are made.
WORDS = {"hubq", *(word for word in re.findall(r"[a-z_]+", " ".join(Keys("x").fixed)))} | {
    word for name in ("control", "left", "vitals", "load", "mailbox", "children", "msk", "backlog", "parked", "log",
                      "replicas", "tries", "dead", "batches", "batch", "sender", "result", "reply")
    for word in re.findall(r"[a-z_]+", getattr(Keys("x"), name)("0").removeprefix(Keys("x").prefix))
}  # fmt: skip


def built_keys(lua: str) -> Iterator[str]:
    """The places in a script where text becomes the name of a key."""
    word = rf"'[^' ]*\b(?:{'|'.join(sorted(WORDS))})\b[^' ]*'"
    for line in lua.splitlines():
        code = line.partition("--")[0]
        if re.search(rf"\.\. ?{word}|{word} ?\.\.", code) or "}:'" in code or "'hubq" in code:
            yield line.strip()
        for key in re.findall(r"redis\.call\('(?:MEMORY', '\w+|\w+)', ([^,)]+)", code):
            if ".." in key or "'" in key:
                yield line.strip()


@pytest.mark.parametrize("file", sorted(f.name for f in files("hubq.store").joinpath("lua").iterdir()))
def test_no_script_builds_a_key(file: str) -> None:
    assert list(built_keys(files("hubq.store").joinpath("lua", file).read_text("utf-8"))) == []


# -- keys that only data names --------------------------------------------------------------------------------------


def test_an_owner_that_changes_meanwhile_is_asked_for_once_more(world: World) -> None:
    """Only the mailbox of the owner is written, and not that of the node which was named before."""
    b = world.join("b")
    world.join("c")
    pin = world.pin(0, "c", "b", b)
    stale = release_pin(world.keys, 0, "c", pin, closed_at_ms=1.0, effects=Effects(), events_kept=1000, nodes=["c"])
    assert world.run(stale) == "released"
    assert [world.raw("XLEN", world.keys.control(node)) for node in "ac"] == [1, 0]


def never_enough(world: World) -> Command[str]:
    """A script that is called without the key that it asks for."""
    command = withdraw_call(world.keys, 0, "c", "s", "1")
    return msgspec.structs.replace(command, again=lambda nodes: never_enough(world))


def test_a_script_is_not_asked_again_for_ever(world: World) -> None:
    with pytest.raises(RedisUnavailable, match="try again"):
        world.run(never_enough(world))

    async def ask() -> None:
        redis = AsyncRedis(world.redis.server)
        try:
            with pytest.raises(RedisUnavailable, match="try again"):
                await redis.run(never_enough(world))
        finally:
            await redis.close()

    asyncio.run(ask())
    assert world.raw("EXISTS", world.keys.asks("a")) == 0


def test_what_goes_with_such_a_script_is_answered_in_order(world: World) -> None:
    commands = [
        plain("ECHO", "x", read=text),
        withdraw_call(world.keys, 0, "c", "s", "1"),
        plain("ECHO", "y", read=text),
    ]
    assert world.redis.run_many(commands) == ["x", "a", "y"]

    async def ask() -> list[Any]:
        redis = AsyncRedis(world.redis.server)
        try:
            return await redis.run_many(commands)
        finally:
            await redis.close()

    assert asyncio.run(ask()) == ["x", "a", "y"]
    assert world.raw("XLEN", world.keys.asks("a")) == 2 and 0 < world.raw("PTTL", world.keys.asks("a")) <= 3_600_000
