"""What Redis says when it refuses, and the hint that goes with it."""

from __future__ import annotations

import pytest
from redis.exceptions import MovedError, NoPermissionError, OutOfMemoryError, ReadOnlyError, ResponseError

from hubq.store.answers import of_replica, refused
from hubq.store.command import plain, text
from hubq.store.lane import read_error
from hubq.store.server import RedisServer
from hubq.store.slots import is_away

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


def test_who_may_not_touch_the_keys_of_a_hub_is_told_which() -> None:
    error = NoPermissionError("this user has no permissions to access one of the keys used as arguments")
    said = str(refused(RedisServer("redis://box:6379/0"), error, plain("HGETALL", "hubq:{w1}:config", read=text)))
    assert said.endswith(f"{USER} for hubq:{{w1}}:config (is that the id of your hub?)")


@pytest.mark.parametrize(
    ("said", "replica"),
    [
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", True),
        ("READONLY You can't write against a read only replica.", True),
        ("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", True),
        ("MOVED 1 10.0.0.1:7000", False),
        ("ERR unknown command", False),
    ],
)
def test_a_replica_is_known_by_what_it_says(said: str, replica: bool) -> None:
    assert of_replica(read_error(said)) == replica


def test_what_a_cluster_says_is_known_with_every_redis_py() -> None:
    moved = read_error("MOVED 14028 10.0.0.2:7001")
    assert isinstance(moved, MovedError) and (moved.host, moved.port) == ("10.0.0.2", 7001)
    said = ["ASK 1 10.0.0.1:7000", "MOVED 1 :7000", "TRYAGAIN Multiple keys", "CLUSTERDOWN Hash slot not served"]
    assert all(is_away(read_error(each)) for each in said)
    assert not is_away(read_error("MOVED nowhere"))
