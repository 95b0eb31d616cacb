"""What a seal looks like: a frame around a value, by which its key is found (docs/trust.md, *The frame*)."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from hmac import compare_digest
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from hubq.errors import ConfigError, Unsealed
from hubq.store.keyring import ALL, KEY_BYTES, WORKERS, Keyring

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

#: Tags: encrypted and authenticated (AES-256-GCM), or authenticated alone (keyed BLAKE2b).
ENCRYPTED, SIGNED = b"x", b"s"
_SESSION, _COUNTER, _TAG = 12, 6, 16
#: The nonce stands in a frame as one piece: the end of the session, and the counter.
_NONCE = 12
#: Bytes of a front besides the name: tag, number of the key, length of the name; session.
_BESIDE_NAME = 3 + _SESSION
_PERSON = b"hubq frame v2 "
#: Subkeys that are remembered: of other processes, and of this one for whom it seals.
MOST_SUBKEYS = 1_000

#: Opens a frame in a context. Raises :class:`~hubq.errors.Unsealed`: something of it was changed, or it is of another context.
Opens = Callable[[bytes, bytes], bytes]


class Seals(Protocol):
    """Seals a value in a context. ``before``: what stands in front of all else, as it is."""

    def __call__(self, plain: bytes, context: bytes, before: bytes = b"") -> bytes: ...


@cache
def aes_gcm_class() -> type[AESGCM] | None:
    """None: the extra `seal` is not installed. (It is imported when there are keys: a process without keys does without.)"""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        return None
    return AESGCM


# Each value that is sealed or opened is one call of a function that is made once for its subkey: what does not change from one value to the
# next is looked up there. Bytes are joined, since each `+` makes one more copy.
_joined = b"".join
#: The length of a context, as the tag of a signed value has it. (Few contexts are longer.)
_LENGTHS = tuple(length.to_bytes(4, "big") for length in range(256))
#: Where the front of a frame is, by the length of the name in it.
FRONTS = tuple(slice(length + _BESIDE_NAME) for length in range(256))
#: From the last to the first: nonces are taken from the end of a list.
_LAST_BYTES = tuple(bytes([last]) for last in reversed(range(256)))


def _changed(context: bytes) -> Unsealed:
    kind = context.split(b"\0")[1].decode()
    return Unsealed(
        f"its seal is not that of this {kind}: it was changed, written for another place, or sealed with another key of its number"
    )


def bytes_of(context: str) -> bytes:
    """A context as it is sealed. (Texts of users may have lone surrogates.)"""
    try:
        return context.encode()
    except UnicodeEncodeError:
        return context.encode("utf-8", "surrogatepass")


class Nonces:
    """The nonces of a session, each once: its end, and a counter. They are made 256 at a time, since to make one costs more than to take
    it. Threads may take them at once, and then not in order.
    """

    def __init__(self, session: bytes) -> None:
        self._beginning = session[_COUNTER - _NONCE :]
        self._next_block = itertools.count().__next__
        self._made: list[bytes] = []
        #: The next one; IndexError: none is left, so :meth:`more` are made.
        self.take = self._made.pop

    def more(self) -> bytes:
        """Make more; the first of them."""
        block = self._beginning + self._next_block().to_bytes(_COUNTER - 1, "big")
        made = [block + last for last in _LAST_BYTES]
        first = made.pop()
        self._made += made
        return first


class Encrypts:
    """AES-256-GCM: the encrypted bytes, and their tag."""

    def __init__(self, subkey: bytes, aes_gcm: type[AESGCM]) -> None:
        self._cipher = aes_gcm(subkey)

    def sealer(self, front: bytes, nonces: Nonces) -> Seals:
        """What seals behind this front, of which the nonce is the end."""
        encrypt, take, front = self._cipher.encrypt, nonces.take, front[: _COUNTER - _NONCE]

        def seal(plain: bytes, context: bytes, before: bytes = b"") -> bytes:
            try:
                nonce = take()
            except IndexError:
                nonce = nonces.more()
            return _joined((before, front, nonce, encrypt(nonce, plain, context)))

        return seal

    def opener(self, end: int) -> Opens:
        """The reverse. The nonce ends at ``end``."""
        decrypt, nonce, body = self._cipher.decrypt, slice(end - _NONCE, end), slice(end, None)

        def opens(blob: bytes, context: bytes) -> bytes:
            try:
                return decrypt(blob[nonce], blob[body], context)
            except Exception:  # InvalidTag; ValueError: it is cut
                raise _changed(context) from None

        return opens


class Signs:
    """Keyed BLAKE2b: a tag, and the plain bytes, which can be read by all."""

    def __init__(self, subkey: bytes) -> None:
        self._begun = blake2b(key=subkey, digest_size=_TAG)

    def sealer(self, front: bytes, nonces: Nonces) -> Seals:
        """What seals behind this front, of which the nonce is the end."""
        begin, take, front = self._begun.copy, nonces.take, front[: _COUNTER - _NONCE]

        def seal(plain: bytes, context: bytes, before: bytes = b"") -> bytes:
            try:
                nonce = take()
            except IndexError:
                nonce = nonces.more()
            try:
                length = _LENGTHS[len(context)]
            except IndexError:
                length = len(context).to_bytes(4, "big")
            made = begin()
            made.update(_joined((nonce, length, context, plain)))
            return _joined((before, front, nonce, made.digest(), plain))

        return seal

    def opener(self, end: int) -> Opens:
        """The reverse. The nonce ends at ``end``."""
        begin, nonce = self._begun.copy, slice(end - _NONCE, end)
        tag, body = slice(end, end + _TAG), slice(end + _TAG, None)

        def opens(blob: bytes, context: bytes) -> bytes:
            try:
                length = _LENGTHS[len(context)]
            except IndexError:
                length = len(context).to_bytes(4, "big")
            plain, made = blob[body], begin()
            made.update(_joined((blob[nonce], length, context, plain)))
            if not compare_digest(made.digest(), blob[tag]):
                raise _changed(context)
            return plain

        return opens


def encrypts_in(form: str) -> bool:
    """Whether a process with this ``seal_form`` encrypts what it writes.

    Raises :class:`~hubq.errors.ConfigError`: it has to, and has nothing to do it with.

    >>> encrypts_in("sign")
    False
    """
    if form == "sign":  # and cryptography is not imported
        return False
    installed = aes_gcm_class() is not None
    if form == "encrypt" and not installed:
        raise ConfigError(
            "seal_form='encrypt', and cryptography is not installed: `pip install cryptography` (the extra `seal`), "
            "or give seal_form='sign'"
        )
    return installed


_all: WeakSet[Frames] = WeakSet()


def _begin_anew() -> None:
    for frames in list(_all):
        frames.begin()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_begin_anew)


class Frames:
    """Puts values into frames, and takes them out again. A *context* says what a value is for: parts with NULs between them, the hub
    and the kind of value first. ``form``: how they are written (``Config.seal_form``); all are read.
    """

    def __init__(self, keys: Keyring, *, form: str = "auto") -> None:
        self._keys = keys
        #: The tag of what is written.
        self.tag = ENCRYPTED if encrypts_in(form) else SIGNED
        #: By the front of a frame: whose key it is, and what opens with it, if there was one already (:meth:`opener`).
        self.openers: dict[bytes, tuple[str, Opens]] = {}
        #: What seals with the key of a name, if it was asked for already (:meth:`sealer`).
        self.sealers: dict[str, Seals] = {}
        #: The same, behind a line (:meth:`line_sealer`).
        self.line_sealers: dict[str, Seals] = {}
        self.begin()
        _all.add(self)

    def begin(self) -> None:
        """A session of its own for each process (also for a forked one): so no nonce is ever used twice under one subkey."""
        self.sealers.clear()
        self.line_sealers.clear()
        self._session = secrets.token_bytes(_SESSION)
        self._nonces = Nonces(self._session)

    def sealer(self, name: str) -> Seals:
        """What seals with the key of a name, in this session."""
        if len(self.sealers) >= MOST_SUBKEYS:
            self.sealers.clear()
        made = self.sealers[name] = self._sealer(name, b"")
        return made

    def line_sealer(self, name: str) -> Seals:
        """The same behind a line, which is given it without its end."""
        if len(self.line_sealers) >= MOST_SUBKEYS:
            self.line_sealers.clear()
        made = self.line_sealers[name] = self._sealer(name, b"\n")
        return made

    def _sealer(self, name: str, before: bytes) -> Seals:
        key = next(iter(self._keys.keys))
        front = self.tag + bytes([key, len(name)]) + name.encode() + self._session
        return self._cipher(self.tag, key, name, self._session).sealer(before + front, self._nonces)

    def opened(self, blob: bytes, context: bytes) -> tuple[str, bytes]:
        """Whose key has sealed it, and the plain bytes. Raises :class:`~hubq.errors.Unsealed`."""
        name, opens = self.opener(blob)
        return name, opens(blob, context)

    def opener(self, blob: bytes) -> tuple[str, Opens]:
        """Whose key has sealed it, as it says, and what opens it. Raises :class:`~hubq.errors.Unsealed`: that key is not here."""
        try:
            front = blob[FRONTS[blob[2]]]
            return self.openers.get(front) or self._opener(front)
        except LookupError:
            raise Unsealed(f"it is sealed with a key that is not here ({described(blob)})") from None

    def _opener(self, front: bytes) -> tuple[str, Opens]:
        try:
            name = front[3:-_SESSION].decode()
        except UnicodeDecodeError:
            raise LookupError from None
        cipher = self._cipher(front[:1], front[1], name, front[-_SESSION:])
        if len(self.openers) >= MOST_SUBKEYS:
            self.openers.clear()
        made = self.openers[front] = name, cipher.opener(len(front) + _COUNTER)
        return made

    def _cipher(self, tag: bytes, number: int, name: str, session: bytes) -> Encrypts | Signs:
        # The subkey is of the whole front: what is changed there is opened with another one.
        secret = self._keys.secret(number, name)
        subkey = blake2b(session, key=secret, digest_size=KEY_BYTES, person=_PERSON + tag).digest()
        if tag == SIGNED:
            return Signs(subkey)
        aes_gcm = aes_gcm_class()
        if aes_gcm is None:
            raise Unsealed("it is encrypted, and cryptography is not installed here: `pip install cryptography`")
        return Encrypts(subkey, aes_gcm)


def form_of(tag: bytes) -> str:
    """The form of a sealed value in a word, by the tag in front.

    >>> form_of(b"x"), form_of(b"s"), form_of(b"m")
    ('encrypted', 'signed', '')
    """
    return "encrypted" if tag == ENCRYPTED else "signed" if tag == SIGNED else ""


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

    >>> from hubq.store.keyring import new_keys
    >>> signed(Frames(Keyring.read(new_keys()), form="sign").sealer(WORKERS)(b"j1", b"chat\\0job"))
    b'j1'
    """
    plain = blob[3 + (blob[2] if len(blob) > 2 else 0) + _SESSION + _COUNTER + _TAG :]
    if plain[:1] == SIGNED:
        raise ValueError("it is signed twice")
    return plain
