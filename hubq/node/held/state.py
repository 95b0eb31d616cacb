"""A child's state: taken at a message boundary, laid over an instance again."""

from __future__ import annotations

from typing import Any

from hubq.core.child import Child
from hubq.errors import StateTooNew, Unreadable
from hubq.node.held.holding import HostedChild
from hubq.store.codec import version_of
from hubq.store.envelope import Envelope, written
from hubq.store.values import Values

#: ``form`` of an envelope: the attributes themselves, or what ``prepare_handover_state`` returned.
ATTRIBUTES = "attributes"
HANDED = "handed"


def take_state(hosted: HostedChild, limit: int, *, surely: bool = False) -> bytes:
    """The attributes of a child but for the transient ones, encoded. ``surely``: it is tried whether they come back.

    Raises :class:`~hubq.errors.StateNotSavable`, :class:`~hubq.errors.StateTooLarge`.
    """
    instance = hosted.instance
    assert instance is not None
    transient = hosted.kind.transient
    attributes = instance.__dict__
    state = {k: v for k, v in attributes.items() if k not in transient} if transient else attributes
    return hosted.services.values.encode_state(
        hosted.kind, state, limit, hosted.child_id, surely=surely, known=hosted.boundary
    )


def takes_boundaries(hosted: HostedChild) -> bool:
    """Whether ``hosted.boundary`` is taken after every message. If not, it may be as old as the child's start here."""
    kind = hosted.kind
    return (
        kind.on_error == "rollback"
        or kind.durability == "commit"
        or hosted.holding.recorder.records
        or kind._reads is not None
    )


def lay_state(hosted: HostedChild, data: bytes) -> None:
    """Put a child's attributes back to an earlier state; transient ones stay as they are."""
    instance = hosted.instance
    assert instance is not None
    _replace(hosted.kind, instance, hosted.services.values.decode_state(hosted.kind, data))


def _replace(kind: type[Child], instance: Child, state: dict[str, Any]) -> None:
    kept = {name: value for name, value in instance.__dict__.items() if name in kind.transient}
    instance.__dict__.clear()
    instance.__dict__.update(kept)
    instance.__dict__.update(state)


def overrides(kind: type[Child], method: str) -> bool:
    """Whether a child class has its own version of one of ``Child``'s methods."""
    return getattr(kind, method) is not getattr(Child, method)


def restore(hosted: HostedChild, envelope: Envelope) -> None:
    """Give a newly built child its saved or handed-over state. Raises what :func:`lay_saved` raises.

    If its attributes are then just what is saved, that is its state at the last message boundary.
    """
    instance, envelope = hosted.instance, opened(hosted, envelope)
    assert instance is not None
    as_saved = lay_saved(instance, envelope, hosted.services.values)
    hosted.holds_until(envelope.cursor)
    if as_saved:
        hosted.laid(envelope.data)


def lay_saved(instance: Child, envelope: Envelope, values: Values) -> bool:
    """Lay a saved or handed-over state over a newly built instance: upgraded to the version of its class, then altered. True: its
    attributes are just what is saved.

    Raises :class:`~hubq.errors.Unreadable`, :class:`~hubq.errors.StateTooNew`, and whatever ``upgrade_state`` and
    ``alter_handover_state`` raise.
    After a crash of a child that has its own ``prepare_handover_state``, the saved attributes are not of the shape its
    ``alter_handover_state`` expects, and are laid over the instance directly.
    """
    kind = type(instance)
    version = checked_version(kind, envelope)
    older, as_handed = version < kind.state_version, envelope.form == HANDED
    saved = handed = values.decode_state(kind, envelope.data, handed=as_handed, older=older)
    if older:
        handed = instance.upgrade_state(handed, version)
        if not isinstance(handed, dict) and envelope.form == ATTRIBUTES:
            raise TypeError(f"upgrade_state returned {type(handed).__name__}, not the dict of attributes")
        handed = values.upgraded(kind, envelope.data, handed, handed=as_handed)
    transient, attributes = kind.transient, instance.__dict__
    if overrides(kind, "alter_handover_state") and (
        envelope.form == HANDED or not overrides(kind, "prepare_handover_state")
    ):
        current = {k: v for k, v in attributes.items() if k not in transient}
        handed = instance.alter_handover_state(current, handed)
    if isinstance(handed, dict):
        # Laid over what __init__ made: an attribute that a newer version of the class has added keeps its first value.
        attributes.update({k: v for k, v in handed.items() if k not in transient} if transient else handed)
    if envelope.form != ATTRIBUTES or handed is not saved or version != kind.state_version:
        return False
    return bool((attributes.keys() - set(transient) if transient else attributes.keys()) == saved.keys())


def is_of_version(hosted: HostedChild, data: bytes) -> bool:
    """Whether a state was written by the version of the class that this child has."""
    return version_of(data) == hosted.kind.state_version


def checked_version(kind: type[Child], envelope: Envelope) -> int:
    """The version of a saved state. Raises :class:`~hubq.errors.StateTooNew` if the class does not know it yet, and
    :class:`~hubq.errors.Unreadable` if it is no state.
    """
    if envelope.malformed:
        raise Unreadable(envelope.malformed)
    try:
        version = version_of(envelope.data)
    except ValueError as error:
        raise Unreadable(f"the version of the saved state is malformed ({error})") from error
    if version > kind.state_version:
        raise StateTooNew(
            f"its state has version {version}, and {kind.__name__}.state_version is {kind.state_version} here: it was written by "
            "newer code, so let a worker with that code run it"
        )
    return version


def envelope_of(hosted: HostedChild, data: bytes, form: str = ATTRIBUTES) -> bytes:
    """The bytes for ``msk``."""
    seal = hosted.services.seal
    if seal is None:
        return written(form, hosted.cursor, data)
    return seal.envelope(hosted.child_id, hosted.record.start_id, form, hosted.cursor, data)


def saves(hosted: HostedChild, data: bytes) -> None:
    """The next commit saves these attributes, which hold all messages until now. It seals them, since the next message may change them
    before.
    """
    child, effects = hosted.child_id, hosted.holding.effects
    if hosted.services.seal is None:
        effects.states[child] = written(ATTRIBUTES, hosted.cursor, data)
    else:
        effects.states[child] = b""
        effects.unsealed[child] = hosted.record.start_id, ATTRIBUTES, hosted.cursor, data


def opened(hosted: HostedChild, envelope: Envelope) -> Envelope:
    """A saved or handed-over state of this child without its seal. Raises :class:`~hubq.errors.Unsealed`."""
    seal = hosted.services.seal
    if seal is None or envelope.malformed:
        return envelope
    child, start_id = hosted.child_id, hosted.record.start_id
    data = seal.opens_state(child, start_id, envelope.form, envelope.cursor, envelope.data)
    return envelope.with_data(data)


def save_boundary(hosted: HostedChild) -> None:
    """Put the state of the last boundary into the effects, with the messages that it holds and what it says to others."""
    if hosted.boundary is not None and not hosted.saved:
        hosted.is_saved()
        saves(hosted, hosted.boundary)
    with_saved_state(hosted)


def with_saved_state(hosted: HostedChild) -> None:
    """The next commit saves the state: the messages that it holds go with it, and what it says to others."""
    effects = hosted.holding.effects
    if hosted.unsaved:
        effects.done.setdefault(hosted.child_id, []).extend(hosted.unsaved)
        hosted.drop_unsaved()
    effects.said.extend(hosted.take_said())
    hosted.disarm()
