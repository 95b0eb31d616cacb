"""The seal: who wrote a value, and for what. Only holders of a key can write what is opened (docs/trust.md)."""

from __future__ import annotations

import base64
import binascii
import hmac
import itertools
import os
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from weakref import WeakSet

from hubq.config import Config
from hubq.core.messages import Cancel, Intervene, Withdraw
from hubq.errors import ConfigError, Unsealed
from hubq.store.header import Header
from hubq.store.mailbox import HEADED, MALFORMED, UNSEALED, Message, sender_of
from hubq.store.spec_record import SpecRecord

try:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:  # the extra `seal` is not installed
    AESGCM = None  # type: ignore[assignment, misc]

#: Tags: encrypted and authenticated (AES-256-GCM), or authenticated alone (keyed BLAKE2b).
ENCRYPTED, SIGNED = b"x", b"s"
#: The name of whom a key is for: a client app; "" for workers; "*" for what all may read.
WORKERS, ALL = "", "*"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
_KEY, _SESSION, _COUNTER, _TAG = 32, 12, 6, 16
SEPARATOR = "\0"
_ZEROS = bytes(12 - _COUNTER)
#: Subkeys of other processes that are remembered.
MOST_SUBKEYS = 1_000


#: Seals, or opens: nonce, bytes, context.
_Act = Callable[[bytes, bytes, bytes], bytes]


class Encrypts:
    """AES-256-GCM. ``seal``: the plain bytes, encrypted, and their tag; ``open`` raises if anything of it was changed."""

    def __init__(self, subkey: bytes) -> None:
        cipher = AESGCM(subkey)
        self.seal: _Act = cipher.encrypt
        self.open: _Act = cipher.decrypt


class Signs:
    """Keyed BLAKE2b: the plain bytes can be read by all."""

    def __init__(self, subkey: bytes) -> None:
        self._begun = blake2b(key=subkey, digest_size=_TAG)

    def _tag(self, nonce: bytes, plain: bytes, context: bytes) -> bytes:
        made = self._begun.copy()
        made.update(nonce + len(context).to_bytes(4, "big") + context)
        made.update(plain)
        return made.digest()

    def seal(self, nonce: bytes, plain: bytes, context: bytes) -> bytes:
        """A tag, and the plain bytes."""
        return self._tag(nonce, plain, context) + plain

    def open(self, nonce: bytes, body: bytes, context: bytes) -> bytes:
        """The reverse of :meth:`seal`. Raises if anything of it was changed."""
        plain = body[_TAG:]
        if not hmac.compare_digest(body[:_TAG], self._tag(nonce, plain, context)):
            raise ValueError("changed")
        return plain


def derived(root: bytes, name: str) -> bytes:
    """The key that a root key gives to a client app, to the workers, or to all."""
    return blake2b(name.encode(), key=root, digest_size=_KEY, person=b"hubq seal v1").digest()


