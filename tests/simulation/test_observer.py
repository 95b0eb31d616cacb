"""What the observer takes for served."""

from __future__ import annotations

from hubq.store.keys import Keys
from tests.simulation.loop import Loop, Process
from tests.simulation.observer import Observer


def test_a_shard_of_a_process_that_has_crashed_is_not_served_though_its_lease_lives() -> None:
    """Its crash may have a child parked later: the operator must be there still, who sends that letter again."""
    loop = Loop(1_000.0, 1_000)
    observer, process = Observer(Keys("sim")), Process(loop, "a")
    keys = [getattr(observer.keys, name).encode() for name in ("nodes", "leases", "owners")]
    writes = [
        (b"HSET", [keys[0], b"a", b'{"incarnation":3,"status":"up"}'], 1),
        (b"ZADD", [keys[1], b"%d" % int(observer.clock(2.0)), b"a"], 1),
        (b"HSET", [keys[2], b"0", b"a 3 1"], 1),
    ]
    observer.saw(process, "join_node", [], writes, loop.now)
    assert observer.unserved(range(1), 1, 1.0) == []
    process.crash()
    assert len(observer.unserved(range(1), 1, 1.0)) == 1
