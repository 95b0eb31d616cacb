"""Which nodes have older code for a child than this one, and a state as older code reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from hubq.core.lifecycle import Life
from hubq.node.held.holding import HostedChild
from hubq.node.held.state import ATTRIBUTES, HANDED, overrides
from hubq.store.membership import NodeInfo

_TOO_NEW = re.compile(r"\bits state has version (\d{1,18}), ")


class OlderCode:
    """The ``state_version`` of each class on each node, as far as the nodes say it: a class that an app does not register is unknown.

    >>> older = OlderCode()
    >>> older.seen({"a": NodeInfo(1, "up", 0, state_versions={"Cart": 2}), "b": NodeInfo(2, "up", 0)})
    >>> older.is_below("a", "Cart", 3), older.is_below("a", "Cart", 2), older.is_below("b", "Cart", 3), older.is_below("a", "Room", 3)
    (True, False, False, False)
    """

    def __init__(self) -> None:
        self._nodes: dict[str, Mapping[str, int]] = {}

    def seen(self, nodes: Mapping[str, NodeInfo]) -> None:
        """The members have been read."""
        self._nodes = {name: info.state_versions for name, info in nodes.items()}

    def is_below(self, node: str, name: str, version: int) -> bool:
        """Whether a node is known to have a class in an older version than this."""
        there = self._nodes.get(node, {}).get(name)
        return there is not None and there < version

    def version_for(self, hosted: HostedChild, node: str) -> int:
        """The version in which a node gets the state of a child."""
        kind = hosted.kind
        if kind.state_version > 1 and self.is_below(node, hosted.record.name, kind.state_version):
            return max(1, self._nodes[node][hosted.record.name])
        return kind.state_version

    def refusal(self, hosted: HostedChild, node: str) -> str:
        """Why a node cannot read the state of a child, whatever is done here; empty: it can, as far as is known.

        A child that is parked here writes none: what is saved of it may be of the older version.
        """
        if hosted.life is Life.PARKED:
            return ""
        kind, version = hosted.kind, self.version_for(hosted, node)
        if version == kind.state_version or overrides(kind, "downgrade_state"):
            return ""
        return (
            f"its state has version {kind.state_version}, and {kind.__name__}.state_version is {version} on {node}: "
            "the class has no downgrade_state"
        )

    def trial(self, hosted: HostedChild, node: str, limit: int) -> str:
        """Like :meth:`refusal`, and the state as it is now is tried."""
        kind, version = hosted.kind, self.version_for(hosted, node)
        why = self.refusal(hosted, node)
        if why or version == kind.state_version or hosted.instance is None or overrides(kind, "prepare_handover_state"):
            return why
        try:
            values, transient = hosted.services.values, kind.transient
            state = {name: value for name, value in vars(hosted.instance).items() if name not in transient}
            downgraded(hosted, values.encode_state(kind, state, limit, hosted.child_id), ATTRIBUTES, version, limit)
        except Exception as error:
            return f"its state cannot be brought back to version {version} for {node}: {type(error).__name__}: {error}"
        return ""


def version_needed(reason: str) -> int:
    """The version of its state that keeps a child parked here; 0: it is parked for another reason.

    >>> version_needed("its state has version 3, and Cart.state_version is 2 here"), version_needed("no module 'new'")
    (3, 0)
    """
    found = _TOO_NEW.match(reason)
    return int(found[1]) if found else 0


def downgraded(hosted: HostedChild, data: bytes, form: str, version: int, limit: int) -> bytes:
    """An encoded state of this version of a class, as an older version of it has one. ``downgrade_state`` is given a copy.

    Raises :class:`~hubq.errors.StateTooLarge`, and whatever ``downgrade_state`` raises.
    """
    kind, values, instance = hosted.kind, hosted.services.values, hosted.instance
    assert instance is not None
    older = instance.downgrade_state(values.decode_state(kind, data, handed=form == HANDED), version)
    if not isinstance(older, dict) and form == ATTRIBUTES:
        raise TypeError(f"downgrade_state returned {type(older).__name__}, not the dict of attributes")
    return values.encode_older_state(older, limit, hosted.child_id, version)