@dataclass(frozen=True, slots=True, repr=False)
class Keyring:
    """Keys by their numbers, the first one writes. ``root``: those of workers, which derive all others. Else they are those of the client
    app ``client``: its own key, and the one of what all may read.
    """

    client: str
    root: bool
    keys: Mapping[int, bytes]

    def __repr__(self) -> str:
        return f"<Keyring {'of workers' if self.root else f'of {self.client}'}: {', '.join(map(str, self.keys))}>"

    @classmethod
    def read(cls, text: str) -> Keyring:
        """``2:<base64>,1:<base64>`` (root keys), or ``2:shop:<base64>,1:shop:<base64>`` (those of a client app).

        Raises :class:`~hubq.errors.ConfigError`, which does not show the keys.

        >>> Keyring.read(new_keys())
        <Keyring of workers: 1>
        """
        found: dict[int, bytes] = {}
        clients: set[str] = set()
        for place, part in enumerate(text.replace("\n", ",").strip(" ,").split(","), 1):
            number, *names, key = part.strip().split(":") if part.count(":") in (1, 2) else ("", "")
            try:
                secret = base64.b64decode(key, validate=True)
            except (binascii.Error, ValueError):
                secret = b""
            if not number.isdecimal() or not 1 <= int(number) <= 255 or len(secret) != (2 * _KEY if names else _KEY):
                raise ConfigError(
                    f"key {place} of HUBQ_KEYS is none: give NUMBER:BASE64 (1 to 255, 32 bytes; `hubq keys new`), or NUMBER:CLIENT:BASE64 "
                    "(`hubq keys derive`), with commas between them"
                )
            if int(number) in found:
                raise ConfigError(f"there are two keys {number} in HUBQ_KEYS: give each a number of its own")
            clients.add(checked_client(names[0]) if names else "")
            found[int(number)] = secret
        if len(clients) != 1:
            raise ConfigError(
                f"HUBQ_KEYS has keys of {sorted(clients)}: give those of one client app, or root keys (workers)"
            )
        (client,) = clients
        return cls(client, not client, found)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Keyring | None:
        """Those of ``HUBQ_KEYS``, or of the file ``HUBQ_KEYS_FILE``; None: there are none."""
        text, path = environment.get("HUBQ_KEYS", ""), environment.get("HUBQ_KEYS_FILE", "")
        if not text and path:
            try:
                with open(path, encoding="ascii") as file:
                    text = file.read()
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"HUBQ_KEYS_FILE={path!r} cannot be read ({error}): give a file with keys") from None
        return cls.read(text) if text.strip() else None

    def secret(self, number: int, name: str) -> bytes:
        """The key of this number for a client app, for the workers or for all. Raises LookupError: it is not here."""
        key = self.keys[number]
        if self.root:
            return derived(key, name)
        if name == ALL:
            return key[_KEY:]
        if name != self.client:
            raise LookupError(name)
        return key[:_KEY]

    def text(self) -> str:
        """The keys as :meth:`read` takes them."""
        name = f"{self.client}:" if self.client else ""
        return ",".join(f"{number}:{name}{base64.b64encode(key).decode()}" for number, key in self.keys.items())

    def derive(self, client: str) -> str:
        """The text of the keys of a client app."""
        if not self.root:
            raise ConfigError("these are the keys of a client app: only root keys derive others")
        checked_client(client)
        both = ((number, derived(key, client) + derived(key, ALL)) for number, key in self.keys.items())
        return ",".join(f"{number}:{client}:{base64.b64encode(key).decode()}" for number, key in both)


def new_keys(before: str = "") -> str:
    """A new root key, behind those that there are: it becomes the one that writes when it is moved to the front."""
    known = Keyring.read(before).keys if before.strip() else {}
    number = (
        next(n for n in range(1, 256) if n not in known and n > max(known, default=0))
        if max(known, default=0) < 255
        else 0
    )
    if not number:
        raise ConfigError("there is a key 255 already: remove old keys first")
    made = f"{number}:{base64.b64encode(secrets.token_bytes(_KEY)).decode()}"
    return ",".join(part for part in (before.strip(" ,\n"), made) if part)


