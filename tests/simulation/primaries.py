"""The primaries of a schedule: each is a Redis with some groups of the hub, and fails apart from the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from hubq.core.layout import group_of, primary_of
from tests.simulation.connecting import SimServer
from tests.simulation.groups import WENT_BACK, Groups
from tests.simulation.loop import Loop, Process
from tests.simulation.network import Network, Record
from tests.simulation.observers import Observers
from tests.simulation.store import Store

if TYPE_CHECKING:
    from tests.simulation.faults import Plan

#: How long a primary may be away, seconds.
AWAY = (0.05, 0.5, 1.5, 3.0)


class Primaries:
    """All of them. ``store`` makes the data of one; ``disturb`` is told whom a fault keeps from which primary, and how long."""

    def __init__(
        self, loop: Loop, rng: Random, plan: Plan, groups: Groups, observers: Observers, record: Record,
        store: Callable[[], Store], disturb: Callable[[Process, float, int | None], None],
    ) -> None:  # fmt: skip
        self._loop, self._rng, self._groups, self._observers, self._record = loop, groups.rng, groups, observers, record
        self._disturb, self._plan = disturb, plan
        self._going_back = 0  # replicas that are about to take over
        names = [""] if groups.primaries == 1 else [f"p{n}" for n in range(groups.primaries)]
        self.networks = [Network(loop, rng, store(), observers, plan, record, name) for name in names]
        for n, network in enumerate(self.networks):
            network.disturbed = partial(self._disturbed, n)

    def _disturbed(self, primary: int, process: Process, seconds: float) -> None:
        self._disturb(process, seconds, primary)

    def servers(self, process: Process) -> list[SimServer]:
        """What a process is given as ``redis``."""
        return [SimServer(network, process) for network in self.networks]

    def of_shard(self, shard: int) -> Network:
        """The primary that has a shard."""
        return self.networks[primary_of(group_of(shard, self._groups.number), len(self.networks))]

    def look(self, shard: int, *args: Any) -> Any:
        """A reading command's answer, where a shard is, outside of the simulation."""
        return self.of_shard(shard).store.look(*args)

    @property
    def down(self) -> bool:
        """Whether one does not answer."""
        return any(network.down or network.frozen_until > self._loop.now for network in self.networks)

    @property
    def settled(self) -> bool:
        """Whether all answer, and none of them loses anything any more."""
        return not self.down and not self._going_back

    def died(self, process: Process) -> None:
        """All see a process's connections closed."""
        for network in self.networks:
            network.died(process)

    def heal(self) -> None:
        """All can be reached again."""
        for network in self.networks:
            network.cut.clear()
            network.slower = 0.0

    # -- faults ----------------------------------------------------------------------------------------------------

    def cut_off(self, process: Process, black_hole: bool) -> None:
        """A process does not reach a primary, or any of them, for a while."""
        some = self.networks
        if len(some) > 1 and self._rng.random() < 0.6:
            some = [self._rng.choice(some)]
        for network in some:
            network.cut[process] = black_hole
            network.cut_off(process)
        seconds = self._plan.sleep()
        for network in some:
            self._loop.after(seconds, network.cut.pop, process, None)
            self._disturb(process, seconds, self.networks.index(network))

    def restart(self, seconds: float) -> bool:
        """One goes away (or all do), and comes back with its data. False: it is away already."""
        some = [self._rng.choice(self.networks)] if self._groups.any and self._rng.random() < 0.8 else self.networks
        gone = [self._go(network, seconds) for network in some]
        return all(gone)

    def _go(self, network: Network, seconds: float) -> bool:
        if network.down:
            return False
        self._record.say(f"Redis{network.name and ' '}{network.name} goes away")
        network.restart(seconds)
        self._all_disturbed(network, seconds)
        return True

    def _all_disturbed(self, network: Network, seconds: float) -> None:
        for process in self._loop.processes:
            self._disturb(process, seconds, self.networks.index(network))

    def hit(self, kind: str) -> bool:
        """A fault of one primary. False: it has one already."""
        rng, network = self._rng, self._rng.choice(self.networks)
        if network.down or network.frozen_until > self._loop.now:
            return False
        seconds = rng.choice(AWAY) * rng.uniform(0.5, 1.5)
        self._record.say(f"{kind} {network.name} for {seconds:.3f}")
        if kind == "primary frozen":
            network.frozen_until = self._loop.now + seconds
        elif kind == "primary slow":
            network.slower, seconds = rng.choice([0.1, 0.5]), seconds * 2
            self._loop.after(seconds, self._as_fast_as_before, network)
        elif kind == WENT_BACK:
            seconds = rng.choice(AWAY[:3])
            self._going_back += 1
            self._loop.after(self._groups.lag, self._goes_back, network, self._remembered(network), seconds)
            seconds += self._groups.lag
        else:
            network.restart(seconds)
        self._all_disturbed(network, seconds + 1.0)
        return True

    @staticmethod
    def _as_fast_as_before(network: Network) -> None:
        network.slower = 0.0

    def _own(self, network: Network) -> Sequence[int]:
        place, of = self.networks.index(network), len(self.networks)
        return [group for group in range(self._groups.number) if primary_of(group, of) == place]

    def _remembered(self, network: Network) -> Callable[[], None]:
        data, lives = network.store.copied(), network.lives
        pictures = [self._observers.each[group].remembered() for group in self._own(network)]

        def put_back() -> None:
            if network.lives != lives:
                return  # it was restarted meanwhile, and the replica has caught up
            network.store.put_back(data)
            for picture in pictures:
                picture()
            for group in self._own(network):
                self._groups.went_back[group] = self._groups.went_back.get(group, 0) + 1

        return put_back

    def _goes_back(self, network: Network, put_back: Callable[[], None], seconds: float) -> None:
        self._going_back -= 1
        if network.down:
            return
        self._record.say(f"a replica of {network.name} takes over")
        put_back()
        network.restart(seconds)
