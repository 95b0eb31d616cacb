"""Any bytes in any place: what reads them answers, and never raises."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hubq.core.malformed import Malformed
from hubq.core.messages import KINDS as CONTROL
from hubq.core.messages import Cancel, Intervene, Revive, StartChildren, Wake, Withdraw, to_fields
from hubq.store.assignment import read_assignment, read_load
from hubq.store.control import Places, read_control
from hubq.store.dead_letters import read_dead
from hubq.store.envelope import Envelope
from hubq.store.events import read_events
from hubq.store.keys import Keys
from hubq.store.mailbox import read_mailboxes
from hubq.store.membership import read_leases, read_nodes
from hubq.store.message import MALFORMED, message_of
from hubq.store.naming import Naming
from hubq.store.owners import read_owners
from hubq.store.places import read_pins_epoch, read_wish, read_wishes
from hubq.store.quorum import roll_of
from hubq.store.registry import read_specs, read_states, read_texts, scan_specs
from hubq.store.replica_log import read_followers, read_log
from hubq.store.replies import read_reply
from hubq.store.spec_record import SpecRecord
from hubq.store.tries import read_tries
from hubq.store.vitals import read_vitals

KEYS = Keys("h")
WORDS = [
    b"",
    b"NaN",
    b"-1",
    b"1e400",
    b"9" * 30,
    b"9" * 5000,
    b"\xff\xfe",
    b"{}",
    b"[]",
    b"null",
    b"a 1 1",
    b"1/x",
    "²".encode(),
]
bits = st.one_of(st.binary(max_size=40), st.sampled_from(WORDS))
names = st.one_of(
    st.sampled_from(
        [
            b"kind",
            b"child",
            b"method",
            b"id",
            b"reply_to",
            b"deadline",
            b"payload",
            b"from",
            b"shard",
            b"type",
            b"entry",
        ]
    ),
    bits,
)
values = st.one_of(
    st.sampled_from([b"call", b"cast", b"start", b"stop", b"state", *(word.encode() for word in CONTROL)]), bits
)
fields = st.lists(st.tuples(names, values), min_size=1, max_size=9).map(
    lambda pairs: [part for pair in pairs for part in pair]
)
hashes = st.lists(st.tuples(bits, bits), max_size=6).map(lambda pairs: [part for pair in pairs for part in pair])
streams = st.lists(fields, max_size=4).map(lambda some: [[b"%d-0" % (n + 1), each] for n, each in enumerate(some)])


@given(fields)
def test_an_entry_of_a_mailbox(flat: list[bytes]) -> None:
    message = message_of(b"1-0", flat)
    assert message.kind in ("call", "cast", "start", "stop", MALFORMED)
    assert (message.kind == MALFORMED) == (
        not message.child and bool(message.method) and not message.payload
    ) or message.child == ""


def test_a_message_with_more_fields_in_another_order_is_one() -> None:
    flat = [b"new", b"1", b"child", b"c", b"kind", b"call", b"method", b"m", b"id", b"1", b"reply_to", b"", b"deadline", b"0",
            b"payload", b"p"]  # fmt: skip
    assert (message_of(b"1-0", flat).kind, message_of(b"1-0", flat).child) == ("call", "c")


@given(streams)
def test_streams(entries: list[Any]) -> None:
    mailbox, control = KEYS.mailbox(0).encode(), KEYS.control("a").encode()
    found, _ = read_mailboxes(Naming(KEYS, ""), {0: b"0"}, 10, None, b"0").read(
        [[mailbox, entries]] if entries else None
    )
    assert len(found.get(0, [])) == len(entries)
    heard = [[control, entries], [KEYS.asks("a").encode(), entries], [KEYS.events.encode(), entries]]
    read_control(KEYS, "a", Places(), 1).read(heard if entries else None)
    read_events(KEYS, "0", 10).read([[KEYS.events.encode(), entries]] if entries else None)
    read_dead(KEYS, 0).read(entries)
    assert len(read_log(KEYS, 0, "0", 10).read(entries)) == len(entries)


@given(hashes)
def test_hashes(flat: list[bytes]) -> None:
    for command in (
        read_owners(KEYS), read_nodes(KEYS), read_wishes(KEYS), read_specs(KEYS, 0), read_states(KEYS, 0),
        read_texts("k"), read_followers(KEYS, 0), read_tries(KEYS, 0), read_assignment(KEYS),
    ):  # fmt: skip
        command.read(flat)
    scan_specs(KEYS, 0, "0", 10).read([b"0", flat])


@given(bits)
def test_single_values(data: bytes) -> None:
    roll_of(data)
    read_reply(data)
    Envelope.read(data)
    SpecRecord.read(data)
    for command in (read_vitals(KEYS, "a"), read_load(KEYS, "a"), read_wish(KEYS, "c"), read_pins_epoch(KEYS)):
        command.read(data)


def test_what_is_malformed_is_named_and_the_rest_is_read() -> None:
    owners = read_owners(KEYS).read([b"0", b"a 1 7", b"1", b"garbage", b"x", b"a 1 1"])
    assert owners.shards[0].token == 7 and owners.shards[1].node == "-"
    assert [each.place for each in owners.malformed] == ["field '1' of hubq:{h}:owners", "field 'x' of hubq:{h}:owners"]
    specs = read_specs(KEYS, 0).read([b"a", SpecRecord("Room", "app", "s:1").written(), b"b", b"{", b"\xff", b"{}"])
    assert specs["a"].name == "Room" and specs["b"].malformed and len(specs) == 2 and len(specs.malformed) == 1


def test_infinite_leases_are_far() -> None:
    assert read_leases(KEYS).read([b"a", b"inf", b"b", b"-inf"]) == {"a": 1 << 53, "b": 0}


def test_a_control_message_with_a_bad_number_is_malformed_and_those_around_it_are_read() -> None:
    bad = [b"kind", b"withdraw", b"from", b"c", b"shard", b"NaN", b"child", b"x", b"message_id", b"1"]
    wake = [b"kind", b"wake", b"from", b"a"]
    answer = [[KEYS.control("a").encode(), [[b"1-0", wake], [b"2-0", bad], [b"3-0", wake]]]]
    places, messages, _ = read_control(KEYS, "a", Places("0", "5-0", "6-0"), 1).read(answer)
    assert places == Places("3-0", "5-0", "6-0") and len(messages) == 3
    assert messages[1] == Malformed("entry 2-0 of hubq:{h}:node:a:mailbox", "shard='NaN' of a message 'withdraw'")


def test_a_client_may_only_ask_and_all_else_of_it_is_malformed() -> None:
    asked = [Withdraw("c", 0, "x", "1"), Cancel("c", 0, "x", "d", "1", "2")]
    other = [StartChildren("b", 0, "h"), Intervene("c", 0, "x", "1", "kill"), Wake("a"), Revive("c", 0, "x")]
    entries = [
        [b"%d-0" % n, [part.encode() for pair in to_fields(message).items() for part in pair]]
        for n, message in enumerate([*asked, *other], 1)
    ]
    heard = read_control(KEYS, "a", Places(), 1).read([[KEYS.asks("a").encode(), entries]])
    assert heard.places.asks == "6-0" and heard.messages[:2] == asked
    assert heard.messages[2:] == [
        Malformed(f"entry {n}-0 of hubq:{{h}}:node:a:asks", f"{type(message).__name__} is nothing that a client asks")
        for n, message in enumerate(other, 3)
    ]
    control = read_control(KEYS, "a", Places(), 1).read([[KEYS.control("a").encode(), entries]])
    assert control.messages == [*asked, *other], "those of nodes, and of clients of an older version"
