"""Redis itself: the commands of fakeredis and the real Lua scripts, run one after another in no time.

fakeredis' own EVALSHA collects garbage and checks globals after each run; here each script is compiled once per process,
and what it calls goes straight to fakeredis' commands. Every write is reported to the observer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import fakeredis
from fakeredis._helpers import SimpleError, SimpleString
from fakeredis.commands_mixins import scripting_mixin
from redis.exceptions import NoScriptError, ResponseError

READS = frozenset(
    b"HGET HMGET HGETALL HEXISTS HVALS HKEYS HLEN HSCAN ZSCORE ZRANGE ZRANGEBYSCORE ZCARD XRANGE XREVRANGE XREAD XLEN GET "
    b"EXISTS TYPE TTL PTTL TIME LRANGE LLEN SCAN SMEMBERS SISMEMBER".split()
)

#: One write: the command, its arguments, what it answered.
Write = tuple[bytes, Sequence[bytes], Any]


class Lua:
    """One Lua state; scripts compiled once. ``mutate`` may change a script's text first (tests.simulation.mutations)."""

    def __init__(self) -> None:
        self.runtime = scripting_mixin.LUA_MODULE.LuaRuntime(encoding=None, unpack_returned_tuples=True)
        self.call: Callable[..., Any] = lambda *args: None
        make = self.runtime.eval(
            "function(call, encode) redis = {call = call, error_reply = function(m) return {err = m} end,"
            " status_reply = function(m) return {ok = m} end}; cjson = {encode = encode} end"
        )
        make(lambda *args: self.call(*args), self._encode)
        self._compiled: dict[str, Any] = {}

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
    if isinstance(value, bytes):
        return value
    if isinstance(value, float) and value.is_integer():
        return b"%d" % value
    return str(value).encode()


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
        self._signatures: dict[bytes, Any] = {}

    def flush_scripts(self) -> None:
        """As a restart does."""
        self._scripts.clear()

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
            answer = self._socket._decode_result(self._run(name, fields[1:], False))
        return answer, self.writes

    def _run(self, name: bytes, args: list[bytes], from_script: bool) -> Any:
        found = self._signatures.get(name)
        if found is None:
            found = self._signatures[name] = self._socket._name_to_func(name.decode().lower())
        answer = self._socket._run_command(*found, args, from_script)
        if name not in READS:
            self.writes.append((name, args, answer))
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
        table = state.runtime.table_from
        try:
            answer = state.function(text)(table(fields[3 : 3 + n]), table(fields[3 + n :]))
        except SimpleError as error:
            return ResponseError(error.value)
        return self._socket._decode_result(self._socket._convert_lua_result(answer, nested=False))

    def _from_lua(self, name: bytes, *args: Any) -> Any:
        answer = self._run(name, [_bytes(arg) for arg in args], True)
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

    # -- for the checks: looking without being seen ----------------------------------------------------------------

    def look(self, *args: Any) -> Any:
        """A reading command's answer, outside of the simulation."""
        answer, _ = self.execute(args)
        return answer
