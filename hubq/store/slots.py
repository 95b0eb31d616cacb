"""A hub on a Redis Cluster: all its keys lie in one slot, and whichever primary has that slot is the hub's Redis.

``redis+cluster://host:port,host2:port`` names some nodes of the cluster (docs/guide-cluster.md). A new connection asks one of
them who has the slot. An answer that says that it is elsewhere is a refusal before anything ran.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.connection import URL_QUERY_ARGUMENT_PARSERS
from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from hubq.store.keys import Keys
from hubq.store.lane import connection_errors
from hubq.store.tls import PAST_THE_TICKETS, host_name_checked
from hubq.store.url import Url, refuse

#: How long one node of the cluster may take to say who has the slot before the next one is asked, seconds.
ANSWER_TIMEOUT = 1.0
#: For so long a node is believed that has said where the slot went: the others may not have heard of it yet. Seconds.
HINT_FOR = 1.0
#: Pauses before a refused command is sent again, at first and at last, seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.1

FORM = "redis+cluster://[user:password@]host:port[,host:port...]"

Node = tuple[str, int]


def slot_of(hub_id: str) -> int:
    """The slot in which all keys of a hub lie.

    >>> slot_of("chat")
    14028
    """
    return slot_of_keys(Keys(hub_id))


def slot_of_keys(keys: Keys) -> int:
    """The slot in which all these keys lie: those of a hub, or of one of its groups."""
    slot: int = key_slot(keys.config.encode())
    return slot


class SlotElsewhere(RedisConnectionError):
    """The hub's slot is elsewhere, on its way, or served by nobody, for longer than anybody waits."""


def is_away(answer: Any) -> bool:
    """Whether an answer says that the slot is not served here (now). The command was not run.

    >>> is_away(MovedError("14028 10.0.0.2:7001")), is_away(TryAgainError("..")), is_away(b"ok")
    (True, True, False)
    """
    if isinstance(answer, AskError | TryAgainError | ClusterDownError):  # (MovedError is an AskError to redis-py)
        return True
    # A script reads keys that it does not declare before it writes anything: see hubq.store.command.run_script.
    return isinstance(answer, ResponseError) and "non local key" in str(answer)


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """Some nodes of a Redis Cluster, and how to log in to all of them.

    >>> ClusterAddress.read("redis+cluster://:secret@c1:7000,c2:7001").nodes
    (('c1', 7000), ('c2', 7001))
    >>> ClusterAddress.read("redis+cluster://c1:7000/2")
    Traceback (most recent call last):
    hubq.errors.ConfigError: Redis URL 'redis+cluster://c1:7000/2': a Redis Cluster has no database but 0: write redis+cluster://[user:password@]host:port[,host:port...]
    """

    nodes: tuple[Node, ...]
    options: dict[str, Any]
    tls: bool = False

    @classmethod
    def read(cls, url: str) -> ClusterAddress:
        """The address in a URL, or :class:`~hubq.errors.ConfigError` that says what is wrong with it."""
        parts = Url.read(url).parts
        if parts.path.strip("/") not in ("", "0"):
            refuse(url, f"a Redis Cluster has no database but 0: write {FORM}")
        login, _, hosts = parts.netloc.rpartition("@")
        user, _, password = login.partition(":")
        options: dict[str, Any] = {"username": unquote(user)} if user else {}
        options |= {"password": unquote(password)} if password else {}
        for name, value in parse_qsl(parts.query):
            parse: Any = URL_QUERY_ARGUMENT_PARSERS.get(name, str)
            options[name] = parse(value)
        if options.pop("db", 0) != 0:
            refuse(url, f"a Redis Cluster has no database but 0: write {FORM}")
        tls = parts.scheme == "rediss+cluster"
        if tls:
            options |= host_name_checked(options)
        return cls(tuple(_node(url, host) for host in hosts.split(",")), options, tls)


