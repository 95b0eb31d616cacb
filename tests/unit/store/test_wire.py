"""What is written to Redis, byte for byte: nodes of two versions of hubq meet in it at every deploy."""

from __future__ import annotations

import pytest

from hubq.core.messages import (
    KINDS,
    Cancel,
    ChildrenPassed,
    ChildStartProgress,
    ChildStartResp,
    ControlMessage,
    Handover,
    HandoverConfirmed,
    Intervene,
    PinReleased,
    ReplicaJoined,
    Revive,
    StartChildren,
    Wake,
    Withdraw,
    from_fields,
    to_fields,
)
from hubq.store.envelope import Envelope
from hubq.store.owners import Owner
from hubq.store.replies import read_reply, reply_line
from hubq.store.spec_record import SpecRecord

CONTROL: list[tuple[ControlMessage, str]] = [
    (StartChildren("a", 3, "h1"), "kind=start_children from=a shard=3 handover_id=h1 child="),
    (StartChildren("a", 3, "h1", "room-1"), "kind=start_children from=a shard=3 handover_id=h1 child=room-1"),
    (ChildStartProgress("b", 3, "h1"), "kind=child_start_progress from=b shard=3 handover_id=h1"),
    (
        ChildStartResp("b", 3, "h1", "x", "why"),
        "kind=child_start_resp from=b shard=3 handover_id=h1 failed=x reasons=why",
    ),
    (
        ChildrenPassed("a", 3, 7, "h1", 1.5, "room-1"),
        "kind=children_passed from=a shard=3 token=7 handover_id=h1 closed_at=1.5 children=room-1",
    ),
    (Handover("a", 3, 7, "h1", 1.5), "kind=handover from=a shard=3 token=7 handover_id=h1 closed_at=1.5"),
    (
        Handover("a", 3, 7, "h1", 1.5, "r-1"),
        "kind=handover from=a shard=3 token=7 handover_id=h1 closed_at=1.5 pins=r-1",
    ),
    (Handover("a", 3, 7, "h1", 1.5, ""), "kind=handover from=a shard=3 token=7 handover_id=h1 closed_at=1.5 pins="),
    (HandoverConfirmed("b", 3, "h1"), "kind=handover_confirmed from=b shard=3 handover_id=h1"),
    (PinReleased("a", 3, "room-1", 1.5), "kind=pin_released from=a shard=3 child=room-1 closed_at=1.5"),
    (ReplicaJoined("b", 3), "kind=replica_joined from=b shard=3"),
    (Revive("-", 3, "room-1"), "kind=revive from=- shard=3 child=room-1"),
    (Withdraw("c", 3, "room-1", "7"), "kind=withdraw from=c shard=3 child=room-1 message_id=7"),
    (
        Cancel("c", 3, "room-1", "d", "7", "i7"),
        "kind=cancel from=c shard=3 child=room-1 caller=d message_id=7 answer_id=i7",
    ),
    (
        Intervene("c", 3, "room-1", "i7", "drop", "5-0"),
        "kind=intervene from=c shard=3 child=room-1 message_id=i7 what=drop entry=5-0",
    ),
    (Wake("a"), "kind=wake from=a"),
]


@pytest.mark.parametrize(("message", "golden"), CONTROL)
def test_control_messages(message: ControlMessage, golden: str) -> None:
    assert " ".join(f"{name}={value}" for name, value in to_fields(message).items()) == golden
    assert from_fields(to_fields(message)) == message


def test_every_control_message_has_a_golden_form() -> None:
    assert {type(message) for message, _ in CONTROL} == set(KINDS.values())
    older = {"kind": "child_start_resp", "from": "b", "shard": "3", "handover_id": "h1", "failed": "x"}
    assert from_fields(older) == ChildStartResp("b", 3, "h1", "x")
    assert from_fields({"kind": "of a newer version", "from": "a"}) is None


def test_records() -> None:
    spec = SpecRecord("Room", "app", "s:1", "transient", {"tag": "vip"}, b"pxyz")
    golden = b'{"name":"Room","module":"app","start_id":"s:1","restart":"transient","metadata":{"tag":"vip"}}\npxyz'
    assert spec.written() == golden
    assert SpecRecord.read(golden) == spec
    assert Envelope("attributes", "7-0", b"pstate\nmore").written() == b"1 attributes 7-0\npstate\nmore"
    assert Envelope.read(b"1 handed 7-0\npstate\nmore") == Envelope("handed", "7-0", b"pstate\nmore")
    assert "written by a newer hubq" in Envelope.read(b"2 attributes 7-0\np").malformed
    assert Owner("a", 3, 7).line == "a 3 7"
    assert reply_line("12", "ok", "a", b"pvalue\n") == b"12 ok a\npvalue\n"
    assert read_reply(b"12 ok a\npvalue\n") == ("12", "ok", "a", b"pvalue\n")
