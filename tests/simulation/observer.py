"""An independent witness at Redis, for one group of the hub: it sees every write, keeps its own picture, and says which write broke a
guarantee.

It reads no hubq state and trusts no script's answer: only what was written, by which process, and what had been true.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Sequence
from typing import Any

from hubq.core.hashing import shard_of
from hubq.store.keys import Keys
from hubq.store.message import position
from hubq.store.tries import MOST_TRIES
from tests.simulation.loop import Process
from tests.simulation.reminder_witness import ReminderWitness
from tests.simulation.store import Write

_INCARNATION = re.compile(rb'"incarnation": ?(\d+)')
NOBODY = (b"-", 0, 0)
#: Scripts that take shards or pins from nodes that have gone.
TAKING = ("claim_shards", "dissolve_pins")
#: Scripts that start children.
STARTING = ("start_children", "send_messages", "commit_shards", "forward_outbox")

Line = tuple[bytes, int, int]

#: What an observer has of what is in Redis. (Processes are no data.)
PICTURE = (
    "owners", "wishes", "nodes", "up", "leases", "mailboxes", "sent", "_specs", "letters", "_lease_ends", "evicted_lives",
)  # fmt: skip


def _line(text: bytes) -> Line:
    node, incarnation, token = text.split(b" ")
    return node, int(incarnation), int(token)


#: The process that writes garbage.
LITTERER = "litterer"


class Observer:
    """What is in Redis, as told by the writes."""

    def __init__(self, keys: Keys) -> None:
        self.breaches: list[str] = []
        self.migrations = self.claims = self.evictions = self.pins = self.parkings = self.commits = self.moves = 0
        self.rests = self.wakes = self.far = 0
        self.refused = 0  # acts of a process that had lost the token meanwhile, and changed nothing
        self.owners: dict[bytes, Line] = {}
        self.wishes: dict[bytes, bytes] = {}  # child -> the node it was moved to by hand
        self.nodes: dict[bytes, int] = {}
        self.up: set[bytes] = set()  # those among them that take shards
        self.leases: dict[bytes, float] = {}
        self.evicted_lives: set[tuple[bytes, int]] = set()  # node, incarnation
        self.mailboxes: dict[tuple[bytes, bytes], dict[bytes, bytes]] = {}
        self.sent: dict[tuple[bytes, bytes], tuple[bytes, bytes]] = {}  # (client, id) -> (mailbox, entry)
        self._specs: set[tuple[bytes, bytes]] = set()  # of each key of specs, the children that are there, or dormant
        self.letters: list[dict[bytes, bytes]] = []  # dead ones, in the order they died
        self.evicted: Callable[[Process, float, float], None] = lambda process, now, lease_end: None
        self._lease_ends: dict[bytes, float] = {}  # of leases that are gone
        self.absolved: Callable[[Process, dict[bytes, bytes]], None] = lambda process, message: None
        self._trials: dict[
            tuple[bytes, ...], list[float]
        ] = {}  # field of "tries", entry, node#incarnation -> when it was marked
        self._processes: dict[tuple[bytes, int], Process] = {}
        self.keys = keys
        self.reminders: ReminderWitness | None = None
        self._owners, self._nodes, self._leases = (k.encode() for k in (keys.owners, keys.nodes, keys.leases))
        self._wishes = keys.pins.encode()
        self._shard = (keys.prefix + "shard:").encode()
        self._reply = (keys.prefix + "reply:").encode()

    def owns(self, shard: int, process: Process) -> bool:
        """Whether a process has the token of a shard."""
        return self._processes.get(self.owners.get(b"%d" % shard, NOBODY)[:2]) is process

    def breach_now(self, process: Process, name: str, what: str) -> None:
        """Write down what no guarantee allows."""
        self.breach(process.loop.now, process, name, what)

    def saw(self, process: Process, name: str, args: Sequence[Any], writes: list[Write], now: float) -> None:
        """Some command of a process has written this."""
        if name in ("commit_shards", "pass_token", "pass_children", "park_shard", "release_pin"):
            self.commits += 1
        before = dict(self.owners) if _touches(writes, self._owners) else self.owners
        answered: list[tuple[bytes, bytes]] = []
        if name in TAKING:  # what they set aside as poisoned they do as the new owner
            writes = sorted(writes, key=lambda write: write[1][0] != self._owners)
        for command, words, answer in writes:
            key = words[0] if words else b""
            if key.startswith(self._shard):
                self._shard_write(process, name, before, command, key, words, answer)
            elif key == self._owners:
                self._owner_write(process, name, command, words, now)
            elif key == self._nodes:
                self._node_write(process, name, command, words, now)
            elif key == self._leases:
                self._lease_write(command, words)
            elif key == self._wishes:
                for child in words[1:] if command == b"HDEL" else ():
                    self.wishes.pop(child, None)
                for child, line in zip(words[1::2], words[2::2], strict=False) if command == b"HSET" else ():
                    self.wishes[child] = line.split(b" ")[0]
            elif key.startswith(self._reply) and command == b"RPUSH":
                client = key[len(self._reply) :]
                answered += [(client, payload.split(b" ", 1)[0]) for payload in words[1:]]
        if self.reminders is not None:
            self.reminders.saw(process, name, writes, int(self.clock(now)))
        for client, message in answered:
            mailbox, entry = self.sent.get((client, message), (b"", b""))
            for (of, child), entries in self.mailboxes.items():
                if of == mailbox and entry in entries and not child.startswith(b"interval"):
                    self.breach(now, process, name, f"reply to {message!r} went out, but its message is not committed")

    def breach(self, now: float, process: Process, name: str, what: str) -> None:
        """Write down what no guarantee allows."""
        self.breaches.append(f"at {now:.3f}, {name} of {process.name}: {what}")

    # -- messages and states: only the holder of the token may touch them ------------------------------------------

    def _shard_write(
        self, process: Process, name: str, before: dict[bytes, Line], command: bytes, key: bytes, words: Sequence[bytes],
        answer: Any,
    ) -> None:  # fmt: skip
        shard, what = key[len(self._shard) :].split(b":", 1)
        if what.startswith(b"feed:"):
            return  # its entries have ids of their own; they are compared with what the child has told (checks.py)
        if command == b"XADD":
            self.far += what.startswith(b"outbox:")
            if what not in (b"dead", b"mailbox"):
                return
            fields = words[words.index(b"*") + 1 :]
            entry = dict(zip(fields[::2], fields[1::2], strict=True))
            if what == b"dead":
                self.letters.append(entry)
            if what != b"mailbox":
                return
            # A start message belongs to the shard, whoever of its children may be pinned.
            # What is no message does so, too.
            mine = process.name == LITTERER or entry[b"kind"] == b"start"
            child = b"" if mine else entry[b"child"]
            self.mailboxes.setdefault((key, child), {})[answer] = entry.get(b"id", b"")
            if name == "absolve_node":
                self.absolved(process, entry)
            if entry.get(b"reply_to"):
                self.sent[entry[b"reply_to"], entry[b"id"]] = (key, answer)
            return
        if what == b"tries" and command == b"HSET" and name == "mark_tries":
            for field, mark in zip(words[1::2], words[2::2], strict=True):
                of, count, node, *_ = mark.split(b" ")
                if int(count) >= MOST_TRIES - 1:
                    self._trials.setdefault((field, of, node), []).append(process.loop.now)
        touched: set[bytes] = set()
        if what == b"dormant" and command in (b"HSET", b"HDEL") and words[1]:
            touched.add(words[1])
            self.rests += command == b"HSET"
            self.wakes += command == b"HDEL"
        if command in (b"XDEL", b"XTRIM") and what == b"mailbox":
            for (of, child), entries in self.mailboxes.items():
                if of == key:
                    gone = words[1:] if command == b"XDEL" else [e for e in entries if position(e) < position(words[2])]
                    for entry in gone:
                        if entries.pop(entry, None) is not None:
                            touched.add(child)
        elif what == b"children" and command == b"HSET":
            for child in words[1::2]:
                if name in STARTING and (key, child) in self._specs:
                    self.breach(process.loop.now, process, name, f"{child.decode()} is started, and is there already")
                self._specs.add((key, child))
        elif (what == b"msk" and command in (b"HSET", b"HDEL")) or (what == b"children" and command == b"HDEL"):
            touched.add(words[1])
            if what == b"children" and name != "rest_children":
                self._specs.difference_update((key, child) for child in words[1:])
        if name in TAKING:
            before = self.owners
        for child in sorted(touched):
            owner = (child and before.get(shard + b"/" + child)) or before.get(shard, NOBODY)
            if self._processes.get(owner[:2]) is not process:
                self.breach(
                    process.loop.now, process, name,
                    f"{command.decode()} of {what.decode()} for {child.decode()}, whose owner is {owner}",
                )  # fmt: skip

    # -- ownership -------------------------------------------------------------------------------------------------

    def _owner_write(self, process: Process, name: str, command: bytes, words: Sequence[bytes], now: float) -> None:
        if command == b"HDEL":
            for field in words[1:]:
                gone = self.owners.pop(field, None)
                if gone is not None and b"/" not in field:
                    self.breach(now, process, name, f"the owner line of shard {field!r} is gone")
            return
        for field, text in zip(words[1::2], words[2::2], strict=True):
            line, old = _line(text), self.owners.get(field, NOBODY)
            if line == old:
                continue
            self.owners[field] = line
            if b"/" in field:
                self.pins += 1
                if name == "pass_children":
                    self.moves += 1
                    self._must_live(now, process, name, field, line)
            elif line[0] == b"-":
                self.parkings += 1
            elif self._processes.get(line[:2]) is process and line[:2] != old[:2]:
                self.claims += 1
                if self.nodes.get(old[0]) == old[1] and old[0] != b"-":
                    self.breach(now, process, name, f"shard {field!r} was taken from {old}, a live member")
            elif line[:2] != old[:2]:
                self.migrations += 1
                if self._processes.get(old[:2]) is not process:
                    self.breach(now, process, name, f"shard {field!r} of {old} was given away by somebody else")
                self._must_live(now, process, name, field, line)
            if line[2] < old[2] or (line[2] == old[2] and line[0] != b"-"):
                self.breach(now, process, name, f"token of {field!r} went from {old} to {line}")

    def _must_live(self, now: float, process: Process, name: str, field: bytes, line: Line) -> None:
        if self.nodes.get(line[0]) != line[1] or self.leases.get(line[0], 0.0) <= int(self.clock(now)):
            self.breach(now, process, name, f"the token of {field!r} passed to {line}, whose lease is over")

    def clock(self, now: float) -> float:
        """Redis TIME in ms."""
        return (EPOCH + now) * 1000

    def _node_write(self, process: Process, name: str, command: bytes, words: Sequence[bytes], now: float) -> None:
        if command == b"HDEL":
            for node in words[1:]:
                life = node, self.nodes.pop(node, 0)
                gone = self._processes.get(life)
                if name == "evict_node":
                    self.evicted_lives.add(life)
                if gone is not None and name == "evict_node":
                    end = self.leases.get(node, self._lease_ends.get(node, 0.0))
                    self.evicted(gone, now, end / 1000 - EPOCH)
                self.up.discard(node)
            self.evictions += name == "evict_node"
            return
        found = _INCARNATION.search(words[2])
        if found is not None:
            self.nodes[words[1]] = int(found[1])
            (self.up.add if b'"status":"up"' in words[2] else self.up.discard)(words[1])
            self._processes.setdefault((words[1], int(found[1])), process)

    def _lease_write(self, command: bytes, words: Sequence[bytes]) -> None:
        if command == b"ZREM":
            for node in words[1:]:
                self._lease_ends[node] = self.leases.pop(node, 0.0)
        else:
            self.leases[words[2]] = float(words[1])

    def last_trial(self, letter: dict[bytes, bytes]) -> tuple[Process | None, list[float]]:
        """In which process a dead letter was on trial the last time, and when it was marked there."""
        node = letter[b"crashes"].split(b" ")[-1]
        field = (b"start " if letter[b"kind"] == b"start" else b"message ") + letter[b"child"]
        name, _, incarnation = node.rpartition(b"#")
        return self._processes.get((name, int(incarnation))), self._trials.get((field, letter[b"entry"], node), [])

    # -- a Redis that goes back ------------------------------------------------------------------------------------

    def remembered(self) -> Callable[[], None]:
        """What puts this picture back: Redis has lost all that was written since."""
        kept = {name: copy.deepcopy(getattr(self, name)) for name in PICTURE}
        processes, trials = dict(self._processes), copy.deepcopy(self._trials)

        def put_back() -> None:
            for name, picture in kept.items():
                setattr(self, name, copy.deepcopy(picture))
            self._processes, self._trials = dict(processes), copy.deepcopy(trials)

        return put_back

    # -- what the end looks like -----------------------------------------------------------------------------------

    def owner(self, shard: int) -> Process | None:
        """The process that owns a shard, if it has not crashed, and was not evicted since."""
        life = self.owners.get(b"%d" % shard, NOBODY)[:2]
        process = self._processes.get(life)
        return None if process is None or process.crashed or life in self.evicted_lives else process

    def waiting(self) -> int:
        """Messages in all mailboxes."""
        return sum(len(entries) for entries in self.mailboxes.values())

    def unserved(self, own: range, shards: int, now: float) -> list[str]:
        """Its ``own`` shards without a live owner, pins that are left though nobody wants them, and wishes that are not fulfilled."""
        found = []
        for shard in own:
            line = self.owners.get(b"%d" % shard, NOBODY)
            process = self._processes.get(line[:2])
            # (A process that has crashed is a member until its lease ends. Its crash is counted only then.)
            gone = process is not None and process.crashed
            if gone or self.nodes.get(line[0]) != line[1] or self.leases.get(line[0], 0.0) <= self.clock(now):
                found.append(f"shard {shard}: {line}")
        pins = {field.split(b"/", 1)[1]: line for field, line in self.owners.items() if b"/" in field}
        found += [f"pin of {child!r}: {line}" for child, line in pins.items() if self.wishes.get(child) != line[0]]
        for child, node in self.wishes.items():
            owner = pins.get(child) or self.owners.get(b"%d" % shard_of(child.decode(), shards), NOBODY)
            if owner[0] != node and node in self.up:
                found.append(f"{child!r} is wanted on {node!r}: {owner}")
        return found


#: Redis TIME at the beginning of every schedule, seconds.
EPOCH = 1_700_000_000.0


def _touches(writes: list[Write], key: bytes) -> bool:
    return any(words and words[0] == key for _, words, _ in writes)
