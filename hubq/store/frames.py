"""What a seal looks like: a frame around a value, by which its key is found (docs/trust.md, *The frame*)."""

from __future__ import annotations

import hmac
import itertools
import os
import secrets
from collections.abc import Callable
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING
from weakref import WeakSet

from hubq.errors import Unsealed
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

#: Seals, or opens: nonce, bytes, context.
_Act = Callable[[bytes, bytes, bytes], bytes]


@cache
def _aes_gcm() -> type[AESGCM] | None:
    """None: the extra `seal` is not installed. (It is imported when there are keys: a process without keys does without.)"""
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        return None
    return AESGCM


class Encrypts:
    """AES-256-GCM. ``seal``: the plain bytes, encrypted, and their tag; ``open`` raises if anything of it was changed."""

    def __init__(self, subkey: bytes, aes_gcm: type[AESGCM]) -> None:
        cipher = aes_gcm(subkey)
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


#: Seals a value in a context.
Seals = Callable[[bytes, str], bytes]


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
    and the kind of value first.
    """

    def __init__(self, keys: Keyring, *, encrypts: bool | None = None) -> None:
        self._keys = keys
        self._tag = ENCRYPTED if (_aes_gcm() is not None if encrypts is None else encrypts) else SIGNED
        #: By the front of a frame: whose key it is, what opens with it, and where nonce and body stand in the frame.
        self._openers: dict[bytes, tuple[str, _Act, slice, slice]] = {}
        self.sealers = Sealers(self._new_sealer)
        _all.add(self)

    def _new_sealer(self, name: str, session: bytes, number: Callable[[], int]) -> Seals:
        key = next(iter(self._keys.keys))
        front = self._tag + bytes([key, len(name)]) + name.encode() + session
        return _sealer(front, number, self._cipher(self._tag, key, name, session).seal)

    def opened(self, blob: bytes, context: str) -> tuple[str, bytes]:
        """Whose key has sealed it, and the plain bytes. Raises :class:`~hubq.errors.Unsealed`."""
        try:
            front = blob[: blob[2] + _BESIDE_NAME]
            name, opens, nonce, body = self._openers.get(front) or self._opener(front)
            try:
                return name, opens(blob[nonce], blob[body], context.encode())
            except UnicodeEncodeError:
                return name, opens(blob[nonce], blob[body], context.encode("utf-8", "surrogatepass"))
        except LookupError:
            raise Unsealed(f"it is sealed with a key that is not here ({described(blob)})") from None
        except Exception:
            what = context.split("\0")[1]
            raise Unsealed(
                f"its seal is not that of this {what}: it was changed, or written for another place"
            ) from None

    def _opener(self, front: bytes) -> tuple[str, _Act, slice, slice]:
        name = front[3:-_SESSION].decode()
        if len(self._openers) >= MOST_SUBKEYS:
            self._openers.clear()
        opens, end = self._cipher(front[:1], front[1], name, front[-_SESSION:]).open, len(front) + _COUNTER
        made = self._openers[front] = name, opens, slice(end - _NONCE, end), slice(end, None)
        return made

    def _cipher(self, tag: bytes, number: int, name: str, session: bytes) -> Encrypts | Signs:
        # The subkey is of the whole front: what is changed there is opened with another one.
        secret = self._keys.secret(number, name)
        subkey = blake2b(session, key=secret, digest_size=KEY_BYTES, person=_PERSON + tag).digest()
        if tag == SIGNED:
            return Signs(subkey)
        aes_gcm = _aes_gcm()
        if aes_gcm is None:
            raise LookupError("cryptography")
        return Encrypts(subkey, aes_gcm)


def _sealer(front: bytes, number: Callable[[], int], seals: _Act) -> Seals:
    """What does not change from one value to the next is looked up once."""
    front, beginning = front[: _COUNTER - _NONCE], front[_COUNTER - _NONCE :]

    def seal(plain: bytes, context: str) -> bytes:
        nonce = beginning + number().to_bytes(_COUNTER, "big")
        try:
            return front + nonce + seals(nonce, plain, context.encode())
        except UnicodeEncodeError:  # texts of users may have lone surrogates
            return front + nonce + seals(nonce, plain, context.encode("utf-8", "surrogatepass"))

    return seal


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
    >>> signed(Frames(Keyring.read(new_keys()), encrypts=False).sealers[WORKERS](b"j1", "chat\\0job"))
    b'j1'
    """
    plain = blob[3 + (blob[2] if len(blob) > 2 else 0) + _SESSION + _COUNTER + _TAG :]
    if plain[:1] == SIGNED:
        raise ValueError("it is signed twice")
    return plain
