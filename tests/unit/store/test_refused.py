"""What Redis says when it refuses, and the hint that goes with it."""

from __future__ import annotations

import pytest
from redis.exceptions import NoPermissionError, OutOfMemoryError, ReadOnlyError, ResponseError

from hubq.store.answers import refused
from hubq.store.server import RedisServer

FULL = "it writes nothing until it has room again"
USER = "check the user, the password and the user's permissions"
REPLICA = "it is a replica: use the URL of the primary"
SCRIPT = "Error running script (call to f_6ba8e1): @user_script:75: @user_script: 75: "


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        # Redis 7, as redis-py reads it (it takes the first word off), and as a lane does.
        (OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), FULL),
        (ResponseError("OOM command not allowed when used memory > 'maxmemory'."), FULL),
        # Redis 6.2, of a command in a script.
        (ResponseError(SCRIPT + "-OOM command not allowed when used memory > 'maxmemory'."), FULL),
        (ResponseError("MISCONF Redis is configured to save RDB snapshots, but it is currently not able to"), FULL),
        (ResponseError(SCRIPT + "-MISCONF Redis is configured to save RDB snapshots, but it is currently not"), FULL),
        (NoPermissionError("this user has no permissions to run the 'client' command"), USER),
        (ReadOnlyError("You can't write against a read only replica."), REPLICA),
        (ResponseError(SCRIPT + "-READONLY You can't write against a read only replica."), REPLICA),
        (ResponseError("ERR unknown command 'FROB'"), "see its log"),
    ],
)
def test_the_hint_of_a_refusal(error: ResponseError, hint: str) -> None:
    said = str(refused(RedisServer("redis://box:6379/0"), error))
    assert said == f"Redis at redis://box:6379/0 refuses ({error}): {hint}"
