"""What a seal looks like: a frame around a value, by which its key is found (docs/trust.md, *The frame*)."""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from hmac import compare_digest
from typing import TYPE_CHECKING
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
#: Subkeys of other processes that are remembered.
MOST_SUBKEYS = 1_000

#: Seals a value in a context.
Seals = Callable[[bytes, str], bytes]
#: Opens a frame in a context; raises if anything of it was changed.
_Opens = Callable[[bytes, bytes], bytes]


@cache
def aes_gcm_class() -> type[AESGCM] | None:
    """None: the extra `seal` is not installed. (It is imported when there are keys: a process without keys does without.)"""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        return None
    return AESGCM


# Each value that is sealed or opened is one call of a function that is made once for its subkey: what does not change from one value to the
# next is looked up there.


class Encrypts:
    """AES-256-GCM: the encrypted bytes, and their tag."""

    def __init__(self, subkey: bytes, aes_gcm: type[AESGCM]) -> None:
        self._cipher = aes_gcm(subkey)

    def sealer(self, front: bytes, number: Callable[[], int]) -> Seals:
        """What seals behind this front."""
        encrypt = self._cipher.encrypt
        front, beginning = front[: _COUNTER - _NONCE], front[_COUNTER - _NONCE :]

        def seal(plain: bytes, context: str) -> bytes:
            nonce = beginning + number().to_bytes(_COUNTER, "big")
            try:
                what = context.encode()
            except UnicodeEncodeError:  # texts of users may have lone surrogates
                what = context.encode("utf-8", "surrogatepass")
            return front + nonce + encrypt(nonce, plain, what)

        return seal

    def opener(self, end: int) -> _Opens:
        """The reverse. The nonce ends at ``end``."""
        decrypt, nonce, body = self._cipher.decrypt, slice(end - _NONCE, end), slice(end, None)

        def opens(blob: bytes, context: bytes) -> bytes:
            return decrypt(blob[nonce], blob[body], context)

        return opens


class Signs:
    """Keyed BLAKE2b: a tag, and the plain bytes, which can be read by all."""

    def __init__(self, subkey: bytes) -> None:
        self._begun = blake2b(key=subkey, digest_size=_TAG)

    def sealer(self, front: bytes, number: Callable[[], int]) -> Seals:
        """What seals behind this front."""
        begin = self._begun.copy
        front, beginning = front[: _COUNTER - _NONCE], front[_COUNTER - _NONCE :]

        def seal(plain: bytes, context: str) -> bytes:
            nonce, made = beginning + number().to_bytes(_COUNTER, "big"), begin()
            try:
                what = context.encode()
            except UnicodeEncodeError:
                what = context.encode("utf-8", "surrogatepass")
            made.update(nonce + len(what).to_bytes(4, "big") + what + plain)
            return front + nonce + made.digest() + plain

        return seal

    def opener(self, end: int) -> _Opens:
        """The reverse. The nonce ends at ``end``."""
        begin, nonce = self._begun.copy, slice(end - _NONCE, end)
        tag, body = slice(end, end + _TAG), slice(end + _TAG, None)

        def opens(blob: bytes, context: bytes) -> bytes:
            plain, made = blob[body], begin()
            made.update(blob[nonce] + len(context).to_bytes(4, "big") + context + plain)
            if not compare_digest(made.digest(), blob[tag]):
                raise ValueError("changed")
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


class Sealers(dict[str, Seals]):
    """What seals with the key of a name, in one session. It is made when it is asked for."""

    def __init__(self, make: Callable[[str, bytes, Callable[[], int]], Seals]) -> None:
        super().__init__()
        self._make = make
        self.begin()

    def begin(self) -> None:
        """A session of its own for each process (also for a forked one): so no nonce is ever used twice under one subkey."""
        self.clear()
        self._session = secrets.token_bytes(_SESSION)
        self._number = itertools.count().__next__

    def __missing__(self, name: str) -> Seals:
        made = self[name] = self._make(name, self._session, self._number)
        return made


_all: WeakSet[Frames] = WeakSet()


def _begin_anew() -> None:
    for frames in list(_all):
        frames.sealers.begin()


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
        #: By the front of a frame: whose key it is, and what opens with it.
        self._openers: dict[bytes, tuple[str, _Opens]] = {}
        self.sealers = Sealers(self._new_sealer)
        _all.add(self)

    def _new_sealer(self, name: str, session: bytes, number: Callable[[], int]) -> Seals:
        key = next(iter(self._keys.keys))
        front = self.tag + bytes([key, len(name)]) + name.encode() + session
        return self._cipher(self.tag, key, name, session).sealer(front, number)

    def opened(self, blob: bytes, context: str) -> tuple[str, bytes]:
        """Whose key has sealed it, and the plain bytes. Raises :class:`~hubq.errors.Unsealed`."""
        try:
            front = blob[: blob[2] + _BESIDE_NAME]
            name, opens = self._openers.get(front) or self._opener(front)
            try:
                what = context.encode()
            except UnicodeEncodeError:
                what = context.encode("utf-8", "surrogatepass")
            return name, opens(blob, what)
        except Unsealed:
            raise
        except LookupError:
            raise Unsealed(f"it is sealed with a key that is not here ({described(blob)})") from None
        except Exception:
            kind = context.split("\0")[1]
            raise Unsealed(
                f"its seal is not that of this {kind}: it was changed, or written for another place"
            ) from None

    def _opener(self, front: bytes) -> tuple[str, _Opens]:
        name = front[3:-_SESSION].decode()
        if len(self._openers) >= MOST_SUBKEYS:
            self._openers.clear()
        cipher = self._cipher(front[:1], front[1], name, front[-_SESSION:])
        made = self._openers[front] = name, cipher.opener(len(front) + _COUNTER)
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
    >>> signed(Frames(Keyring.read(new_keys()), form="sign").sealers[WORKERS](b"j1", "chat\\0job"))
    b'j1'
    """
    plain = blob[3 + (blob[2] if len(blob) > 2 else 0) + _SESSION + _COUNTER + _TAG :]
    if plain[:1] == SIGNED:
        raise ValueError("it is signed twice")
    return plain
