"""``hubq kill``, ``stop --now`` and ``mailbox drop`` with real workers: a handler that hangs is ended by hand."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hubq import HandlerKilled, Hub, MessageDropped

from .conftest import Shell

pytestmark = [pytest.mark.acceptance, pytest.mark.long]
APP = "basic:hub"


def waiting(shell: Shell, hub_id: str, child: str, count: int) -> list[dict[str, Any]]:
    """The messages of a child, once there are so many."""
    for _ in range(20):
        heads: list[dict[str, Any]] = json.loads(shell.ok("mailbox", hub_id, child, "--json"))["heads"]
        if len(heads) == count:
            return heads
    raise AssertionError(f"{child} has {len(heads)} messages, not {count}")


def test_a_hung_handler_is_ended_by_hand(shell: Shell, hub: Hub, hub_id: str) -> None:
    shell.worker("a")
    shell.ok("start", APP, "c-1", "Counter", "100")
    ref = hub.ref("c-1")
    with ThreadPoolExecutor(2) as pool:
        hung = pool.submit(ref.call, "hold", timeout=60)
        waiting(shell, hub_id, "c-1", 1)
        behind = pool.submit(ref.call, "add", 5, timeout=60)
        in_hand, behind_it = waiting(shell, hub_id, "c-1", 2)
        said = shell.fails(1, "mailbox", "drop", hub_id, "c-1", in_hand["entry"])
        assert "in hand: `hubq kill` ends it" in said
        assert "dead letter" in shell.ok("mailbox", "drop", hub_id, "c-1", behind_it["entry"])
        with pytest.raises(MessageDropped):
            behind.result(30)
        assert shell.ok("kill", hub_id, "c-1") == "c-1 was killed and begun anew on a"
        with pytest.raises(HandlerKilled):
            hung.result(30)
        assert ref.call("total", timeout=30) == 100
        hung = pool.submit(ref.call, "hold", timeout=60)
        waiting(shell, hub_id, "c-1", 1)
        assert shell.ok("stop", hub_id, "c-1", "--now") == "c-1 stopped on a"
        with pytest.raises(HandlerKilled):
            hung.result(30)
    assert "no child 'c-1'" in shell.fails(1, "kill", hub_id, "c-1")
    assert "is no message" in shell.fails(2, "mailbox", "drop", hub_id, "c-1", "yesterday")
    (letter,) = json.loads(shell.ok("dead", "list", hub_id, "--json"))
    assert (letter["why"], letter["method"], letter["child"]) == ("dropped", "add", "c-1")
