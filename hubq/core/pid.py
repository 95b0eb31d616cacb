"""Where a child runs: what Erlang calls a pid, in terms of nodes and tokens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Pid:
    """One copy of a child: its node, the incarnation of that node, and the ownership token under which it runs.

    Two children of one shard have the same pid values; a pid changes whenever its child changes hands.

    >>> str(Pid("a", 1, 7)), Pid.read("a 1 7")
    ('a 1 7', Pid(node='a', incarnation=1, token=7))
    """

    node: str
    incarnation: int
    token: int

    def __str__(self) -> str:
        return f"{self.node} {self.incarnation} {self.token}"

    @classmethod
    def read(cls, line: str) -> Pid:
        """The reverse of ``str(pid)``."""
        node, incarnation, token = line.split(" ")
        return cls(node, int(incarnation), int(token))
