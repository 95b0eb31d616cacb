"""Guided: the caller says which node each child lives on."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from hubq.core.placement import place
from hubq.core.spec import ChildSpec
from hubq.core.view import View
from hubq.errors import ConfigError, MappingError
from hubq.strategies.distribution.protocol import ChildMapping


@dataclass(frozen=True, slots=True)
class Guided:
    """Children live where ``start_children(..., child_mapping={"room-1": "a"})`` says, and do not migrate.

    >>> Guided().children_init([ChildSpec("room-1", dict)], {"room-1": ["a"]}, ["a", "b"])
    {'room-1': 'a'}
    >>> Guided().children_init([ChildSpec("room-1", dict)], {"room-1": "x"}, ["a", "b"])
    Traceback (most recent call last):
    hubq.errors.MappingError: child_mapping: no node 'x' takes children (there is: a, b)
    """

    when_gone: str = "wait"
    """While a child's node is not there: ``"wait"``: it is served by nobody, and its messages wait for a node of that name;
    ``"shard"``: it lives on the node of its shard until then."""

    guides: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.when_gone not in ("wait", "shard"):
            raise ConfigError(f"when_gone={self.when_gone!r}: give 'wait' or 'shard'")

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    def belongs_to(self, view: View) -> Mapping[int, str]:
        """Shards are placed as by ``ConsistentHashing``: their nodes know of the children, but do not run them."""
        return place(view.nodes, view.owners, view.shards)

    def children_init(
        self, specs: Sequence[ChildSpec], child_mapping: ChildMapping | None, nodes: Collection[str]
    ) -> Mapping[str, str]:
        """Exactly one live node for each child, or :class:`MappingError`."""
        if not child_mapping:
            raise MappingError(
                "no child_mapping: Guided needs a node for every child, child_mapping={'room-1': 'node'}"
            )
        names = [spec.child_id for spec in specs]
        unknown = sorted(set(child_mapping) - set(names))
        if unknown:
            raise MappingError(f"child_mapping names {unknown[0]!r}, which is none of the children to start")
        places: dict[str, str] = {}
        for name in names:
            if name not in child_mapping:
                raise MappingError(f"child_mapping has no node for child {name!r}: give every child one")
            wanted = child_mapping[name]
            given = [wanted] if isinstance(wanted, str) else list(wanted)
            if len(given) != 1:
                raise MappingError(
                    f"child_mapping gives child {name!r} the nodes {given}: it has one copy, give one node"
                )
            if given[0] not in nodes:
                known = ", ".join(sorted(nodes)) or "none"
                raise MappingError(f"child_mapping: no node {given[0]!r} takes children (there is: {known})")
            places[name] = given[0]
        return places
