"""docs/metrics.md names exactly the metrics there are, with their types and labels."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from hubq import Hub
from hubq.cli.metrics import NodeCollector
from hubq.node.node import Node
from hubq.testing import FakeServer, interfere

PAGE = Path(__file__).resolve().parents[3] / "docs" / "metrics.md"


def documented() -> dict[str, tuple[str, frozenset[str]]]:
    rows = re.findall(r"^\| `(hubq_\w+)` \| (\w+) \|([^|]*)\|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: (kind, frozenset(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


async def exposed() -> dict[str, tuple[str, frozenset[str]]]:
    node = Node(Hub("metrics", redis=FakeServer()), "a")
    await node.start()
    try:
        interfere.count_pause(node, 0.004)
        node.counters.message_failed("Room", "post", "raised")
        node.counters.message_retried("Room", "post")
        registry = CollectorRegistry()
        registry.register(NodeCollector(node))
        found: dict[str, tuple[str, frozenset[str]]] = {}
        for family in text_string_to_metric_families(generate_latest(registry).decode()):
            labels = {label for sample in family.samples for label in sample.labels} - {"hub", "node", "le"}
            if family.name == "hubq_children":
                labels = {"life"}  # no child is here: no sample
            name = family.name + ("_total" if family.type == "counter" else "")
            found[name] = (family.type, frozenset(labels))
        return found
    finally:
        await node.drain()


def test_the_page_and_the_code_name_the_same_metrics() -> None:
    assert asyncio.run(exposed()) == documented()
