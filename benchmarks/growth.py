"""What a message costs as a hub grows: the same casts with more nodes, shards, children.

Once with the casts waiting when the workers begin: what a message costs a worker that has work. And once with one client
that sends them: then sixteen nodes have each a sixteenth of the messages, and nothing to do in between.
"""

from __future__ import annotations

from dataclasses import replace

from benchmarks.casts import Setting

CASTS = 40_000

_SIZES = {
    "1 node": Setting(),
    "2 nodes": Setting(nodes=2),
    "4 nodes": Setting(nodes=4),
    "8 nodes": Setting(nodes=8),
    "16 nodes": Setting(nodes=16),
    "16 shards": Setting(shards=16),
    "256 shards": Setting(shards=256),
    "10 children": Setting(children=10),
    "100,000 children": Setting(children=100_000),
}

SETTINGS = {
    **{f"waiting: {name}": replace(setting, backlog=True) for name, setting in _SIZES.items()},
    "waiting: 1,000,000 children": Setting(children=1_000_000, backlog=True),
    **{f"as they come: {name}": setting for name, setting in _SIZES.items()},
}
