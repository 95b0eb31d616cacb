"""Redis itself: the commands of fakeredis and the real Lua scripts, run one after another in no time.

fakeredis' own EVALSHA collects garbage and checks globals after each run; here each script is compiled once per process,
and what it calls goes straight to fakeredis' commands, without its keyspace notifications and checks of its own answers.
Every write is reported to the observer.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import fakeredis
from fakeredis import _msgs as flags
from fakeredis._commands import Key
from fakeredis._core._database import CommandItem
from fakeredis._helpers import SimpleError, SimpleString
from fakeredis._socket._resp import convert_to_resp2
from fakeredis.commands_mixins import scripting_mixin
from redis.exceptions import NoScriptError, ResponseError

READS = frozenset(
    b"HGET HMGET HGETALL HEXISTS HVALS HKEYS HLEN HSCAN ZSCORE ZRANGE ZRANGEBYSCORE ZCARD XRANGE XREVRANGE XREAD XLEN GET "
    b"EXISTS TYPE TTL PTTL TIME LRANGE LLEN SCAN SMEMBERS SISMEMBER".split()
)

#: One write: the command, its arguments, what it answered.
Write = tuple[bytes, Sequence[bytes], Any]


def tag_of(key: bytes) -> bytes:
    """What decides about the slot of a key."""
    return key.partition(b"{")[2].partition(b"}")[0]


class Lua:
    """One Lua state; scripts compiled once. ``mutate`` may change a script's text first (tests.simulation.mutations)."""

    def __init__(self) -> None:
        self.runtime = scripting_mixin.LUA_MODULE.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        self.call: Callable[..., Any] = lambda *args: None
        make = self.runtime.eval(
            "function(call, pcall, encode) redis = {call = call, pcall = pcall, error_reply = function(m) return {err = m} end,"
            " status_reply = function(m) return {ok = m} end}; cjson = {encode = encode} end"
        )
        make(lambda *args: self.call(*args), self._tried, self._encode)
        self._compiled: dict[str, Any] = {}

    def _tried(self, *args: Any) -> Any:
        try:
            return self.call(*args)
        except SimpleError as error:
            return self.runtime.table_from({b"err": error.value.encode()})

    def _encode(self, value: Any) -> bytes:
        return json.dumps(self._plain(value), separators=(",", ":")).encode()

    def _plain(self, value: Any) -> Any:
        if scripting_mixin.LUA_MODULE.lua_type(value) == "table":
            if any(isinstance(key, bytes) for key in value):
                return {key.decode(): self._plain(item) for key, item in value.items()}
            return [self._plain(item) for item in value.values()]
        return value.decode() if isinstance(value, bytes) else value

    def function(self, text: str) -> Any:
        """The compiled form of a script."""
        if text not in self._compiled:
            self._compiled[text] = self.runtime.eval(f"function(KEYS, ARGV)\n{text}\nend")
        return self._compiled[text]


@lru_cache(maxsize=1)
def lua() -> Lua:
    """The Lua state of this (real) process."""
    return Lua()


def _bytes(value: Any) -> bytes:
    kind = type(value)
    if kind is bytes:
        return value  # type: ignore[no-any-return]
    if kind is str:
        return value.encode()  # type: ignore[no-any-return]
    if kind is int or (kind is float and value.is_integer()):
        return b"%d" % value
    return str(value).encode()


class Command:
    """One command of fakeredis with so many arguments: which of them are keys, and which have to be read."""

    def __init__(self, socket: Any, name: bytes, args: list[bytes]) -> None:
        self.run, signature = socket._name_to_func(name.decode().lower())
        signature.check_arity(args, socket.version)
        fixed, repeat = signature.fixed, signature.repeat
        kinds = [fixed[n] if n < len(fixed) else repeat[(n - len(fixed)) % len(repeat)] for n in range(len(args))]
        self.keys = [(n, kind) for n, kind in enumerate(kinds) if isinstance(kind, Key)]
        self.read = [
            (n, kind.decode) for n, kind in enumerate(kinds) if not isinstance(kind, Key) and kind is not bytes
        ]
        self.as_it_is = flags.FLAG_SKIP_CONVERT_TO_RESP2 in signature.flags
        self.may_create = flags.FLAG_DO_NOT_CREATE not in signature.flags
        self.remove_empty = flags.FLAG_LEAVE_EMPTY_VAL not in signature.flags


