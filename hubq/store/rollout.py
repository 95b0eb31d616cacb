"""The share of a version of the app in the shards of a hub, while it is rolled out (docs/rollouts.md)."""

from __future__ import annotations

from collections.abc import Mapping

from hubq.core.rollout import Ramp
from hubq.store.command import Command, pairs, plain
from hubq.store.keys import Keys


def read_ramp(keys: Keys) -> Command[Ramp | None]:
    """The share as it stands there; None: there is none, or it cannot be read."""
    return plain("HGETALL", keys.rollout, read=lambda answer: ramp_of(pairs(answer)))


def ramp_of(fields: Mapping[str, bytes]) -> Ramp | None:
    """The share in the fields of the hash; None if it is malformed.

    >>> ramp_of({"version": b"v2", "share": b"0.1"}), ramp_of({"version": b"v2", "share": b"all"}), ramp_of({})
    (Ramp(version='v2', share=0.1), None, None)
    """
    try:
        share = float(fields["share"])
        return Ramp(fields["version"].decode(), share) if 0.0 <= share <= 1.0 else None
    except (KeyError, ValueError):
        return None


def set_ramp(keys: Keys, ramp: Ramp) -> Command[None]:
    """From here on this version has this share."""
    return plain("HSET", keys.rollout, "version", ramp.version, "share", repr(ramp.share), read=lambda answer: None)


def forget_ramp(keys: Keys) -> Command[None]:
    """No version has a share of its own any more."""
    return plain("DEL", keys.rollout, read=lambda answer: None)


def tell_ramp(keys: Keys, version: str, share: str, why: str, events_kept: int) -> Command[None]:
    """Write it down in the events."""
    fields = ("type", "rollout", "version", version, "share", share, "why", why)
    return plain("XADD", keys.events, "MAXLEN", "~", events_kept, "*", *fields, read=lambda answer: None)
