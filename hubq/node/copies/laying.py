"""A copy takes its original's state."""

from __future__ import annotations

import logging

from hubq.node.children.builder import Builder
from hubq.node.held.holding import HostedChild
from hubq.node.held.state import ATTRIBUTES, is_of_version, lay_state, opened, restore
from hubq.store.envelope import Envelope

log = logging.getLogger("hubq.node")


class CopyStates:
    """Lays states over copies (``LaysState`` of :mod:`hubq.node.children.handler`)."""

    def __init__(self, builder: Builder) -> None:
        self._builder = builder

    def lay(self, hosted: HostedChild, sealed: Envelope) -> None:
        """Give a copy the state of the envelope. A copy that cannot take it is dropped."""
        try:
            envelope = opened(hosted, sealed)
            if envelope.form == ATTRIBUTES and is_of_version(hosted, envelope.data):
                lay_state(hosted, envelope.data)
                hosted.laid(envelope.data, envelope.cursor)
            else:
                hosted.take_instance_of(self._builder.build(hosted.holding, hosted.child_id, hosted.record))
                restore(hosted, sealed)
        except Exception as error:
            log.warning("the copy of child %s cannot take its state: %r", hosted.child_id, error)
            hosted.holding.detach(hosted.child_id)
