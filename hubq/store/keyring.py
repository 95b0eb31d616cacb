"""The keys of a hub's seal: the root keys of its workers, and those that a client app has (docs/trust.md)."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from hubq.errors import ConfigError

#: The name of whom a key is for: a client app; "" for workers; "*" for what all may read.
WORKERS, ALL = "", "*"
#: Bytes of a key.
KEY_BYTES = 32
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")


def derived(root: bytes, name: str) -> bytes:
    """The key that a root key gives to a client app, to the workers, or to all."""
    return blake2b(name.encode(), key=root, digest_size=KEY_BYTES, person=b"hubq seal v1").digest()


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
            if (
                not number.isdecimal()
                or not 1 <= int(number) <= 255
                or len(secret) != (2 * KEY_BYTES if names else KEY_BYTES)
            ):
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
            return key[KEY_BYTES:]
        if name != self.client:
            raise LookupError(name)
        return key[:KEY_BYTES]

    def marks(self) -> list[str]:
        """What each key can be told by, and cannot be guessed from: its number, and six digits that another key of this number has not.

        >>> Keyring("", True, {2: bytes(32)}).marks()
        ['2:798dc3']
        """
        return [
            f"{number}:{blake2b(key, digest_size=3, person=b'hubq key mark v1').hexdigest()}"
            for number, key in self.keys.items()
        ]

    def for_workers(self) -> None:
        """Raise :class:`~hubq.errors.ConfigError` if these are the keys of a client app: they open no states."""
        if not self.root:
            raise ConfigError(
                f"HUBQ_KEYS has the keys of the app {self.client!r}, which open no states: give the root keys (`hubq keys new` "
                "printed them)"
            )

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
    made = f"{number}:{base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()}"
    return ",".join(part for part in (before.strip(" ,\n"), made) if part)


def is_client(name: str) -> bool:
    """Whether a client app can have this name, and so a key.

    >>> is_client("shop"), is_client("reminder shop"), is_client("")
    (True, False, False)
    """
    return _NAME.fullmatch(name) is not None


def checked_client(name: str) -> str:
    """The name of a client app, or :class:`~hubq.errors.ConfigError`."""
    if not isinstance(name, str) or not is_client(name):
        raise ConfigError(f"client {name!r} is no name: give 1 to 32 letters, digits, dashes or underscores")
    return name


def client_of(sender: str) -> str:
    """The client app in a sender id.

    >>> client_of("shop.5f3a"), client_of("5f3a")
    ('shop', '')
    """
    return sender.rpartition(".")[0]


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
