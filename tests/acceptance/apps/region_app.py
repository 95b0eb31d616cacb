"""A hub whose children live on the workers with the tag region=eu: docs/strategies.md's own example of a distribution."""

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from basic import Counter

from hubq import ChildSpec, Hub
from hubq.core.placement import place
from hubq.core.view import View
from hubq.strategies.distribution import refuse_mapping


class ByRegion:
    """Children live in one region; in the others only while it has no worker."""

    def __init__(self, region: str) -> None:
        self.region = region

    def init(self, hub_id: str) -> None:
        """Nothing to prepare."""

    def belongs_to(self, view: View) -> Mapping[int, str]:
        """The workers of the region, if there are any."""
        near = [name for name, node in view.nodes.items() if node.tags.get("region") == self.region]
        return place(near or view.nodes, view.owners, view.shards)

    def children_init(
        self, specs: Sequence[ChildSpec], child_mapping: Any, nodes: Collection[str]
    ) -> Mapping[str, str]:
        """No child has a place of its own."""
        return refuse_mapping(self, child_mapping)


hub = Hub(os.environ["HUBQ_TEST_HUB"], lease=2.0, lease_margin=0.5, distribution=ByRegion("eu"))
hub.child(Counter)
