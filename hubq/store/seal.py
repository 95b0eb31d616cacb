"""The seal: who wrote a value, and for what. Only holders of a key can write what is opened (docs/trust.md)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from hubq.config import Config
from hubq.errors import ConfigError, Unsealed
from hubq.store.envelope import written
from hubq.store.frames import ENCRYPTED, FRONTS, SIGNED, Frames, bytes_of, form_of
from hubq.store.header import Header
from hubq.store.keyring import ALL, WORKERS, Keyring, client_of, is_client
from hubq.store.message import HEADED, MALFORMED, UNSEALED, Message
from hubq.store.spec_record import SpecRecord

if TYPE_CHECKING:
    from hubq.core.messages import Cancel, Intervene, Withdraw

#: First bytes of what is sealed. (A byte is quicker to look at than a slice.)
_SEALED = frozenset(ENCRYPTED + SIGNED)
#: Kinds that scripts write: hints, which change nothing by themselves.
_HINTS = frozenset(("start", "remind", MALFORMED))
#: Senders that are remembered.
MOST_RECEIVERS = 1_000
_with_nuls = b"\0".join
_HEXADECIMAL = re.compile("(?:[0-9a-f]{2})*")


class Seal:
    """Seals what a process writes, and opens what it reads. ``writes``: what it writes is sealed; ``required``: nothing else is read."""

    def __init__(self, hub_id: str, keys: Keyring, *, writes: bool, required: bool, form: str = "auto") -> None:
        self.keys = keys
        self.writes = writes
        self.required = required
        self._hub = hub_id
        self._own = WORKERS if keys.root else keys.client
        frames = Frames(keys, form=form)
        #: The tag of what is written.
        self.tag = frames.tag
        self._sealers, self._sealer = frames.sealers, frames.sealer
        self._line_sealers, self._line_sealer = frames.line_sealers, frames.line_sealer
        self._openers, self._opener, self._opened_as = frames.openers, frames.opener, frames.opened
        self._of_message, self._of_state, self._of_reply = (f"{hub_id}\0{of}\0" for of in ("message", "state", "reply"))
        self._before_message = f"{hub_id}\0message".encode()
        #: By the sender who waits for a reply: its client app, with whose key its replies are sealed, and how their context begins.
        self.receivers: dict[str, tuple[str, str, bytes]] = {}

    def _sealed(self, name: str, plain: bytes, *context: str) -> bytes:
        seal = self._sealers.get(name) or self._sealer(name)
        return seal(plain, bytes_of("\0".join((self._hub, *context))))

    def _receiver(self, sender: str) -> tuple[str, str, bytes]:
        if len(self.receivers) >= MOST_RECEIVERS:
            self.receivers.clear()
        client = client_of(sender)
        # Who sends can call itself as it likes. A reply for what is the name of no app is one that no app can open.
        answered = client if is_client(client) else WORKERS
        made = client, answered if self.keys.root else self._own, bytes_of(f"{self._of_reply}{sender}\0")
        self.receivers[sender] = made
        return made

    def _opened(self, blob: bytes, *context: str) -> tuple[str, bytes]:
        return self._opened_as(blob, bytes_of("\0".join((self._hub, *context))))

    def _plain(self, blob: bytes, what: str) -> bytes:
        """What is not sealed."""
        if self.required:
            raise Unsealed(f"this {what} is not sealed")
        return blob

    # -- messages --------------------------------------------------------------------------------------------------

    def message(self, kind: str, child: str, method: str, sender: str, number: str, payload: bytes) -> bytes:
        """The payload of a message."""
        if not self.writes:
            return payload
        try:
            seal = self._sealers[self._own]
        except KeyError:
            seal = self._sealer(self._own)
        return seal(payload, f"{self._of_message}{kind}\0{child}\0{method}\0{sender}\0{number}".encode())

    def words(self, kind: bytes, child: bytes, method: bytes, sender: bytes, number: bytes, payload: bytes) -> bytes:
        """The payload of a message whose words are encoded already."""
        if not self.writes:
            return payload
        try:
            seal = self._sealers[self._own]
        except KeyError:
            seal = self._sealer(self._own)
        return seal(payload, _with_nuls((self._before_message, kind, child, method, sender, number)))

    def opens(self, messages: list[Message]) -> list[Message]:
        """The same list: of each message its payload as it was written, or one of the kind ``unsealed`` instead, if its seal is refused."""
        begins, openers, receivers = self._of_message, self._openers, self.receivers
        for place, message in enumerate(messages):
            kind, payload = message.kind, message.payload
            if kind in _HINTS:
                continue
            try:
                if not payload or payload[0] not in _SEALED:
                    if self.required:
                        raise Unsealed("it is not sealed")
                    continue
                if message.header is not None:  # it stands in front of the seal, and would be believed
                    raise Unsealed("its header is not sealed")
                sender, number = message.reply_to, message.id
                if not sender:
                    sender, _, number = number.rpartition("#")
                context = f"{begins}{kind}\0{message.child}\0{message.method}\0{sender}\0{number}".encode()
                try:
                    name, opens = openers[payload[FRONTS[payload[2]]]]
                except LookupError:
                    name, opens = self._opener(payload)
                plain = opens(payload, context)
                if name:
                    try:
                        client, _, _ = receivers[sender]
                    except KeyError:
                        client, _, _ = self._receiver(sender)
                    if client != name and (
                        message.reply_to or not sender.startswith("reminder ")
                    ):  # no reminder is a call
                        raise Unsealed(f"{name} has sealed a message of {sender}")
                if kind == HEADED:
                    message.header, plain = Header.split(plain)
                    message.kind = "call" if message.reply_to else "cast"
                message.payload = plain
            except (Unsealed, ValueError) as error:
                messages[place] = self._refused(message, str(error))
        return messages

    def _refused(self, message: Message, why: str) -> Message:
        return Message(message.entry, UNSEALED, message.child, why, message.id, message.reply_to, 0, b"")

    def replies(self, sender: str, lines: list[bytes]) -> None:
        """Seal the lines of replies (``hubq.store.replies.reply_line``) for their receiver, in the list. Those that are sealed stay."""
        if not self.writes:
            return
        try:
            _, name, begins = self.receivers[sender]
            seal = self._line_sealers[name]
        except KeyError:
            _, name, begins = self._receiver(sender)
            seal = self._line_sealers.get(name) or self._line_sealer(name)
        for place, line in enumerate(lines):
            head, _, payload = line.partition(b"\n")
            if not payload or payload[0] not in _SEALED:
                lines[place] = seal(payload, begins + head, head)

    def opens_reply(self, sender: str, head: bytes, status: str, payload: bytes) -> bytes:
        """The payload of a reply; its line, and the status in that. (What a script answers, ``poisoned``, is a text, and not sealed.)"""
        if payload and payload[0] in _SEALED:
            try:
                _, _, context = self.receivers[sender]
            except KeyError:
                _, _, context = self._receiver(sender)
            try:
                _, opens = self._openers[payload[FRONTS[payload[2]]]]
            except LookupError:
                _, opens = self._opener(payload)
            return opens(payload, context + head)
        return payload if status == "poisoned" else self._plain(payload, "reply")

    def proof(self, *asked: str) -> str:
        """What goes with an ask to a node: that it comes from a holder of a key."""
        return self.own(b"", "ask", *asked).hex()

    def proven(self, proof: str, *asked: str) -> str:
        """With whose key a proof was made (:meth:`proof`). Raises :class:`~hubq.errors.Unsealed`: it is not one of this ask."""
        blob = bytes.fromhex(proof) if _HEXADECIMAL.fullmatch(proof) else b""
        return self.opens_any(blob, "ask", *asked)[0]

    def proves(self, ask: Withdraw | Cancel | Intervene) -> None:
        """Raise :class:`~hubq.errors.Unsealed` for an ask without its proof. A client app asks for itself alone."""
        name = self.proven(ask.proof or "", *ask.asked)
        for client in ask.clients:
            if name not in (WORKERS, client_of(client)):
                raise Unsealed(f"{name} asks in the name of {client}")

    # -- specs and states ------------------------------------------------------------------------------------------

    def spec(self, child: str, record: SpecRecord) -> SpecRecord:
        """A spec, complete with its start id."""
        if not self.writes or record.arguments[:1] in (ENCRYPTED, SIGNED):
            return record
        return record.with_arguments(self._sealed(self._own, record.arguments, "spec", child, record.line().decode()))

    def opens_spec(self, child: str, record: SpecRecord) -> tuple[bytes, bool]:
        """The arguments of a spec, and whether a worker has sealed them."""
        if record.arguments[:1] in (ENCRYPTED, SIGNED):
            name, arguments = self._opened(record.arguments, "spec", child, record.line().decode())
            return arguments, name == WORKERS
        return self._plain(record.arguments, "spec"), False

    def state(self, child: str, start_id: str, form: str, cursor: str, data: bytes, before: bytes = b"") -> bytes:
        """A state, by a worker. ``before``: what stands in front of it, as it is."""
        if not self.writes:
            return before + data
        try:
            seal = self._sealers[WORKERS]
        except KeyError:
            seal = self._sealer(WORKERS)
        return seal(data, f"{self._of_state}{child}\0{start_id}\0{form}\0{cursor}".encode(), before)

    def envelope(self, child: str, start_id: str, form: str, cursor: str, data: bytes) -> bytes:
        """The same in its envelope, as ``msk`` has it."""
        return self.state(child, start_id, form, cursor, data, written(form, cursor, b""))

    def opens_state(self, child: str, start_id: str, form: str, cursor: str, data: bytes) -> bytes:
        """The reverse of :meth:`state`."""
        return self._opens(data, "state", child, start_id, form, cursor)

    # -- what else is kept -----------------------------------------------------------------------------------------

    def by_workers(self, plain: bytes, *context: str) -> bytes:
        """What only workers write and read."""
        return self._sealed(WORKERS, plain, *context) if self.writes else plain

    def for_all(self, plain: bytes, *context: str) -> bytes:
        """What all holders of a key may read: events, results of jobs."""
        return self._sealed(ALL, plain, *context) if self.writes else plain

    def own(self, plain: bytes, *context: str) -> bytes:
        """What this process writes for the workers."""
        return self._sealed(self._own, plain, *context) if self.writes else plain

    def opens_any(self, blob: bytes, *context: str) -> tuple[str, bytes]:
        """What was sealed by any key that is here: whose, and the plain bytes."""
        if blob and blob[0] in _SEALED:
            return self._opened(blob, *context)
        return "", self._plain(blob, context[0])

    def _opens(self, blob: bytes, *context: str) -> bytes:
        if not blob or blob[0] not in _SEALED:
            return self._plain(blob, context[0])
        name, plain = self._opened(blob, *context)
        if name != WORKERS:
            raise Unsealed(f"this {context[0]} is sealed with the key of {name!r}, and only workers write such")
        return plain

    def opens_by_workers(self, blob: bytes, *context: str) -> bytes:
        """The reverse of :meth:`by_workers`."""
        return self._opens(blob, *context)


def seal_of(hub_id: str, mode: str, keys: Keyring | None, form: str = "auto") -> Seal | None:
    """The seal of a hub, as its settings say; None: there is none.

    Raises :class:`~hubq.errors.ConfigError`: there are no keys, or nothing to encrypt with, and ``form`` is ``"encrypt"``.
    """
    if keys is None:
        if mode != "off":
            raise ConfigError(
                f"seal={mode!r}, and there are no keys: set HUBQ_KEYS or HUBQ_KEYS_FILE (`hubq keys new`, `hubq keys derive`)"
            )
        return None
    return Seal(hub_id, keys, writes=mode != "off", required=mode == "require", form=form)


def trust_of(config: Config, seal: Seal | None) -> str:
    """The codec and the seal of a process, in words; how it seals, and its keys, the one that writes first.

    >>> trust_of(Config(codec="data"), None)
    'codec=data, seal=off'
    """
    codec = config.codec + (" and pickles" if config.codec == "data" and config.reads_pickles else "")
    keys = f", keys {' '.join(seal.keys.marks())}" if seal is not None else ""
    form = f" ({form_of(seal.tag)})" if seal is not None and seal.writes else ""
    return f"codec={codec}, seal={config.seal}{form}{keys}"