class KnownNodes:
    """The nodes of a cluster, in the order in which they are asked: those that answer first, those that were silent last. Shared by all
    who ask for slots of one server, so that each of them need not wait for the same silent node.

    >>> nodes = KnownNodes([("c1", 7001), ("c2", 7002)])
    >>> nodes.silent(("c1", 7001)); nodes.answered(("c2", 7002), [("c1", 7001), ("c3", 7003)])
    >>> nodes.in_order()
    (('c2', 7002), ('c3', 7003), ('c1', 7001))
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = tuple(nodes)
        self._silent: frozenset[Node] = frozenset()

    def in_order(self) -> tuple[Node, ...]:
        """All nodes."""
        silent = self._silent
        return tuple(sorted(self._nodes, key=silent.__contains__)) if silent else self._nodes

    def answered(self, node: Node, others: Sequence[Node] = ()) -> None:
        """A node has answered, and named these others."""
        self._silent -= {node}
        self._nodes = tuple(dict.fromkeys([node, *others, *self._nodes]))

    def silent(self, node: Node) -> None:
        """A node has not answered."""
        self._silent |= {node}


class SlotMap:
    """Who has the slot of one hub. Shared by all connections of its clients, in any thread. ``nodes``: those that others ask, too."""

    def __init__(self, address: ClusterAddress, slot: int, nodes: KnownNodes | None = None) -> None:
        self.slot = slot
        self.nodes = nodes if nodes is not None else KnownNodes(address.nodes)
        self._options: dict[str, Any] = {
            **address.options, "protocol": 2, "ssl": address.tls, "retry": Retry(NoBackoff(), 0),
            "socket_timeout": ANSWER_TIMEOUT, "socket_connect_timeout": ANSWER_TIMEOUT,
        }  # fmt: skip
        self._past_the_tickets = PAST_THE_TICKETS if address.tls else {}
        self._hint: tuple[Node, float] | None = None

    def away(self, answers: Sequence[Any]) -> list[int]:
        """The places of the answers that say that the slot is not here: their commands were not run, the others were."""
        return [n for n, answer in enumerate(answers) if is_away(answer)]

    def went(self, answers: Sequence[Any]) -> Node | None:
        """Which other primary has the slot, as an answer says: new connections lead to that one."""
        for answer in answers:
            if isinstance(answer, MovedError):
                node: Node = answer.host, answer.port
                if answer.host:  # (a node that does not know its own name says none: then it is asked for)
                    self.lead_to(node)
                return node
        return None

    def lead_to(self, node: Node) -> None:
        """The next connection goes there, if it is made soon."""
        self._hint = node, time.monotonic() + HINT_FOR

    def elsewhere(self, answer: Any) -> SlotElsewhere:
        """The error for a slot that did not come back."""
        return SlotElsewhere(
            f"slot {self.slot} of the hub is elsewhere, or on its way: {type(answer).__name__} {answer}"
        )

    def find(self) -> Node:
        """The primary that has the slot, by asking. Raises redis-py's ``ConnectionError`` if no node knows."""
        steps = self.asking()
        try:
            node = next(steps)
            while True:
                try:
                    with redis.Redis(host=node[0], port=node[1], **self._options, **self._past_the_tickets) as client:
                        said = _raw(client).execute_command("CLUSTER SLOTS")
                except (RedisError, OSError) as error:
                    node = steps.throw(error)
                else:
                    node = steps.send(said)
        except StopIteration as found:
            primary: Node = found.value
            return primary

    async def find_async(self) -> Node:
        """The same, awaiting."""
        steps = self.asking()
        try:
            node = next(steps)
            while True:
                try:
                    said = await self._said_by(node, "CLUSTER SLOTS")
                except (RedisError, OSError) as error:
                    node = steps.throw(error)
                else:
                    node = steps.send(said)
        except StopIteration as found:
            primary: Node = found.value
            return primary

    async def owner_async(self, node: Node) -> Node | None:
        """Who has the slot, as one node says it. None if it does not answer, or knows of nobody."""
        said: Any = await self.ask_async(node, "CLUSTER SLOTS")
        return _read_slots(said, self.slot, node[0])[0] if said else None

    async def ask_async(self, node: Node, command: str) -> Any:
        """What one node says to a command; empty if it does not answer."""
        try:
            return await self._said_by(node, command)
        except (RedisError, OSError):
            return b""

    async def _said_by(self, node: Node, command: str) -> Any:
        with connection_errors():
            client = redis.asyncio.Redis(host=node[0], port=node[1], **self._options)
            try:
                return await _raw(client).execute_command(command)
            finally:
                await client.aclose()

    def primaries(self) -> list[int]:
        """One slot of each primary, by asking. Raises redis-py's ``ConnectionError`` if no node answers."""
        failed: Exception | None = None
        for host, port in self.nodes.in_order():
            try:
                with redis.Redis(host=host, port=port, **self._options, **self._past_the_tickets) as client:
                    said = _raw(client).execute_command("CLUSTER SLOTS")
            except (RedisError, OSError) as error:
                self._failed((host, port), error)
                failed = error
                continue
            self.nodes.answered((host, port))
            return list({(_text(of[0]), int(of[1])): int(first) for first, _, of, *_ in said}.values())
        raise RedisConnectionError(f"no node of the cluster answers: {failed}")

    def asking(self) -> Generator[Node, Any, Node]:
        """Yields nodes to ask, and is sent what each has said, or thrown its error."""
        hint, self._hint = self._hint, None
        if hint is not None and time.monotonic() < hint[1]:
            return hint[0]
        failed: Exception | None = None
        for node in self.nodes.in_order():
            try:
                said = yield node
            except (AuthenticationError, NoPermissionError) as error:
                raise AuthenticationError(f"{error} (CLUSTER SLOTS at {node[0]}:{node[1]})") from None
            except ResponseError as error:
                if "cluster support disabled" in str(error):
                    raise NoCluster(f"{node[0]}:{node[1]} is no Redis Cluster") from None
                failed = error
                continue
            except (RedisError, OSError) as error:
                self._failed(node, error)
                failed = error
                continue
            primary, others = _read_slots(said, self.slot, node[0])
            if primary is None:
                failed = RedisConnectionError(f"no primary has slot {self.slot}, says {node[0]}:{node[1]}")
                continue
            self.nodes.answered(node, others)
            return primary
        names = ", ".join(f"{host}:{port}" for host, port in self.nodes.in_order())
        raise RedisConnectionError(f"no node of the cluster says who has slot {self.slot} ({names}): {failed}")

    def _failed(self, node: Node, error: Exception) -> None:
        if isinstance(error, RedisConnectionError | RedisTimeoutError | OSError):
            self.nodes.silent(node)


class NoCluster(RedisConnectionError):
    """The URL says that it is a cluster, and the Redis says that it is none."""


def _read_slots(said: Any, slot: int, asked: str) -> tuple[Node | None, list[Node]]:
    """What CLUSTER SLOTS says: who has the slot, and all nodes.

    >>> _read_slots([[0, 8000, [b"", 7000, b"id"]], [8001, 16383, [b"c2", 7001, b"id"], [b"c3", 7002, b"id"]]], 9000, "c1")
    (('c2', 7001), [('c1', 7000), ('c2', 7001), ('c3', 7002)])
    """
    primary: Node | None = None
    nodes: list[Node] = []
    for first, last, *members in said:
        found = [((_text(host) or asked), int(port)) for host, port, *_ in members]
        nodes += found
        if int(first) <= slot <= int(last) and found:
            primary = found[0]
    return primary, nodes


def _raw(client: Any) -> Any:
    client.response_callbacks = {}
    return client


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value or "")


def _node(url: str, host: str) -> Node:
    name, _, port = host.rpartition(":") if ":" in host else (host, ":", "6379")
    if not name or not port.isdigit():
        refuse(url, f"it must have hosts and ports: write {FORM}")
    return name.strip("[]"), int(port)
