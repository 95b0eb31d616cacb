"""The questions a hub answers about its children and nodes: for code that waits, and for code that awaits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Set
from typing import TYPE_CHECKING, Any

from hubq.client.asking.driver import AsyncDriver, Driver
from hubq.client.operations import listing, partition, pids, registry
from hubq.client.operations.listing import Listing, Progress, Query
from hubq.client.results import ChildStatus, Place
from hubq.core.pid import Pid
from hubq.errors import ConfigError

if TYPE_CHECKING:
    from hubq.client.operations.paging import ChildrenPage


class Queries:
    """What :class:`~hubq.client.hub.Hub` can be asked. All raise :class:`~hubq.errors.RedisUnavailable`."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self.local_nodes: set[str] = set()  # those of this process, kept by themselves

    def children(self, *, progress: Progress | None = None, **query: Any) -> list[ChildStatus]:
        """Children by id: all, or those for which everything given holds: ``match="room-*"``, ``tag="vip"``,
        ``node="a"``, ``kind="Room"``, ``status="running"`` ("parked", "waiting",
        "dormant"), ``waiting=1`` (so many messages wait for it, at least),
        ``oldest=60`` (the first of them waits so many seconds, at least). Dormant children are only found by their status.

        Read in pages, so that Redis goes on serving others. ``progress(shards read, shards, children found)`` is called
        after each.
        """
        return self.driver.drive(listing.children(self.driver.context, query_of(query), progress))

    def iter_children(self, *, progress: Progress | None = None, **query: Any) -> Iterator[ChildStatus]:
        """The same, one by one as they are read, shard by shard: for more children than one wants in memory."""
        listing = Listing(self.driver.context, query_of(query), progress)
        while not listing.done:
            yield from self.driver.drive(listing.page())

    def children_page(self, after: str = "", limit: int = 100, **query: Any) -> ChildrenPage:
        """The same, about ``limit`` at a time: ``page.children``, and ``page.next``, which is ``after`` of the next page (empty: there is
        none). Nothing is kept between two pages, so they may be asked for by different processes. A child that starts or ends
        meanwhile may be missing, or come twice.

        Raises :class:`~hubq.errors.ConfigError` for an ``after`` that no page has given, or a ``limit`` below 1 or above 1,000.
        """
        from hubq.client.operations.paging import children_page  # imported here: few read in pages

        return self.driver.drive(children_page(self.driver.context, query_of(query), after, limit))

    def child_lookup(self, child_id: str) -> ChildStatus:
        """All there is to know of one child. Raises :class:`~hubq.errors.UnknownChild`."""
        return self.driver.drive(registry.child_lookup(self.driver.context, child_id))

    def where(self, child_id: str) -> Place:
        """The node of a child. Raises :class:`~hubq.errors.UnknownChild`."""
        return self.driver.drive(registry.where(self.driver.context, child_id))

    def get_pid(self, child_id: str) -> Pid | None:
        """Where a child runs; None if it does not exist, or no live node owns it now."""
        return next(iter(self.get_pids(child_id)), None)

    def get_pids(self, child_id: str) -> list[Pid]:
        """Where all copies of a child run (one, unless it is replicated)."""
        return self.pids_of([child_id]).get(child_id, [])

    def pids_of(self, child_ids: Iterable[str]) -> dict[str, list[Pid]]:
        """The pids of many children at once; those that do not exist are left out."""
        return self.driver.drive(pids.get_pids(self.driver.context, child_ids))

    def process_list(self, scope: str = "global") -> dict[str, list[Pid]]:
        """Every child that runs, and where (copies behind the original): in the whole hub, or on the nodes of this process
        (``"local"``).

        Raises :class:`~hubq.errors.NotAlive` for ``"local"`` in a process without a node.
        """
        return self.driver.drive(pids.process_list(self.driver.context, scope, frozenset(self.local_nodes)))

    def registry_dump(self) -> dict[str, ChildStatus]:
        """Everything the registry knows, by child."""
        return {child.child_id: child for child in self.children()}

    def tag_query(self, tag: str) -> dict[str, list[Pid]]:
        """The children whose metadata has ``"tag": tag``, and where they run."""
        return pids_by_child(self.children(tag=tag))

    def which_children(self) -> dict[str, list[ChildStatus]]:
        """The children of each node, by its name; those no live node owns under ``""``. With ``Replication`` a child is in
        the list of every node with a copy; ``ChildStatus.node`` is the one that serves it.
        """
        return by_node(self.children())

    def is_alive(self, node: str | None = None) -> bool:
        """Whether a node is a live member; without a name: whether the hub has any."""
        return self.driver.drive(registry.is_alive(self.driver.context, node))

    def is_locked(self) -> bool:
        """Whether starts and messages for some children have to wait just now, because a shard has no live owner: it is
        being claimed, or no worker is there. (There is no other lock: a shard that moves is never without an owner.)
        """
        return self.driver.drive(registry.is_locked(self.driver.context))

    def is_partitioned(self) -> bool:
        """Whether the hub has lost its quorum: children handle nothing, and starts and stops are refused with
        :class:`~hubq.errors.Partitioned`. Never with ``Divergence``.
        """
        return bool(self.driver.drive(partition.partitioned(self.driver.context)))


