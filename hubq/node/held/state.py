"""A child's state: taken at a message boundary, laid over an instance again."""

from __future__ import annotations

from typing import Any

from hubq.core.child import Child
from hubq.errors import Unreadable
from hubq.node.held.holding import HostedChild
from hubq.node.held.shapes import check_comes_back
from hubq.store.codec import decode, encode_state
from hubq.store.envelope import Envelope

#: ``form`` of an envelope: the attributes themselves, or what ``prepare_handover_state`` returned.
ATTRIBUTES = "attributes"
HANDED = "handed"


def take_state(hosted: HostedChild, limit: int) -> bytes:
    """The attributes of a child but for the transient ones, encoded.

    Raises :class:`~hubq.errors.StateNotSavable`, :class:`~hubq.errors.StateTooLarge`.
    """
    instance = hosted.instance
    assert instance is not None
    transient = hosted.kind.transient
    attributes = instance.__dict__
    state = {k: v for k, v in attributes.items() if k not in transient} if transient else attributes
    data = encode_state(state, limit, hosted.child_id)
    check_comes_back(hosted.kind, state, data, hosted.child_id)
    return data


def takes_boundaries(hosted: HostedChild) -> bool:
    """Whether ``hosted.boundary`` is taken after every message. If not, it may be as old as the child's start here."""
    kind = hosted.kind
    return kind.on_error == "rollback" or kind.durability == "commit" or hosted.holding.recorder.records


def lay_state(hosted: HostedChild, data: bytes) -> None:
    """Put a child's attributes back to an earlier state; transient ones stay as they are."""
    instance = hosted.instance
    assert instance is not None
    _replace(hosted.kind, instance, decode(data))


def _replace(kind: type[Child], instance: Child, state: dict[str, Any]) -> None:
    kept = {name: value for name, value in instance.__dict__.items() if name in kind.transient}
    instance.__dict__.clear()
    instance.__dict__.update(kept)
    instance.__dict__.update(state)


def overrides(kind: type[Child], method: str) -> bool:
    """Whether a child class has its own version of one of ``Child``'s methods."""
    return getattr(kind, method) is not getattr(Child, method)


def restore(hosted: HostedChild, envelope: Envelope) -> None:
    """Give a newly built child its saved or handed-over state. Raises whatever ``alter_handover_state`` raises.

    After a crash of a child that has its own ``prepare_handover_state``, the saved attributes are not of the shape its
    ``alter_handover_state`` expects, and are laid over the instance directly.
    """
    instance = hosted.instance
    assert instance is not None
    if envelope.malformed:
        raise Unreadable(envelope.malformed)
    handed = decode(envelope.data)
    if envelope.form == HANDED or not overrides(hosted.kind, "prepare_handover_state"):
        current = {k: v for k, v in instance.__dict__.items() if k not in hosted.kind.transient}
        handed = instance.alter_handover_state(current, handed)
    if isinstance(handed, dict):
        # Laid over what __init__ made: an attribute that a newer version of the class has added keeps its first value.
        instance.__dict__.update({k: v for k, v in handed.items() if k not in hosted.kind.transient})
    hosted.holds_until(envelope.cursor)


def envelope_of(hosted: HostedChild, data: bytes, form: str = ATTRIBUTES) -> bytes:
    """The bytes for ``msk``."""
    return Envelope(form, hosted.cursor, data).written()


def save_boundary(hosted: HostedChild) -> None:
    """Put the state of the last boundary into the effects, with the messages that it holds and what it says to others."""
    if hosted.boundary is not None and not hosted.saved:
        hosted.is_saved()
        hosted.holding.effects.states[hosted.child_id] = envelope_of(hosted, hosted.boundary)
    with_saved_state(hosted)


def with_saved_state(hosted: HostedChild) -> None:
    """The next commit saves the state: the messages that it holds go with it, and what it says to others."""
    effects = hosted.holding.effects
    if hosted.unsaved:
        effects.done.setdefault(hosted.child_id, []).extend(hosted.unsaved)
        hosted.drop_unsaved()
    effects.said.extend(hosted.take_said())
    hosted.disarm()
