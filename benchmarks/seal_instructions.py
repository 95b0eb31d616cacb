"""The seals of so many calls and nothing else, to have their instructions counted: time is worthless on a busy machine.

``valgrind --tool=callgrind python -m benchmarks.seal_instructions 1000 sealed``, then with 3000: the difference is that of 2,000 calls.
Then with ``plain``, which has what a call does anyway. ``sign`` behind these counts the form that hides nothing.
"""

from __future__ import annotations

import sys

from hubq.store.effects import Effects
from hubq.store.envelope import written
from hubq.store.keyring import Keyring, new_keys
from hubq.store.message import Message
from hubq.store.replies import read_reply, reply_line
from hubq.store.seal import Seal

ROOTS = Keyring.read(new_keys())
SENDER, ENTRY = "shop.5f3a2b1c5f3a2b1c", b"1795433907312-0"
START = f"{SENDER}:1"
WORDS = (b"call", b"room", b"post", SENDER.encode(), b"3")
PAYLOAD, LINE, STATE = b"x" * 180, reply_line("3", "ok", "a", b"m\x05"), b"m\x81\xa5count\xcd\x03\xe8"


def effects_of(start_id: str) -> Effects:
    """What a handler has brought about: a state and a reply."""
    effects = Effects()
    if start_id:
        effects.states["room"] = b""
        effects.unsealed["room"] = start_id, "attributes", ENTRY.decode(), STATE
    else:
        effects.states["room"] = written("attributes", ENTRY.decode(), STATE)
    effects.replies[SENDER] = [LINE]
    return effects


def plain() -> None:
    """A message is read, and a reply."""
    Message(ENTRY, "call", "room", "post", "3", SENDER, 0, PAYLOAD)
    effects_of("")
    read_reply(LINE)


def main(count: int, sealed: bool, form: str = "encrypt") -> None:
    """What a call seals and opens: its message, its reply, and the state."""
    workers = Seal("chat", ROOTS, writes=True, required=True, form=form)
    shop = Seal("chat", Keyring.read(ROOTS.derive("shop")), writes=True, required=True, form=form)
    for _ in range(count):
        if not sealed:
            plain()
            continue
        blob = shop.words(*WORDS, PAYLOAD)
        workers.opens([Message(ENTRY, "call", "room", "post", "3", SENDER, 0, blob)])
        effects = effects_of(START)
        effects.seal(workers)
        read_reply(effects.replies[SENDER][0], SENDER, shop)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] == "sealed", *sys.argv[3:4])
