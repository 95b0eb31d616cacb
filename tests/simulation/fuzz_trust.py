"""Malformed, unsealed and half right entries through what reads messages, control messages and replies: nothing is raised but what is
meant to be, and nothing is opened that was not sealed.

``python -m tests.simulation.fuzz_trust 1000000`` by hand; the tests run a few thousand.
"""

from __future__ import annotations

import random
import sys
import time
from typing import Any

from hubq import BadArguments, Child
from hubq.core.messages import from_fields
from hubq.errors import Unsealed
from hubq.store.data_values import DataValues
from hubq.store.envelope import Envelope
from hubq.store.keyring import Keyring, new_keys
from hubq.store.message import MALFORMED, UNSEALED, message_of
from hubq.store.replies import read_reply, reply_line
from hubq.store.seal import Seal
from hubq.store.spec_record import SpecRecord

ROOT = new_keys()
KINDS = [b"call", b"cast", b"start", b"stop", b"remind", b"headed", b"state", b"x", b""]
NAMES = ["kind", "child", "method", "id", "reply_to", "deadline", "payload"]
TEXTS = [
    b"room-1",
    b"room-2",
    b"post",
    b"3",
    b"shop.5f",
    b"desk.5f",
    b"shop.5f#3",
    b"reminder x#0",
    b"",
    b"\xff\xfe",
    b"9" * 30,
    b"0",
    b"NaN",
]
CONTROL = [
    "kind",
    "from",
    "shard",
    "child",
    "message_id",
    "what",
    "entry",
    "proof",
    "token",
    "handover_id",
    "closed_at",
    "caller",
    "answer_id",
]


class Room(Child):
    async def post(self, text: str, times: int = 1, *, tags: dict[str, list[int]] | None = None) -> str:
        return text * times


class Fuzz:
    """Makes entries of the seed of a run, and reads them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.values = DataValues(sealed=True)
        roots = Keyring.read(ROOT)
        self.workers = [
            Seal("chat", roots, writes=True, required=True, form="encrypt" if encrypts else "sign")
            for encrypts in (True, False)
        ]
        shop = Keyring.read(roots.derive("shop"))
        self.shops = [
            Seal("chat", shop, writes=True, required=True, form="encrypt" if encrypts else "sign")
            for encrypts in (True, False)
        ]
        self.good = self.values.encode_arguments(("hi", 2), {}, "room-1.post")
        self.opened = 0

    def spoilt(self, blob: bytes) -> bytes:
        """The bytes as they are, or cut, changed or made longer."""
        at, what = self.random.randrange(len(blob) + 1), self.random.randrange(6)
        if what == 0:
            return blob[:at]
        if what == 1:
            return blob[:at] + self.random.randbytes(self.random.randrange(1, 9)) + blob[at:]
        if what in (2, 3) and blob:
            at %= len(blob)
            return blob[:at] + bytes([blob[at] ^ (1 << self.random.randrange(8))]) + blob[at + 1 :]
        return blob if what == 4 else self.random.randbytes(self.random.randrange(60))

    def message(self) -> None:
        """One entry of a mailbox."""
        choose = self.random.choice
        place = ["call", "room-1", "post", "shop.5f", "3"]
        blob = choose(self.shops).message(*place, self.good)
        payload = self.spoilt(choose([blob, self.good, b"p\x80\x05N.", b"h{}\n" + blob]))
        right = [b"call", b"room-1", b"post", b"3", b"shop.5f", b"0", payload]
        flat: list[bytes] = []
        for name, value in zip(NAMES, right, strict=True):
            if self.random.random() < 0.05:
                continue
            moved = (
                choose(KINDS if name == "kind" else TEXTS)
                if name != "payload" and self.random.random() < 0.1
                else value
            )
            flat += [name.encode(), moved]
        (message,) = self.workers[0].opens([message_of(b"7-0", flat)])
        if message.kind in (UNSEALED, MALFORMED, "start", "remind"):
            return
        as_sent = (message.kind, message.child, message.method, message.id, message.reply_to)
        assert payload == blob and as_sent in (
            ("call", "room-1", "post", "3", "shop.5f"),
            ("call", "room-1", "post", "shop.5f#3", ""),
        ), flat
        assert self.values.arguments(Room, message.method, message.payload)[0] == ["hi", 2]
        self.opened += 1

    def arguments(self) -> None:
        """Arguments as data, with any codec tag."""
        data = self.spoilt(
            self.random.choice(
                [self.good, b"m" + self.random.randbytes(20), b'j[["hi"], {"times": 2}]', b"v1\n" + self.good]
            )
        )
        try:
            args, kwargs = self.values.arguments(Room, "post", data)
        except BadArguments:
            return
        assert all(isinstance(value, str) for value in args[:1]) and all(type(value) is int for value in args[1:2]), (
            data
        )
        assert isinstance(kwargs, dict)

    def reply(self) -> None:
        """One line in a list of replies."""
        worker, shop = self.random.choice(self.workers), self.random.choice(self.shops)
        lines = [reply_line("3", "ok", "a", b"j1")]
        worker.replies("shop.5f", lines)
        try:
            read = read_reply(self.spoilt(lines[0]), "shop.5f", shop)
        except Unsealed:
            return
        if read is not None and read[1] != "poisoned":
            assert read == ("3", "ok", "a", b"j1")
            self.opened += 1

    def control(self) -> None:
        """One control message, and its proof."""
        choose = self.random.choice
        words = [
            "intervene",
            "cancel",
            "withdraw",
            "handover",
            "kill",
            "1",
            "NaN",
            "",
            "room-1",
            "9" * 30,
            "ü",
            "73" * 50,
        ]
        fields = {name: choose(words) for name in CONTROL}
        for name in self.random.sample(CONTROL, self.random.randrange(4)):
            del fields[name]
        try:
            message: Any = from_fields(fields)
        except ValueError:
            return
        if hasattr(message, "asked"):
            try:
                self.workers[0].proves(message)
            except Unsealed:
                return
            raise AssertionError(f"{message} has no proof")

    def kept(self) -> None:
        """A state and a spec."""
        worker, place = self.random.choice(self.workers), ("room-1", "s:1", "attributes", "7-0")
        data = self.values.encode_any({"n": 1})
        envelope = Envelope.read(
            self.spoilt(Envelope("attributes", "7-0", worker.state(*place, b"m" + data)).written())
        )
        record = SpecRecord.read(
            self.spoilt(worker.spec("room-1", SpecRecord("Room", "app", "s:1", arguments=self.good)).written())
        )
        try:
            if not envelope.malformed:
                assert worker.opens_state("room-1", "s:1", envelope.form, envelope.cursor, envelope.data) == b"m" + data
                self.opened += 1
        except Unsealed:
            pass
        try:
            if not record.malformed:
                assert worker.opens_spec("room-1", record) == (self.good, True)
        except Unsealed:
            pass

    def run(self, count: int) -> None:
        """So many entries, of all sorts in turn."""
        sorts = [self.message, self.arguments, self.reply, self.control, self.kept]
        for number in range(count):
            sorts[number % len(sorts)]()


def main(count: int, seed: int) -> None:
    """Run, and say how it went."""
    fuzz, began = Fuzz(seed), time.monotonic()
    fuzz.run(count)
    print(
        f"{count} entries in {time.monotonic() - began:.0f} s (seed {seed}): {fuzz.opened} were right and were opened; no other was"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, int(sys.argv[2]) if len(sys.argv) > 2 else 1)