def checked_client(name: str) -> str:
    """The name of a client app, or :class:`~hubq.errors.ConfigError`."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(f"client {name!r} is no name: give 1 to 32 letters, digits, dashes or underscores")
    return name


def client_of(sender: str) -> str:
    """The client app in a sender id.

    >>> client_of("shop.5f3a"), client_of("5f3a")
    ('shop', '')
    """
    return sender.rpartition(".")[0]


_all: WeakSet[Seal] = WeakSet()


def _begin_anew() -> None:
    for seal in list(_all):
        seal.begin()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_begin_anew)


class Seal:
    """Seals what a process writes, and opens what it reads. ``writes``: what it writes is sealed; ``required``: nothing else is read."""

    def __init__(
        self, hub_id: str, keys: Keyring, *, writes: bool, required: bool, encrypts: bool | None = None
    ) -> None:
        self.keys = keys
        self.writes = writes
        self.required = required
        self._hub = hub_id
        self._tag = ENCRYPTED if (AESGCM is not None if encrypts is None else encrypts) else SIGNED
        self._own = WORKERS if keys.root else keys.client
        self._subkeys: dict[bytes, tuple[str, _Act]] = {}
        self._heads: dict[str, tuple[bytes, _Act]] = {}
        self.begin()
        _all.add(self)

    # -- the frame -------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """A session of its own for each process (also for a forked one): so no nonce is ever used twice under one subkey."""
        self._session, self._next, self._heads = secrets.token_bytes(_SESSION), itertools.count().__next__, {}

    def _sealed(self, name: str, plain: bytes, *context: str) -> bytes:
        head = self._heads.get(name)
        if head is None:
            number = next(iter(self.keys.keys))
            front = self._tag + bytes([number, len(name)]) + name.encode() + self._session
            head = self._heads[name] = front, self._cipher(self._tag, number, name, self._session).seal
        front, seal = head
        nonce = self._next().to_bytes(12, "big")
        return front + nonce[-_COUNTER:] + seal(nonce, plain, front + self._context(context))

    def _opened(self, blob: bytes, *context: str) -> tuple[str, bytes]:
        """Whose key sealed it, and the plain bytes. Raises :class:`~hubq.errors.Unsealed`."""
        try:
            end = 3 + blob[2] + _SESSION
            front, body = blob[:end], end + _COUNTER
            if len(blob) < body + _TAG:
                raise ValueError("too short")
            known = self._subkeys.get(front)
            if known is None:
                name = blob[3 : end - _SESSION].decode()
                known = name, self._cipher(blob[:1], blob[1], name, front[-_SESSION:]).open
                if len(self._subkeys) >= MOST_SUBKEYS:
                    self._subkeys.clear()
                self._subkeys[front] = known
            name, opens = known
            return name, opens(_ZEROS + blob[end:body], blob[body:], front + self._context(context))
        except LookupError:
            raise Unsealed(f"it is sealed with a key that is not here ({described(blob)})") from None
        except Exception:
            raise Unsealed(
                f"its seal is not that of this {context[0]}: it was changed, or written for another place"
            ) from None

    def _cipher(self, tag: bytes, number: int, name: str, session: bytes) -> Encrypts | Signs:
        subkey = blake2b(session, key=self.keys.secret(number, name), digest_size=_KEY).digest()
        if tag == SIGNED:
            return Signs(subkey)
        if AESGCM is None:
            raise LookupError("cryptography")
        return Encrypts(subkey)

    def _context(self, parts: tuple[str, ...]) -> bytes:
        return f"{self._hub}\0{SEPARATOR.join(parts)}".encode("utf-8", "surrogatepass")

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
        return self._sealed(self._own, payload, "message", kind, child, method, sender, number)

    def opens(self, message: Message) -> Message:
        """A message as it was written; one of the kind ``unsealed`` if its seal is refused."""
        kind = message.kind
        if kind in ("start", "remind", MALFORMED):  # written by scripts: hints, which change nothing by themselves
            return message
        payload = message.payload
        if payload[:1] not in (ENCRYPTED, SIGNED):
            return self._refused(message, "it is not sealed") if self.required else message
        if message.header is not None:  # it stands in front of the seal, and would be believed
            return self._refused(message, "its header is not sealed")
        sender = sender_of(message.id, message.reply_to)
        number = message.id if message.reply_to else message.id.rpartition("#")[2]
        try:
            name, plain = self._opened(payload, "message", kind, message.child, message.method, sender, number)
            if name != WORKERS and client_of(sender) != name and not sender.startswith("reminder "):
                raise Unsealed(f"{name} has sealed a message of {sender}")
            if kind == HEADED:
                header, plain = Header.split(plain)
                kind = "call" if message.reply_to else "cast"
                return Message(
                    message.entry,
                    kind,
                    message.child,
                    message.method,
                    message.id,
                    message.reply_to,
                    message.deadline,
                    plain,
                    header,
                )
        except (Unsealed, ValueError) as error:
            return self._refused(message, str(error))
        return Message(
            message.entry,
            kind,
            message.child,
            message.method,
            message.id,
            message.reply_to,
            message.deadline,
            plain,
            message.header,
        )

    def _refused(self, message: Message, why: str) -> Message:
        return Message(message.entry, UNSEALED, message.child, why, message.id, message.reply_to, 0, b"")

    def reply(self, sender: str, line: bytes) -> bytes:
        """The line of a reply (``hubq.store.mailbox.reply_line``), for the client app of its receiver."""
        if not self.writes:
            return line
        head, _, payload = line.partition(b"\n")
        name = client_of(sender) if self.keys.root else self._own
        return head + b"\n" + self._sealed(name, payload, "reply", sender, *head.decode().split(" "))

    def opens_reply(self, sender: str, message_id: str, status: str, node: str, payload: bytes) -> bytes:
        """The payload of a reply. (What a script answers, ``poisoned``, is a text, and not sealed.)"""
        if payload[:1] in (ENCRYPTED, SIGNED):
            return self._opened(payload, "reply", sender, message_id, status, node)[1]
        return payload if status == "poisoned" else self._plain(payload, "reply")

    def proof(self, *asked: str) -> str:
        """What goes with an ask to a node: that it comes from a holder of a key."""
        return self.own(b"", "ask", *asked).hex()

    def proves(self, ask: Withdraw | Cancel | Intervene) -> None:
        """Raise :class:`~hubq.errors.Unsealed` for an ask without its proof. A client app asks for itself alone."""
        proof = ask.proof or ""
        blob = bytes.fromhex(proof) if re.fullmatch("[0-9a-f]*", proof) and len(proof) % 2 == 0 else b""
        name, _ = self.opens_any(blob, "ask", *ask.asked)
        if name not in (WORKERS, client_of(ask.sender)):
            raise Unsealed(f"{name} asks in the name of {ask.sender}")

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

    def state(self, child: str, start_id: str, form: str, cursor: str, data: bytes) -> bytes:
        """A state, by a worker."""
        return self._sealed(WORKERS, data, "state", child, start_id, form, cursor) if self.writes else data

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
        if blob[:1] in (ENCRYPTED, SIGNED):
            return self._opened(blob, *context)
        return "", self._plain(blob, context[0])

    def _opens(self, blob: bytes, *context: str) -> bytes:
        if blob[:1] not in (ENCRYPTED, SIGNED):
            return self._plain(blob, context[0])
        name, plain = self._opened(blob, *context)
        if name != WORKERS:
            raise Unsealed(f"this {context[0]} is sealed with the key of {name!r}, and only workers write such")
        return plain

    def opens_by_workers(self, blob: bytes, *context: str) -> bytes:
        """The reverse of :meth:`by_workers`."""
        return self._opens(blob, *context)


def described(blob: bytes) -> str:
    """What a sealed value shows without its key.

    >>> described(b"x" + bytes([2, 4]) + b"shop" + bytes(40))
    'key 2, by shop, 47 bytes'
    """
    try:
        name = blob[3 : 3 + blob[2]].decode()
        by = f"by {name}" if name not in (WORKERS, ALL) else "by a worker"
        return f"key {blob[1]}, {by}, {len(blob)} bytes"
    except (IndexError, UnicodeDecodeError):
        return f"{len(blob)} bytes"


def signed(blob: bytes) -> bytes:
    """The plain bytes of a value that is signed only, unchecked: for people to look at.

    >>> signed(Seal("chat", Keyring.read(new_keys()), writes=True, required=True, encrypts=False).own(b"j1", "job"))
    b'j1'
    """
    plain = blob[3 + (blob[2] if len(blob) > 2 else 0) + _SESSION + _COUNTER + _TAG :]
    if plain[:1] == SIGNED:
        raise ValueError("it is signed twice")
    return plain


def seal_of(hub_id: str, mode: str, keys: Keyring | None) -> Seal | None:
    """The seal of a hub, as its settings say; None: there is none.

    Raises :class:`~hubq.errors.ConfigError`: there are no keys.
    """
    if keys is None:
        if mode != "off":
            raise ConfigError(
                f"seal={mode!r}, and there are no keys: set HUBQ_KEYS or HUBQ_KEYS_FILE (`hubq keys new`, `hubq keys derive`)"
            )
        return None
    return Seal(hub_id, keys, writes=mode != "off", required=mode == "require")


def checked_for(keys: Keyring | None, client: str) -> str:
    """The name of the app in its sender ids: what its settings say, else what its keys say.

    Raises :class:`~hubq.errors.ConfigError`: the keys are those of another app.
    """
    if keys is None or keys.root:
        return client
    if client and client != keys.client:
        raise ConfigError(
            f"client={client!r}, and HUBQ_KEYS has the keys of {keys.client!r}: give each app its own keys"
        )
    return keys.client


def trust_of(config: Config, seal: Seal | None) -> str:
    """The codec and the seal of a process, in words; the numbers of its keys, the one that writes first.

    >>> trust_of(Config(codec="data"), None)
    'codec=data, seal=off'
    """
    codec = config.codec + (" and pickles" if config.codec == "data" and config.reads_pickles else "")
    keys = f", keys {' '.join(map(str, seal.keys.keys))}" if seal is not None else ""
    return f"codec={codec}, seal={config.seal}{keys}"