class AsyncQueries:
    """The same under ``hub.aio``."""

    def __init__(self, driver: AsyncDriver, local_nodes: Set[str]) -> None:
        self.driver = driver
        self.local_nodes = local_nodes

    async def children(self, *, progress: Progress | None = None, **query: Any) -> list[ChildStatus]:
        """See :meth:`Queries.children`."""
        return await self.driver.drive(listing.children(self.driver.context, query_of(query), progress))

    async def iter_children(self, *, progress: Progress | None = None, **query: Any) -> AsyncIterator[ChildStatus]:
        """See :meth:`Queries.iter_children`."""
        listing = Listing(self.driver.context, query_of(query), progress)
        while not listing.done:
            for child in await self.driver.drive(listing.page()):
                yield child

    async def children_page(self, after: str = "", limit: int = 100, **query: Any) -> ChildrenPage:
        """See :meth:`Queries.children_page`."""
        from hubq.client.operations.paging import children_page  # as above

        return await self.driver.drive(children_page(self.driver.context, query_of(query), after, limit))

    async def child_lookup(self, child_id: str) -> ChildStatus:
        """See :meth:`Queries.child_lookup`."""
        return await self.driver.drive(registry.child_lookup(self.driver.context, child_id))

    async def where(self, child_id: str) -> Place:
        """See :meth:`Queries.where`."""
        return await self.driver.drive(registry.where(self.driver.context, child_id))

    async def get_pid(self, child_id: str) -> Pid | None:
        """See :meth:`Queries.get_pid`."""
        return next(iter(await self.get_pids(child_id)), None)

    async def get_pids(self, child_id: str) -> list[Pid]:
        """See :meth:`Queries.get_pids`."""
        return (await self.pids_of([child_id])).get(child_id, [])

    async def pids_of(self, child_ids: Iterable[str]) -> dict[str, list[Pid]]:
        """See :meth:`Queries.pids_of`."""
        return await self.driver.drive(pids.get_pids(self.driver.context, child_ids))

    async def process_list(self, scope: str = "global") -> dict[str, list[Pid]]:
        """See :meth:`Queries.process_list`."""
        return await self.driver.drive(pids.process_list(self.driver.context, scope, frozenset(self.local_nodes)))

    async def registry_dump(self) -> dict[str, ChildStatus]:
        """See :meth:`Queries.registry_dump`."""
        return {child.child_id: child for child in await self.children()}

    async def tag_query(self, tag: str) -> dict[str, list[Pid]]:
        """See :meth:`Queries.tag_query`."""
        return pids_by_child(await self.children(tag=tag))

    async def which_children(self) -> dict[str, list[ChildStatus]]:
        """See :meth:`Queries.which_children`."""
        return by_node(await self.children())

    async def is_alive(self, node: str | None = None) -> bool:
        """See :meth:`Queries.is_alive`."""
        return await self.driver.drive(registry.is_alive(self.driver.context, node))

    async def is_locked(self) -> bool:
        """See :meth:`Queries.is_locked`."""
        return await self.driver.drive(registry.is_locked(self.driver.context))

    async def is_partitioned(self) -> bool:
        """See :meth:`Queries.is_partitioned`."""
        return bool(await self.driver.drive(partition.partitioned(self.driver.context)))


def query_of(given: dict[str, Any]) -> Query:
    """Keyword arguments as a query, or :class:`~hubq.errors.ConfigError`."""
    try:
        return Query(**given)
    except TypeError:
        wrong = next(iter(set(given) - {"match", "tag", "node", "kind", "status", "waiting", "oldest"}))
        raise ConfigError(
            f"cannot ask for children by {wrong!r}: give match, tag, node, kind, status, waiting or oldest"
        ) from None


def pids_by_child(children: Iterable[ChildStatus]) -> dict[str, list[Pid]]:
    """The pids of children, those of copies among them."""
    return {child.child_id: child.pids for child in children}


def by_node(children: Iterable[ChildStatus]) -> dict[str, list[ChildStatus]]:
    """Children in the lists of their nodes, and of those that have copies."""
    lists: dict[str, list[ChildStatus]] = {}
    for child in children:
        for node in (child.node or "", *child.replicas):
            lists.setdefault(node, []).append(child)
    return lists
