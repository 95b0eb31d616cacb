"""What became of a request: the answer as its command reads it, a refusal, or a connection that was lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from redis.exceptions import (
    AskError,
    AuthenticationError,
    BusyLoadingError,
    ClusterCrossSlotError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    WatchError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from hubq.core.malformed import reason
from hubq.errors import HubqError, RedisRefused, RedisUnavailable, Unreadable
from hubq.store.command import Command, text
from hubq.store.server import Server
from hubq.store.slots import NoCluster, SlotElsewhere

T = TypeVar("T")

#: What a lost connection looks like. (A server that is loading its data set answers, but cannot serve.)
LOST = (RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError)


def unavailable(server: Server, error: BaseException) -> RedisUnavailable:
    """The error for a connection that was lost or never came to be. (To redis-py a wrong password is one of these.)"""
    if isinstance(error, AuthenticationError | NotPrimary | NoCluster):
        return refused(server, error)
    if isinstance(error, SlotElsewhere):
        return RedisUnavailable(f"Redis Cluster at {server.address}: {error}: look at CLUSTER SLOTS and CLUSTER INFO")
    return RedisUnavailable(
        f"cannot reach Redis at {server.address} ({error}): start it, or set HUBQ_REDIS_URL to where it is"
    )


#: A transaction did not happen: somebody else has changed what it had looked at.
OVERTAKEN = WatchError

#: How often a script is sent with the keys that it has just asked for. Each time somebody else must have been quicker.
KEY_ROUNDS = 8

#: What Redis's refusal of a command looks like.
REFUSED = ResponseError


#: What it looks like if the user of Redis has not got the right to it.
NOT_ALLOWED = NoPermissionError


def refused(server: Server, error: RedisError, command: Command[Any] | None = None) -> RedisUnavailable:
    """The error for a refusal. ``command`` is what Redis refused, if that is known."""
    said = str(error)
    if (
        isinstance(error, AuthenticationError | NoPermissionError)
        or said.startswith(("NOAUTH", "WRONGPASS"))
        or "NOPERM" in said
    ):
        hint = "check the user, the password and the user's permissions"
        if command is not None and "one of the keys" in said:
            hint += f" for {_keys_of(command)} (is that the id of your hub?)"
    elif isinstance(error, OutOfMemoryError) or "OOM command not allowed" in said or "MISCONF" in said:
        # (Redis 6 wraps the refusal of a command in a script: "Error running script (...): ... -OOM command not ...".)
        hint = "it writes nothing until it has room again"
    elif "invalid bulk length" in said:
        hint = "a value is larger than its proto-max-bulk-len: send less at a time"
    elif isinstance(error, ReadOnlyError | NotPrimary) or "READONLY" in said:
        hint = "it is a replica: use the URL of the primary"
    elif isinstance(error, NoCluster):
        hint = "its URL begins with redis://"
    elif isinstance(error, AskError | ClusterCrossSlotError) or said.startswith(("MOVED", "CROSSSLOT")):
        hint = "it is a node of a Redis Cluster: its URL begins with redis+cluster://"
    elif WRONG_TYPE in said:
        hint = (
            f"{_keys_of(command)} is of another type than hubq writes: see TYPE and GET in redis-cli; the hub may have been moved "
            "(docs/guide-cluster.md). If it was not, rename or delete the key"
        )
    else:
        hint = "see its log"
    return RedisRefused(f"Redis at {server.address} refuses ({said}): {hint}")


#: Redis's word for a key that holds another type than the command is for.
WRONG_TYPE = "WRONGTYPE"
#: Keys named in an error at most.
NAMED = 6


def keys_of(command: Command[Any]) -> list[str]:
    """The keys that a command names.

    >>> from hubq.store.command import plain, text
    >>> keys_of(plain("XREAD", "COUNT", 1, "STREAMS", "a", "b", "0", "0", read=text)), keys_of(plain("GET", "a", read=text))
    (['a', 'b'], ['a'])
    """
    words = [text(part) for part in command.args]
    if command.script is not None:
        return words[3 : 3 + int(words[2])]
    if words[0] == "XREAD":
        streams = words[words.index("STREAMS") + 1 :]
        return streams[: len(streams) // 2]
    return words[1:2]


def _keys_of(command: Command[Any] | None) -> str:
    names = keys_of(command) if command is not None else []
    if not names:
        return "one of its keys"
    if len(names) == 1:
        return names[0]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"one of {', '.join(names[:NAMED])}{more}"


class NotPrimary(RedisConnectionError):
    """A replica has answered. During a failover that mends itself: look for the primary again."""


def not_primary(on_cluster: bool, answer: ResponseError) -> RedisConnectionError:
    """The error for a replica that has answered. On a cluster its nodes say who is primary: it is as a connection that was lost."""
    return RedisConnectionError(str(answer)) if on_cluster else NotPrimary(str(answer))


def of_replica(answer: Any) -> bool:
    # Redis 6 wraps the error of a command in a script: "Error running script ...: -READONLY You can't write...".
    return isinstance(answer, ResponseError) and (
        isinstance(answer, ReadOnlyError | MasterDownError)
        or "READONLY You can't" in str(answer)
        or str(answer).startswith("UNBLOCKED")
    )


def waits(commands: Sequence[Command[Any]]) -> list[int]:
    # WAIT answers for what went before it: if that must be repeated, so must it.
    return [len(commands) - 1] if commands[-1].args[0] == "WAIT" else []


_NONE: dict[int, Command[Any]] = {}


def _needs(command: Command[Any], answer: Any) -> bool:
    return command.again is not None and isinstance(answer, list) and text(answer[0]) == "needs"


def with_more_keys(commands: Sequence[Command[Any]], answers: Sequence[Any]) -> dict[int, Command[Any]]:
    """What must be sent again, by its place: scripts that need more keys than they were given, now with these keys."""
    for command in commands:
        if command.again is not None:
            break
    else:
        return _NONE  # nearly always, and on the hot path
    found: dict[int, Command[Any]] = {}
    for n, command in enumerate(commands):
        if command.again is not None and _needs(command, answers[n]):
            found[n] = command.again([text(name) for name in answers[n][1:]])
    if found:
        found.update((n, commands[n]) for n in waits(commands))
    return found


def read_plain(server: Server, commands: Sequence[Command[Any]], answers: Sequence[Any]) -> list[Any] | None:
    """The answers as their commands read them; None if one of them may need more: an error, or a script that may need more keys."""
    for command, answer in zip(commands, answers, strict=True):
        if command.again is not None or isinstance(answer, Exception):
            return None
    return [read_answer(server, command, answer) for command, answer in zip(commands, answers, strict=True)]


def read_answer(server: Server, command: Command[T], answer: Any) -> T:
    if isinstance(answer, LOST):
        raise answer
    if isinstance(answer, RedisError):
        raise refused(server, answer, command)
    if command.again is not None and _needs(command, answer):
        raise RedisUnavailable(f"what a script needs changed {KEY_ROUNDS} times while it was asked for: try again")
    try:
        return command.read(answer)
    except HubqError:
        raise
    except Exception as error:
        what = f"{text(command.args[0])} {', '.join(keys_of(command)[:NAMED])}"
        raise Unreadable(
            f"Redis at {server.address} has something that hubq has not written ({what}: {reason(error)}): "
            "see docs/keys.md for what belongs there"
        ) from error