class Store:
    """The data, and how commands change it."""

    def __init__(self, clock: Callable[[], float], mutate: Callable[[str], str] | None = None) -> None:
        self.writes: list[Write] = []
        self._clock = clock
        self._mutate = mutate or (lambda text: text)
        self._server = fakeredis.FakeServer()
        self._client = fakeredis.FakeRedis(server=self._server, protocol=2)
        self._connection = self._client.connection_pool.get_connection()
        self._connection.connect()
        self._socket: Any = self._connection._sock
        self._server.lock.acquire()  # fakeredis wants it held while a command runs; nobody else is here
        self._scripts: dict[bytes, str] = {}
        self._declared: frozenset[bytes] = frozenset()  # KEYS of the script that runs
        self._tags: set[bytes] = set()  # of these
        self._commands: dict[tuple[bytes, int], Command] = {}

    def flush_scripts(self) -> None:
        """As a restart does."""
        self._scripts.clear()

    def copied(self) -> dict[bytes, Any]:
        """All data, as it is now: what a replica has that is behind."""
        return copy.deepcopy(self._socket._db._dict)  # type: ignore[no-any-return]

    def put_back(self, data: dict[bytes, Any]) -> None:
        """The data is this again: a replica has taken over that did not have all writes."""
        self._socket._db._dict = copy.deepcopy(data)

    def execute(self, args: Sequence[Any]) -> tuple[Any, list[Write]]:
        """Run one command (never blocking): the answer, or the error as a value; and what it wrote."""
        self._socket._db.time = self._clock()
        fields = [_bytes(arg) for arg in args]
        self.writes = []
        name = fields[0].upper()
        if name == b"EVALSHA":
            answer = self._evalsha(fields)
        elif name == b"SCRIPT":
            answer = self._load(args[2])
        else:
            answer = self._socket._decode_result(self._run(name, fields[1:]))
        return answer, self.writes

    def newer(self, keys: Sequence[Any], ids: Sequence[Any]) -> bool:
        """Whether a stream has entries after those: most reads find none, and XREAD itself takes long to say so."""
        found, now = self._socket._db._dict, self._clock()
        for key, after in zip(keys, ids, strict=True):
            item = found.get(_bytes(key))
            if item is not None and (item.expireat is None or item.expireat >= now) and (there := item.value._ids):
                if after in ("$", b"$"):
                    continue
                head, _, tail = _bytes(after).partition(b"-")
                if there[-1] > (int(head), int(tail or 0)):
                    return True
        return False

    def _run(self, name: bytes, args: list[bytes]) -> Any:
        try:
            command = self._commands.get((name, len(args)))
            if command is None:
                command = self._commands[name, len(args)] = Command(self._socket, name, args)
            answer = self._answer(command, args)
        except SimpleError as error:
            answer = error
        if name not in READS:
            self.writes.append((name, args, answer))
        return answer

    def _answer(self, command: Command, args: list[bytes]) -> Any:
        """What ``fakeredis`` does for one command (``BaseFakeSocket._run_command``)."""
        db, words = self._socket._db, list[Any](args)
        for n, kind in command.keys:
            if kind.missing_return is not Key.UNSPECIFIED and args[n] not in db:
                return kind.missing_return
        for n, read in command.read:
            words[n] = read(args[n])
        items = []
        for n, kind in command.keys:
            found, default = db._dict.get(args[n]), None
            if found is not None and found.expireat is not None:
                found = db.get(args[n])  # unless it has expired
            if kind.type_ is not None:
                if found is None:
                    default = kind.type_() if command.may_create and kind.type_ is not bytes else None
                elif type(found.value) is not kind.type_:
                    raise SimpleError(flags.WRONGTYPE_MSG)
            words[n] = item = CommandItem(args[n], db, found, default=default)
            items.append(item)
        try:
            answer = command.run(*words)
            kind = type(answer)
            if kind is not bytes and kind is not int and answer is not None and not command.as_it_is:
                answer = convert_to_resp2(answer)
        finally:
            for item in items:
                if item.is_modified:
                    item.writeback(remove_empty_val=command.remove_empty)
            self._socket._subkey_events.clear()
        return answer

    def _load(self, text: str) -> bytes:
        from hashlib import sha1

        sha = sha1(text.encode()).hexdigest().encode()
        self._scripts[sha] = self._mutate(text)
        return sha

    def _evalsha(self, fields: list[bytes]) -> Any:
        text = self._scripts.get(fields[1])
        if text is None:
            return NoScriptError("NOSCRIPT No matching script. Please use EVAL.")
        state, n = lua(), int(fields[2])
        state.call = self._from_lua
        self._declared = frozenset(fields[3 : 3 + n])
        self._tags = {tag_of(key) for key in self._declared}
        if len(self._tags) > 1:
            return ResponseError("CROSSSLOT Keys in request don't hash to the same slot")
        table = state.runtime.table_from
        try:
            answer = state.function(text)(table(fields[3 : 3 + n]), table(fields[3 + n :]))
        except SimpleError as error:
            return ResponseError(error.value)
        return self._socket._decode_result(self._socket._convert_lua_result(answer, nested=False))

    def _from_lua(self, name: bytes, *args: Any) -> Any:
        words = [_bytes(arg) for arg in args]
        if name not in READS:
            assert words[0] in self._declared, f"a script writes {words[0]!r}, which is none of its KEYS"
        elif words and name != b"TIME":
            self._check_slot(words[0])
        answer = self._run(name, words)
        kind = type(answer)
        if kind is bytes or kind is int:
            return answer
        if answer is None:
            return False
        if isinstance(answer, SimpleError):
            raise answer
        if isinstance(answer, SimpleString):
            return lua().runtime.table_from({b"ok": answer.value})
        return self._socket._convert_redis_result(lua().runtime, answer)

    def _check_slot(self, key: bytes) -> None:
        """A cluster refuses a script that reads keys of another slot. (It is run where the slot of its ``KEYS`` is.)"""
        if key not in self._declared and b"{" in key and tag_of(key) not in self._tags:
            raise AssertionError(f"a script reads {key!r}, which is in another slot than its KEYS")

    # -- for the checks: looking without being seen ----------------------------------------------------------------

    def look(self, *args: Any) -> Any:
        """A reading command's answer, outside of the simulation."""
        answer, _ = self.execute(args)
        return answer
