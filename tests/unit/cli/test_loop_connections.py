"""The connections of a worker are cut in a process that was forked from it."""

from __future__ import annotations

import os
import socket

import pytest

from hubq.cli.loop_connections import LoopConnections


class SealedConnection:
    """A connection that cannot be referred to weakly, as uvloop's over TLS."""

    __slots__ = ("_socket",)

    def __init__(self, of: socket.socket) -> None:
        self._socket = of

    def get_extra_info(self, name: str) -> socket.socket:
        assert name == "socket"
        return self._socket

    def is_closing(self) -> bool:
        return self._socket.fileno() < 0


class Connection(SealedConnection):
    """One that can."""


@pytest.mark.parametrize("kind", [Connection, SealedConnection])
def test_what_a_fork_writes_goes_nowhere(kind: type[SealedConnection]) -> None:
    here, there = socket.socketpair()
    gone = socket.socket()
    connections, kept = LoopConnections(), [kind(here), kind(gone)]
    for each in kept:
        connections.add(each)
    gone.close()
    with here, there:
        pid = os.fork()
        if pid == 0:
            connections.cut()
            os.write(here.fileno(), b"of the copy")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        here.send(b"of the worker")
        assert there.recv(100) == b"of the worker"


@pytest.mark.parametrize("kind", [Connection, SealedConnection])
def test_none_is_kept_for_long_after_its_end(kind: type[SealedConnection]) -> None:
    connections = LoopConnections()
    for _ in range(50):
        with socket.socket() as of:
            connections.add(kind(of))
    assert len(connections) <= 1
