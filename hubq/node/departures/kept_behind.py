"""Children that cannot go with their shard: each is taken out of it, and stays as a pin when it goes."""

from __future__ import annotations

from dataclasses import replace

from hubq.node.children.saver import Saver
from hubq.node.held.cursors import Cursors
from hubq.node.held.holding import Holding, HostedChild
from hubq.node.held.pins import put_back, set_aside
from hubq.node.held.register import Register


class KeptBehind:
    """The pins-to-be of one shard. They become pins with the script that passes the shard's token."""

    def __init__(self, holding: Holding, cursors: Cursors, saver: Saver) -> None:
        self.pins: dict[str, Holding] = {}
        self.why: dict[str, str] = {}
        """Child -> the reason that users see."""
        self.serving: set[str] = set()
        """Children that serve on. The others only finish their message."""
        self._holding = holding
        self._cursors = cursors
        self._saver = saver

    def keep(self, hosted: HostedChild, why: str, *, serving: bool) -> None:
        """Take a child out of its shard."""
        child = hosted.child_id
        if child not in self._holding.children:
            return  # it has ended meanwhile
        if self._holding.recorder.records:
            self._saver.save_boundary(hosted)  # as a pin it has no standby: its state must be in msk
        self.pins[child] = set_aside(self._cursors, self._holding, hosted)
        self.why[child] = why
        if serving:
            self.serving.add(child)

    def follow_token(self) -> None:
        """The token of the pins is one above that of the shard, which a repeated commit may have raised."""
        owner = self._holding.owner
        for pin in self.pins.values():
            pin.owned_by(replace(owner, token=owner.token + 1))

    def hold(self, register: Register) -> None:
        """The shard has gone: these pins are ours. They stay closed until ``Stragglers`` takes them."""
        for pin in self.pins.values():
            pin.thaw()
            register.hold(pin)
            self._cursors.catch_up(pin)

    def put_back(self) -> None:
        """The shard stays, and its children with it."""
        for pin in self.pins.values():
            put_back(self._holding, pin)
        self.pins.clear()
        self.why.clear()

    def lose(self) -> list[HostedChild]:
        """The shard is lost, and so are the pins-to-be. The answer: their children, to be disposed of."""
        children = [hosted for pin in self.pins.values() for hosted in pin.children.values()]
        for pin in self.pins.values():
            pin.lose()
        self.pins.clear()
        return children
