"""Several copies of each child, on different nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from hubq.core.view import View
from hubq.errors import ConfigError
from hubq.strategies.redundancy.protocol import Model, Signal


class Replication:
    """``replication_factor`` copies of each child, the primary among them; ``"cluster_size"``: one on every node.

    With fewer nodes than that there are as many copies as nodes. ``replication_model``: with ``"active_active"`` every copy
    handles every message, with ``"active_passive"`` the others have the state and wait. ``redundancy_signal``: which changes
    a child's ``on_redundancy_signal(mode)`` hears of: ``"none"``, becoming ``"active"``, becoming ``"passive"``, ``"all"``.

    >>> Replication(replication_factor=3).replication_factor(nodes=5)
    3
    >>> Replication(replication_factor=3).replication_factor(nodes=2)
    2
    >>> Replication(replication_factor="cluster_size").replication_factor(nodes=5)
    5
    >>> Replication(replication_factor=0)
    Traceback (most recent call last):
    hubq.errors.ConfigError: replication_factor=0: give a number of 1 or more, or "cluster_size"
    """

    def __init__(
        self,
        replication_factor: int | Literal["cluster_size"] = 2,
        replication_model: Model = "active_active",
        redundancy_signal: Signal = "none",
    ) -> None:
        whole = isinstance(replication_factor, int) and not isinstance(replication_factor, bool)
        if replication_factor != "cluster_size" and not (whole and int(replication_factor) >= 1):
            raise ConfigError(
                f'replication_factor={replication_factor!r}: give a number of 1 or more, or "cluster_size"'
            )
        for name, value, known in (
            ("replication_model", replication_model, get_args(Model)),
            ("redundancy_signal", redundancy_signal, get_args(Signal)),
        ):
            if value not in known:
                raise ConfigError(f"{name}={value!r}: give one of {', '.join(known)}")
        self.factor: int | Literal["cluster_size"] = replication_factor
        self.replication_model: Model = replication_model
        self.redundancy_signal: Signal = redundancy_signal

    def __repr__(self) -> str:
        return f"Replication({self.factor!r}, {self.replication_model!r}, {self.redundancy_signal!r})"

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    def replication_factor(self, nodes: int) -> int:
        """As many as asked for, and never more than there are nodes."""
        return nodes if self.factor == "cluster_size" else min(self.factor, nodes)

    def master_node(self, shard: int, followers: Sequence[str], view: View) -> str:
        """The first: the one that the distribution strategy would give the shard to, so that nothing else moves."""
        return followers[0]
