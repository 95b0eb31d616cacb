"""The seal: what is opened, and each thing that is refused."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from redis import Redis
from rq.executions import Execution

from hubq import ConfigError, Hub
from hubq.config import Config
from hubq.core.messages import Cancel, Intervene, Withdraw
from hubq.errors import Unsealed
from hubq.jobs.commands import STOP, checked
from hubq.jobs.serializer import JobSerializer, as_data
from hubq.node.node import Node
from hubq.store import frames
from hubq.store import seal as seals
from hubq.store.effects import Effects
from hubq.store.envelope import Envelope
from hubq.store.frames import described
from hubq.store.header import Header
from hubq.store.keyring import ALL, Keyring, client_of, new_keys
from hubq.store.keys import Keys
from hubq.store.message import UNSEALED, Message, message_of
from hubq.store.replies import read_reply, reply_line
from hubq.store.seal import Seal, seal_of, trust_of
from hubq.store.sealed_fields import sealed_by, state_anew
from hubq.store.spec_record import SpecRecord

ROOT = new_keys()
ROOTS = Keyring.read(ROOT)
SHOP, DESK = Keyring.read(ROOTS.derive("shop")), Keyring.read(ROOTS.derive("desk"))
BOTH = [True, False]


def a_seal(keys: Keyring, encrypts: bool = True, hub: str = "chat", required: bool = True, writes: bool = True) -> Seal:
    return Seal(hub, keys, writes=writes, required=required, form="encrypt" if encrypts else "sign")


def a_message(payload: bytes, **other: Any) -> Message:
    message = Message(b"7-0", "call", "room-1", "post", "3", "shop.5f", 0, payload)
    return structs.replace(message, **other) if other else message


def opened(seal: Seal, message: Message) -> Message:
    """A message as a node reads it."""
    (found,) = seal.opens([message])
    return found


def answered(seal: Seal, sender: str, payload: bytes) -> bytes:
    """The line of a reply to message 3, as a worker seals it."""
    lines = [reply_line("3", "ok", "a", payload)]
    seal.replies(sender, lines)
    return lines[0]


def opened_reply(seal: Seal, sender: str, line: bytes) -> bytes:
    """What a client reads in a line."""
    reply = read_reply(line, sender, seal)
    assert reply is not None
    return reply[3]


def refused(act: Callable[[Any], object], value: object) -> str:
    """What is said of a value whose seal is refused. Empty: it was not."""
    try:
        act(value)
    except Unsealed as error:
        return str(error)
    return ""


def sealed(
    seal: Seal, payload: bytes = b"m...", sender: str = "shop.5f", number: str = "3", kind: str = "call"
) -> bytes:
    return seal.message(kind, "room-1", "post", sender, number, payload)


@pytest.mark.parametrize("encrypts", BOTH)
@pytest.mark.parametrize("payload", [b"", b"m", b"m" + os.urandom(10_000)], ids=["empty", "short", "long"])
def test_what_was_sealed_comes_back(encrypts: bool, payload: bytes) -> None:
    workers, shop = a_seal(ROOTS, encrypts), a_seal(SHOP, encrypts)
    blob = sealed(shop, payload)
    assert blob[:1] == (b"x" if encrypts else b"s") and (payload[1:] not in blob or not encrypts or len(payload) < 2)
    assert opened(workers, a_message(blob)).payload == payload
    assert len(blob) - len(payload) == 36 + 1 + len("shop")
    cast = a_message(sealed(shop, payload, kind="cast"), kind="cast", id="shop.5f#3", reply_to="")
    assert opened(workers, cast).payload == payload
    line = answered(workers, "shop.5f", payload)
    assert opened_reply(shop, "shop.5f", line) == payload
    state = workers.state("room-1", "s:1", "attributes", "7-0", payload)
    assert workers.opens_state("room-1", "s:1", "attributes", "7-0", state) == payload


KNOWN = {
    "encrypt": "78010473686f70000102030405060708090a0b00000000000075934a3a8e3054fceedde9576ef55132f984",
    "sign": "73010473686f70000102030405060708090a0b00000000000031075993765731c34534f1cc56ea79ff6d05",
}


@pytest.mark.parametrize("form", KNOWN)
def test_what_is_bound_and_how_it_is_written_stays(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames.secrets, "token_bytes", lambda count: bytes(range(count)))
    made = frames.Frames(Keyring.read("1:" + "A" * 43 + "="), form=form)
    context = "chat\0message\0call\0café".encode()
    assert made.sealer("shop")(b"m\x05", context).hex() == KNOWN[form]
    assert made.opened(bytes.fromhex(KNOWN[form]), context) == ("shop", b"m\x05")
    again = frames.Frames(Keyring.read("1:" + "A" * 43 + "="), form=form)
    assert again.line_sealer("shop")(b"m\x05", context, b"3 ok a") == b"3 ok a\n" + bytes.fromhex(KNOWN[form])


@pytest.mark.parametrize("form", KNOWN)
def test_a_context_with_lone_surrogates(form: str) -> None:
    made = frames.Frames(ROOTS, form=form)
    blob = made.sealer("shop")(b"m", frames.bytes_of("chat\0job\0\udc80"))
    assert made.opened(blob, frames.bytes_of("chat\0job\0\udc80")) == ("shop", b"m")
    assert "another place" in refused(lambda blob: made.opened(blob, b"chat\0job\0?"), blob)


@pytest.mark.parametrize("encrypts", BOTH)
def test_words_that_are_encoded_are_bound_as_texts_are(encrypts: bool) -> None:
    workers, shop = a_seal(ROOTS, encrypts), a_seal(SHOP, encrypts)
    words = ("call", "zimmer-ä", "post", "shop.5f", "3")
    message = a_message(shop.words(*(word.encode() for word in words), b"m..."), child="zimmer-ä")
    assert opened(workers, structs.replace(message)).payload == b"m..."
    assert opened(workers, structs.replace(message, child="zimmer-a")).kind == UNSEALED
    assert a_seal(SHOP, encrypts, writes=False).words(b"call", b"c", b"m", b"shop.5f", b"3", b"m...") == b"m..."


def test_no_nonce_comes_twice_from_any_thread() -> None:
    nonces, taken = frames.Nonces(bytes(range(12))), list[bytes]()

    def take() -> None:
        for _ in range(2_000):
            try:
                taken.append(nonces.take())
            except IndexError:
                taken.append(nonces.more())

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(taken)) == len(taken) == 8_000
    assert {nonce[:6] for nonce in taken} == {bytes(range(6, 12))}


def test_nonces_of_one_thread_count_up() -> None:
    sealer = frames.Frames(ROOTS, form="sign").sealer("")
    counters = [int.from_bytes(sealer(b"", b"chat\0job")[15:21], "big") for _ in range(700)]
    assert counters == list(range(700))


@pytest.mark.parametrize("length", [0, 255, 256, 70_000])
def test_contexts_of_any_length(length: int) -> None:
    made, context = frames.Frames(ROOTS, form="sign"), b"chat\0job".ljust(length, b"x")[:length]
    blob = made.sealer("")(b"m", context)
    assert made.opened(blob, context) == ("", b"m")
    assert "another place" in refused(lambda blob: made.opened(blob, b"chat\0job" + context), blob)


def test_senders_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "MOST_RECEIVERS", 3)
    workers, shop = a_seal(ROOTS), a_seal(SHOP)
    for sender in [f"shop.{number}" for number in range(10)] * 2:
        line = answered(workers, sender, b"m")
        assert opened_reply(shop, sender, line) == b"m"
    assert len(workers.receivers) <= 3 and len(shop.receivers) <= 3


def test_subkeys_of_those_for_whom_it_seals_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MOST_SUBKEYS", 3)
    made, context = frames.Frames(ROOTS, form="sign"), b"chat\0reply"
    for name in [f"shop-{number}" for number in range(10)] * 2:
        line = made.line_sealer(name)(b"m", context, b"3 ok a")
        for blob in (made.sealer(name)(b"m", context), line.partition(b"\n")[2]):
            assert made.opened(blob, context) == (name, b"m")
    assert len(made.sealers) <= 3 and len(made.line_sealers) <= 3
    for _ in range(10):
        another = frames.Frames(ROOTS, form="sign")
        assert made.opened(another.sealer("")(b"m", context), context) == ("", b"m")
    assert len(made.openers) <= 3


@pytest.mark.parametrize("encrypts", BOTH)
def test_what_is_remembered_is_of_one_key_and_one_hub(encrypts: bool) -> None:
    workers, shop = a_seal(ROOTS, encrypts), a_seal(SHOP, encrypts)
    for _ in range(3):  # now all that can be remembered is
        blob, line = sealed(shop), answered(workers, "shop.5f", b"m...")
        state = workers.state("room-1", "s:1", "attributes", "7-0", b"m")
        assert opened(workers, a_message(blob)).kind == "call" and opened_reply(shop, "shop.5f", line) == b"m..."
    turned = Keyring.read("2:" + new_keys()[2:] + "," + ROOT)
    rotated, rotated_shop = a_seal(turned, encrypts), a_seal(Keyring.read(turned.derive("shop")), encrypts)
    assert opened(workers, a_message(sealed(rotated_shop))).kind == UNSEALED
    assert refused(lambda line: opened_reply(shop, "shop.5f", line), answered(rotated, "shop.5f", b"m..."))
    assert opened(rotated, a_message(blob)).kind == "call", "the key before is still there"
    strange = Keyring.read(new_keys())  # of the same number
    for other in (a_seal(strange, encrypts), a_seal(ROOTS, encrypts, hub="other")):
        assert opened(other, a_message(blob)).kind == UNSEALED
        assert opened(workers, a_message(sealed(other))).kind == UNSEALED
        assert refused(lambda blob, other=other: other.opens_state("room-1", "s:1", "attributes", "7-0", blob), state)
    assert refused(lambda line: opened_reply(a_seal(SHOP, encrypts, hub="other"), "shop.5f", line), line)
    assert opened(workers, a_message(blob)).kind == "call" and opened_reply(shop, "shop.5f", line) == b"m..."


@pytest.mark.parametrize("encrypts", BOTH)
def test_of_many_messages_each_is_opened_for_itself(encrypts: bool) -> None:
    workers, shop, desk = a_seal(ROOTS, encrypts), a_seal(SHOP, encrypts), a_seal(DESK, encrypts)
    good = [a_message(sealed(shop, b"m%d" % number, number=str(number)), id=str(number)) for number in range(5)]
    moved = structs.replace(good[1], payload=good[2].payload)
    bad = [a_message(sealed(desk)), moved, a_message(b""), a_message(b"m..."), a_message(b"s"), a_message(b"x\x01\xff")]
    hint = a_message(b"[]", kind="start")
    mixed = [*good[:2], bad[0], hint, *bad[1:3], good[2], *bad[3:], *good[3:]]
    found = workers.opens(mixed)
    assert found is mixed
    assert [each.kind for each in found] == [
        "call", "call", UNSEALED, "start", UNSEALED, UNSEALED, "call", UNSEALED, UNSEALED, UNSEALED, "call", "call",
    ]  # fmt: skip
    assert [each.payload for each in found if each.kind == "call"] == [b"m%d" % number for number in range(5)]
    assert workers.opens([]) == []


@pytest.mark.parametrize("encrypts", BOTH)
def test_replies_are_sealed_in_their_places_and_once(encrypts: bool) -> None:
    workers, shop = a_seal(ROOTS, encrypts), a_seal(SHOP, encrypts)
    lines = [reply_line(str(number), "ok", "a", b"m%d" % number) for number in range(3)]
    workers.replies("shop.5f", lines)
    before = list(lines)
    lines.append(reply_line("3", "failed", "a", b""))
    workers.replies("shop.5f", lines)
    assert lines[:3] == before
    read = [read_reply(line, "shop.5f", shop) for line in lines]
    assert read == [
        ("0", "ok", "a", b"m0"),
        ("1", "ok", "a", b"m1"),
        ("2", "ok", "a", b"m2"),
        ("3", "failed", "a", b""),
    ]
    swapped = lines[0].partition(b"\n")[0] + b"\n" + lines[1].partition(b"\n")[2]
    assert "another place" in refused(lambda line: opened_reply(shop, "shop.5f", line), swapped)


@pytest.mark.parametrize("encrypts", BOTH)
@pytest.mark.parametrize("sender", ["reminder " + "a" * 300 + ".5f", "reminder é.5f", "reminder " + "é" * 200 + ".5f"])
def test_a_reply_for_what_is_the_name_of_no_app_is_opened_by_no_app(encrypts: bool, sender: str) -> None:
    workers, shop = a_seal(ROOTS, encrypts), a_seal(SHOP, encrypts)
    called = opened(workers, a_message(sealed(shop, sender=sender), reply_to=sender))
    assert called.kind == UNSEALED and "shop has sealed a message of reminder" in called.method
    called = opened(workers, a_message(sealed(workers, sender=sender), reply_to=sender))
    assert called.kind == "call"
    line = answered(workers, sender, b"m...")
    assert opened_reply(workers, sender, line) == b"m..."
    assert "key that is not here" in refused(lambda line: opened_reply(shop, sender, line), line)


def test_the_form_is_chosen_and_each_is_read() -> None:
    keys = ROOTS.text()
    by_form = {
        form: Hub("chat", seal="require", seal_form=form, keys=keys).driver.context.seal
        for form in ("auto", "encrypt", "sign")
    }
    tags = {form: seal.own(b"m", "job")[:1] for form, seal in by_form.items() if seal is not None}
    assert tags == {"auto": b"x", "encrypt": b"x", "sign": b"s"}
    for writer in by_form.values():
        for reader in by_form.values():
            assert writer is not None and reader is not None
            assert reader.opens_any(writer.own(b"m", "job"), "job") == ("", b"m")
    assert (
        trust_of(Config(seal="require"), by_form["sign"])
        == f"codec=pickle, seal=require (signed), keys {ROOTS.marks()[0]}"
    )
    assert (
        trust_of(Config(seal="require"), by_form["auto"])
        == f"codec=pickle, seal=require (encrypted), keys {ROOTS.marks()[0]}"
    )


def test_two_keys_of_one_number_are_told_apart_and_are_not_shown() -> None:
    ours, others = ROOTS.marks()[0], Keyring.read(new_keys()).marks()[0]
    assert ours != others and ours.startswith("1:") and len(ours) == len("1:abcdef")
    assert ours == Keyring.read(ROOT).marks()[0], "each worker that has this key says the same"


def test_keys_of_an_app_are_none_for_a_worker() -> None:
    ROOTS.for_workers()
    with pytest.raises(
        ConfigError, match=r"HUBQ_KEYS has the keys of the app 'shop', which open no states: give the root keys"
    ):
        SHOP.for_workers()
    with pytest.raises(ConfigError, match="root keys"):
        Node(Hub("chat", redis="redis://127.0.0.1:1", keys=SHOP.text()), "a")


def test_the_form_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUBQ_SEAL_FORM", "sign")
    seal = Hub("chat", seal="require", keys=ROOTS.text()).driver.context.seal
    assert seal is not None and seal.own(b"m", "job")[:1] == b"s"
    monkeypatch.setenv("HUBQ_SEAL_FORM", "rot13")
    with pytest.raises(ConfigError, match="seal_form='rot13': give 'auto', 'encrypt' or 'sign'"):
        Hub("chat")


def test_without_cryptography(monkeypatch: pytest.MonkeyPatch) -> None:
    encrypted = a_seal(ROOTS).own(b"m", "job")
    monkeypatch.setattr(frames, "aes_gcm_class", lambda: None)
    with pytest.raises(ConfigError, match="seal_form='encrypt', and cryptography is not installed: `pip install"):
        Hub("chat", seal="write", seal_form="encrypt", keys=ROOTS.text())
    for form in ("auto", "sign"):
        seal = Seal("chat", ROOTS, writes=True, required=True, form=form)
        assert seal.own(b"m", "job")[:1] == b"s"
        assert "cryptography is not installed here" in refused(
            lambda blob, seal=seal: seal.opens_any(blob, "job"), encrypted
        )  # type: ignore[misc]


def states_of(effects: Effects, seal: Seal) -> dict[str, bytes]:
    """The saved states without their envelopes and seals, all as of start s:1."""
    read = {child: Envelope.read(written) for child, written in effects.states.items()}
    return {child: seal.opens_state(child, "s:1", e.form, e.cursor, e.data) for child, e in read.items()}


@pytest.mark.parametrize("encrypts", BOTH)
def test_a_state_is_sealed_once_when_its_effects_are_taken(encrypts: bool) -> None:
    seal, effects = a_seal(ROOTS, encrypts), Effects()
    effects.states |= {"room-1": b"", "room-2": b""}
    effects.unsealed |= {"room-1": ("s:1", "attributes", "7-0", b"m1\nm"), "room-2": ("s:1", "handed", "", b"")}
    effects.unsealed["ended"] = "s:1", "attributes", "7-0", b"m"
    with pytest.raises(AssertionError, match="sealed"):
        effects.for_script(Keys("chat"), 0)
    effects.seal(seal)
    before = dict(effects.states)
    assert {child: state.partition(b"\n")[0] for child, state in before.items()} == {
        "room-1": b"1 attributes 7-0", "room-2": b"1 handed ",
    } and not effects.unsealed  # fmt: skip
    effects.seal(seal)
    assert effects.states == before and states_of(effects, seal) == {"room-1": b"m1\nm", "room-2": b""}
    moved = Envelope.read(before["room-1"])
    assert "another place" in refused(
        lambda data: seal.opens_state("room-1", "s:2", "attributes", "7-0", data), moved.data
    )
    assert "another place" in refused(
        lambda data: seal.opens_state("room-2", "s:1", "attributes", "7-0", data), moved.data
    )
    assert "another place" in refused(
        lambda data: seal.opens_state("room-1", "s:1", "attributes", "6-0", data), moved.data
    )


def test_effects_that_are_put_together_know_which_states_are_sealed() -> None:
    seal = a_seal(ROOTS)
    both = {"room-1": ("s:1", "attributes", "7-0", b"m7"), "room-2": ("s:1", "attributes", "7-0", b"m7")}
    taken = Effects(states=dict.fromkeys(both, b""), unsealed=dict(both))
    taken.seal(seal)
    later = Effects(states={"room-1": b""}, unsealed={"room-1": ("s:1", "attributes", "8-0", b"m8")})
    taken.absorb(later)  # they were given back
    assert list(taken.unsealed) == ["room-1"]
    handed = Effects(states={"room-1": b"1 handed 9-0\n" + seal.state("room-1", "s:1", "handed", "9-0", b"m9")})
    later.absorb(handed)
    assert not later.unsealed
    later.seal(seal)
    taken.seal(seal)
    assert states_of(taken, seal) == {"room-1": b"m8", "room-2": b"m7"} and states_of(later, seal) == {"room-1": b"m9"}


@pytest.mark.parametrize("before", ["encrypt", "sign"])
def test_a_state_is_sealed_anew_in_the_form_that_writes(before: str) -> None:
    after = "sign" if before == "encrypt" else "encrypt"
    old, new = (Seal("chat", ROOTS, writes=True, required=True, form=form) for form in (before, after))
    place = ("room-1", "s:1", "attributes", "7-0")
    value = b"1 attributes 7-0\n" + old.state(*place, b"m\x05")
    anew = state_anew(new, "room-1", "s:1", value)
    assert (sealed_by(value), sealed_by(anew)) == ((1, old.tag), (1, new.tag)) and old.tag != new.tag
    assert old.opens_state(*place, anew.partition(b"\n")[2]) == b"m\x05"


def test_a_header_is_sealed_with_its_message() -> None:
    whole = Header(key="once", keep=1000).before(b"m...")
    blob = a_seal(SHOP).message("headed", "room-1", "post", "shop.5f", "3", whole)
    fields = [
        b"kind",
        b"headed",
        b"child",
        b"room-1",
        b"method",
        b"post",
        b"id",
        b"3",
        b"reply_to",
        b"shop.5f",
        b"deadline",
        b"0",
        b"payload",
        blob,
    ]
    message = opened(a_seal(ROOTS), message_of(b"7-0", fields))
    assert (message.kind, message.payload, message.header) == ("call", b"m...", Header(key="once", keep=1000))
    fields[1] = b"call"
    assert opened(a_seal(ROOTS), message_of(b"7-0", fields)).kind == UNSEALED
    # Nor is one believed that somebody has put in front of a message without one.
    fields[1], fields[-1] = b"headed", Header(key="once", keep=1000).before(sealed(a_seal(SHOP)))
    assert opened(a_seal(ROOTS), message_of(b"7-0", fields)).method == "its header is not sealed"


SPOILT: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda blob: b"",
    "one byte": lambda blob: blob[:1],
    "its head alone": lambda blob: blob[:25],
    "cut": lambda blob: blob[:-1],
    "longer": lambda blob: blob + b"x",
    "a bit of the body": lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]),
    "a bit of the counter": lambda blob: blob[:22] + bytes([blob[22] ^ 1]) + blob[23:],
    "a bit of the session": lambda blob: blob[:10] + bytes([blob[10] ^ 1]) + blob[11:],
    "another client's name": lambda blob: blob.replace(b"shop", b"desk"),
    "an unknown key": lambda blob: blob[:1] + b"\x09" + blob[2:],
    "a name that is no text": lambda blob: blob[:3] + b"\xff\xfe\xff\xfe" + blob[7:],
    "a name without end": lambda blob: blob[:2] + b"\xff" + blob[3:],
    "the other tag": lambda blob: (b"s" if blob[:1] == b"x" else b"x") + blob[1:],
    "a pickle": lambda blob: b"p\x80\x05N.",
    "plain": lambda blob: b"m...",
}


@pytest.mark.parametrize("encrypts", BOTH)
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_what_was_changed_is_refused(spoil: Callable[[bytes], bytes], encrypts: bool) -> None:
    workers, shop = a_seal(ROOTS, encrypts), a_seal(SHOP, encrypts)
    assert opened(workers, a_message(spoil(sealed(shop)))).kind == UNSEALED
    line = answered(workers, "shop.5f", b"m...")
    head, newline, payload = line.partition(b"\n")
    place = ("room-1", "s:1", "attributes", "7-0")
    with pytest.raises(Unsealed):
        read_reply(head + newline + spoil(payload), "shop.5f", shop)
    with pytest.raises(Unsealed):
        workers.opens_any(spoil(shop.own(b"m", "job")), "job")
    if spoil is not SPOILT["another client's name"]:
        with pytest.raises(Unsealed):
            workers.opens_state(*place, spoil(workers.state(*place, b"m")))


@pytest.mark.parametrize(
    "moved",
    [
        {"child": "room-2"}, {"method": "read"}, {"kind": "cast"}, {"kind": "stop"}, {"id": "4"}, {"reply_to": "shop.66"},
        {"reply_to": "desk.5f"}, {"reply_to": ""}, {"child": "room-1\0post", "method": ""},
    ],
    ids=repr,
)  # fmt: skip
def test_a_message_that_was_moved_is_refused(moved: dict[str, str]) -> None:
    blob = sealed(a_seal(SHOP))
    assert opened(a_seal(ROOTS), a_message(blob)).kind == "call"
    assert opened(a_seal(ROOTS), a_message(blob, **moved)).kind == UNSEALED


def test_what_is_for_one_purpose_is_not_for_another() -> None:
    workers, shop = a_seal(ROOTS), a_seal(SHOP)
    message, state = sealed(shop), workers.state("room-1", "s:1", "attributes", "7-0", b"m")
    record = shop.spec("room-1", SpecRecord("Room", "app", "shop.5f:3", arguments=b"m..."))
    assert workers.opens_spec("room-1", record) == (b"m...", False)
    for blob in (message, record.arguments, shop.own(b"m", "job")):
        with pytest.raises(Unsealed):
            workers.opens_state("room-1", "s:1", "attributes", "7-0", blob)
    for blob in (message, state):
        with pytest.raises(Unsealed):
            workers.opens_spec("room-1", record.with_arguments(blob))
    for changed in (replace_of(record, name="Other"), replace_of(record, start_id="x"), replace_of(record, metadata={"a": 1}),
                    replace_of(record, restart="permanent"), replace_of(record, place="a guided")):  # fmt: skip
        with pytest.raises(Unsealed):
            workers.opens_spec("room-1", changed)
    with pytest.raises(Unsealed):
        workers.opens_spec("room-2", record)
    for wrong in (("room-2", "s:1", "attributes", "7-0"), ("room-1", "s:2", "attributes", "7-0"), ("room-1", "s:1", "handed", "7-0"),
                  ("room-1", "s:1", "attributes", "8-0")):  # fmt: skip
        with pytest.raises(Unsealed):
            workers.opens_state(*wrong, state)
    assert opened(a_seal(ROOTS, hub="other"), a_message(message)).kind == UNSEALED


def replace_of(record: SpecRecord, **changed: Any) -> SpecRecord:
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    return SpecRecord(**{**fields, **changed})


def test_a_client_app_speaks_for_itself_alone() -> None:
    workers, desk, shop = a_seal(ROOTS), a_seal(DESK), a_seal(SHOP)
    assert opened(workers, a_message(sealed(desk))).kind == UNSEALED  # in the name of shop.5f
    line = answered(workers, "shop.5f", b"m...")
    for other in (desk, a_seal(Keyring.read(Keyring.read(new_keys()).derive("shop")))):
        with pytest.raises(Unsealed):
            opened_reply(other, "shop.5f", line)
    with pytest.raises(Unsealed):
        opened_reply(shop, "shop.66", line)
    with pytest.raises(LookupError):  # it cannot even make one
        shop.state("room-1", "s:1", "attributes", "7-0", b"m")
    kill = Intervene("shop.5f", 1, "room-1", "i1", "kill")
    workers.proves(replace(kill, proof=shop.proof(*kill.asked)))
    for proof in (
        "",
        "00",
        "zz",
        "é",
        desk.proof(*kill.asked),
        shop.proof(*Withdraw("shop.5f", 1, "room-1", "i1").asked),
    ):
        with pytest.raises(Unsealed):
            workers.proves(replace(kill, proof=proof))


def test_an_app_withdraws_and_cancels_its_own_calls_alone() -> None:
    workers, shop = a_seal(ROOTS), a_seal(SHOP)
    for mine in (
        Withdraw("shop.5f", 1, "room-1", "3"),
        Cancel("shop.5f", 1, "room-1", "shop.66", "3", "i1"),
    ):
        workers.proves(replace(mine, proof=shop.proof(*mine.asked)))
        workers.proves(replace(mine, proof=workers.proof(*mine.asked)))
    for another in (
        Withdraw("desk.5f", 1, "room-1", "3"),
        Cancel("desk.5f", 1, "room-1", "shop.5f", "3", "i1"),
        Cancel("shop.5f", 1, "room-1", "desk.5f", "3", "i1"),
    ):
        said = refused(workers.proves, replace(another, proof=shop.proof(*another.asked)))
        assert said == "shop asks in the name of desk.5f"


@dataclass
class Job:
    id: str


def test_a_job_is_bound_to_its_id() -> None:
    workers, shop = (JobSerializer(as_data, False, a_seal(keys)) for keys in (ROOTS, SHOP))
    blob = shop.of_job(Job("1")).of("arguments").dumps(["app.send", None, ["ann"], {}])
    assert workers.of_job(Job("1")).of("arguments").loads(blob) == ["app.send", None, ["ann"], {}]
    result = workers.of_job(Job("1")).dumps(5)
    assert shop.of_job(Job("1")).loads(result) == 5
    for reader in (workers.of_job(Job("2")), workers, shop.of_job(Job("11"))):
        for purpose in ("arguments", "result"):
            for moved in (blob, result):
                assert "written for another place" in refused(reader.of(purpose).loads, moved)
    assert "only workers" in refused(workers.of_job(Job("1")).loads, shop.of_job(Job("1")).dumps(5))
    unbound = shop.dumps(["app.send", None, ["ann"], {}])
    assert "written for another place" in refused(workers.of_job(Job("1")).loads, unbound)
    plain = JobSerializer(as_data, False, None)
    assert plain.of_job(Job("1")) is plain and plain.loads(plain.dumps(5)) == 5


def test_the_result_of_a_job_is_none_of_its_arguments() -> None:
    its = JobSerializer(as_data, False, a_seal(ROOTS)).of_job(Job("1"))
    result = its.of("result").dumps(["app.send", None, ["ann"], {}])
    assert "written for another place" in refused(its.of("arguments").loads, result)
    assert "written for another place" in refused(its.of("meta").loads, result)


def test_a_job_is_stopped_by_holders_of_a_key_alone() -> None:
    run = Execution("e1", "j1", Redis(), "w1")
    told = {"command": STOP, "job_id": "j1", "execution_id": "e1"}
    proof = a_seal(SHOP).proof(STOP, "w1", "j1", "e1")
    checked({**told, "proof": proof}, "w1", run, a_seal(ROOTS))
    for forged in ("", "00", a_seal(SHOP).proof(STOP, "w2", "j1", "e1"), a_seal(SHOP).proof(STOP, "w1", "j1", "e0")):
        assert refused(lambda told: checked(told, "w1", run, a_seal(ROOTS)), {**told, "proof": forged})
    checked(told, "w1", run, a_seal(ROOTS, required=False))


def test_events_are_for_all_and_states_for_workers() -> None:
    workers = a_seal(ROOTS)
    event = workers.for_all(b"m", "event", "room-1", "posts")
    assert a_seal(SHOP).opens_any(event, "event", "room-1", "posts") == (ALL, b"m")
    with pytest.raises(Unsealed, match="key that is not here"):
        a_seal(SHOP).opens_any(workers.by_workers(b"m", "event", "room-1", "posts"), "event", "room-1", "posts")


def test_keys_are_changed_one_after_the_other() -> None:
    two = new_keys(ROOT)
    both, turned = Keyring.read(two), Keyring.read(",".join(reversed(two.split(","))))
    assert (list(both.keys), list(turned.keys)) == ([1, 2], [2, 1])
    old, new = a_seal(both), a_seal(turned)
    for writer in (old, new, a_seal(Keyring.read(turned.derive("shop")))):
        for reader in (old, new):
            assert opened(reader, a_message(sealed(writer))).kind == "call"
    only_new = a_seal(Keyring.read(two.split(",")[1]))
    assert opened(only_new, a_message(sealed(new))).kind == "call"
    assert "key that is not here (key 1" in opened(only_new, a_message(sealed(old))).method


def test_the_three_modes() -> None:
    plain, blob = a_message(b"m..."), a_message(sealed(a_seal(SHOP)))
    off = a_seal(ROOTS, writes=False, required=False)
    write = a_seal(ROOTS, required=False)
    assert [opened(seal, message).kind for seal in (off, write) for message in (plain, blob)] == ["call"] * 4
    assert (off.message("call", "c", "m", "s", "1", b"m"), off.state("c", "s", "a", "0", b"m")) == (b"m", b"m")
    assert opened(a_seal(ROOTS), plain).kind == UNSEALED
    assert opened(a_seal(ROOTS), a_message(b"[]", kind="start")).kind == "start"  # a hint: its specs are sealed
    assert opened_reply(a_seal(SHOP), "shop.5f", b"3 poisoned a\n{}") == b"{}"
    for status in ("ok", "failed", "started"):
        with pytest.raises(Unsealed):
            opened_reply(a_seal(SHOP), "shop.5f", reply_line("3", status, "a", b"{}"))


def test_a_forked_process_has_a_session_of_its_own() -> None:
    seal = a_seal(ROOTS)

    def sessions() -> set[bytes]:
        line = answered(seal, "5f", b"m").partition(b"\n")[2]
        state = seal.state("room-1", "s:1", "attributes", "7-0", b"m")
        return {blob[3:15] for blob in (seal.own(b"m", "job"), sealed(seal), line, state)}

    before = sessions()
    queue: Any = multiprocessing.get_context("fork").SimpleQueue()
    child = multiprocessing.get_context("fork").Process(target=lambda: queue.put(sessions()))
    child.start()
    made = queue.get()
    child.join()
    assert len(before) == len(made) == 1 and made != before and sessions() == before


@pytest.mark.parametrize(
    "text",
    ["x", "1:", "1:abc", "0:" + ROOT[2:], "256:" + ROOT[2:], ROOT + "," + ROOT, ROOT + "," + ROOTS.derive("shop"), "1:sh op:" + "A" * 88,
     ROOTS.derive("shop") + "," + ROOTS.derive("desk").replace("1:", "2:"), "1:shop:" + ROOT[2:]],
    ids=list(map(str, range(10))),
)  # fmt: skip
def test_keys_that_are_none_are_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Keyring.read(text)
    assert ROOT[2:20] not in str(refused.value)
    assert ROOT[2:20] not in repr(ROOTS)


def test_settings() -> None:
    with pytest.raises(ConfigError, match="there are no keys"):
        Hub("chat", seal="require")
    with pytest.raises(ConfigError, match="keys of 'shop'"):
        Hub("chat", seal="require", client="desk", keys=ROOTS.derive("shop"))
    with pytest.raises(ConfigError, match="seal='on'"):
        Hub("chat", seal="on")
    assert Hub("chat", keys=ROOTS.derive("shop")).driver.context.client == "shop"
    assert seal_of("chat", "off", None) is None
    with pytest.raises(ConfigError, match="only root keys"):
        SHOP.derive("desk")
    assert (client_of("shop.5f"), described(sealed(a_seal(SHOP)))) == ("shop", "key 1, by shop, 45 bytes")


@given(st.binary(max_size=200), st.booleans())
def test_no_bytes_make_it_raise_anything_else(data: bytes, tagged: bool) -> None:
    blob = (b"x" if tagged else b"") + data
    workers = a_seal(ROOTS)
    assert opened(workers, a_message(blob)).kind == UNSEALED
    with pytest.raises(Unsealed):
        workers.opens_any(blob, "job")
    described(blob)
