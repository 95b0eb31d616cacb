"""What children say to one another: made ready for the commit that takes it along (docs/effects.md)."""

from __future__ import annotations

from typing import Any

from hubq.client.operations.activation import activation_of, check_init
from hubq.client.operations.calls import checked_method
from hubq.client.operations.starts import record_of
from hubq.config import Config
from hubq.core.classes import as_child_class
from hubq.core.feed import checked_topic
from hubq.core.hashing import checked_child_id, shard_of
from hubq.core.layout import group_of
from hubq.core.lifecycle import Life
from hubq.core.methods import method_of_class, name_of_method
from hubq.core.outgoing import Called, Target
from hubq.core.spec import ChildSpec
from hubq.errors import OutsideHandler
from hubq.node.children.drafting import Drafting
from hubq.node.held.holding import HostedChild
from hubq.node.runtime.sizes import Sizes
from hubq.node.runtime.standing import Standing
from hubq.store.codec import checked_size
from hubq.store.far import SentFar
from hubq.store.feeds import Published
from hubq.store.sends import Sent
from hubq.store.spec_record import SpecRecord
from hubq.store.values import Values


class Sayings:
    """Turns what a child says into messages, and keeps them with its state."""

    def __init__(
        self, standing: Standing, values: Values, config: Config, sizes: Sizes, drafting: Drafting, group: int = 0
    ) -> None:
        self._group = group
        self._groups = config.groups
        self._standing = standing
        self._sizes = sizes
        self._drafting = drafting
        self._values = values
        self._shards = config.shards
        self._starts = 0

    def says(
        self, hosted: HostedChild, target: Target | None, child_id: str, method: Called | None,
        args: tuple[Any, ...], kwargs: dict[str, Any],
    ) -> None:  # fmt: skip
        """``self.ref(...).cast(...)``, and with no method ``self.ref(...).start(...)``.

        Raises :class:`~hubq.errors.OutsideHandler`, :class:`~hubq.errors.UnknownMethod`,
        :class:`~hubq.errors.NotSendable`, :class:`~hubq.errors.PayloadTooLarge`,
        :class:`~hubq.errors.InvalidChildId`, :class:`~hubq.errors.ConfigError`.
        """
        check_may_say(hosted)
        if method is not None:
            shard = shard_of(checked_child_id(child_id), self._shards)
            spec, function = b"", None
            if target is not None:
                name, function = method_of_class(as_child_class(target.kind), method)
                spec = self._activation(hosted, target, child_id)
            else:
                name = checked_method(child_id, name_of_method(method))
            payload = self._values.encode_arguments(args, kwargs, f"{child_id}.{name}", function)
            checked_size(payload, self._sizes.payload, f"the arguments of {child_id}.{name}")
            if (seal := hosted.services.seal) is not None:
                payload = seal.message("cast", child_id, name, f"child {hosted.child_id}", "0", payload)
            hosted.say(self._sent(hosted, shard, child_id, name, payload, spec))
        else:
            self.starts(hosted, ChildSpec(child_id, target.kind if target else None, args, kwargs))

    def starts(self, hosted: HostedChild, spec: ChildSpec) -> None:
        """A child starts another one. Raises as :meth:`says`."""
        shard = shard_of(checked_child_id(spec.child_id), self._shards)
        check_init(as_child_class(spec.target), spec.args, spec.kwargs, f"child {spec.child_id!r} cannot be started")
        record = record_of(spec, self._values)
        checked_size(record.arguments, self._sizes.payload, f"the arguments of child {spec.child_id!r}")
        written = self._written(hosted, spec.child_id, record)
        hosted.say(self._sent(hosted, shard, spec.child_id, "", b"", written))

    def _sent(
        self, hosted: HostedChild, shard: int, child_id: str, method: str, payload: bytes, spec: bytes
    ) -> Sent | SentFar:
        group = group_of(shard, self._groups)
        if group == self._group:
            return Sent(hosted.child_id, shard, child_id, method, payload, spec)
        generation = self._standing.generation
        return SentFar(hosted.child_id, group, shard, child_id, method, payload, spec, generation)

    def _activation(self, hosted: HostedChild, target: Target, child_id: str) -> bytes:
        limit = self._sizes.payload
        record = activation_of(self._values, limit, target.kind, child_id, target.args, target.kwargs)
        return b"" if record is None else self._written(hosted, child_id, record)

    def publishes(self, hosted: HostedChild, topic: str, data: object, now: bool) -> None:
        """``self.publish(...)``.

        Raises :class:`~hubq.errors.OutsideHandler`, :class:`~hubq.errors.InvalidTopic`, :class:`~hubq.errors.NotSendable`,
        :class:`~hubq.errors.PayloadTooLarge`.
        """
        check_may_say(hosted)
        payload = self._values.encode_value(
            data, what := f"the data of event {checked_topic(topic)!r} of {hosted.child_id}"
        )
        checked_size(payload, self._sizes.payload, what)
        if (seal := hosted.services.seal) is not None:
            payload = seal.for_all(payload, "event", hosted.child_id, topic)
        if now:
            self._drafting.publishes(hosted, topic, payload)
        else:
            hosted.say(Published(hosted.child_id, hosted.kind.feed_kept, topic, payload))

    def _written(self, hosted: HostedChild, child_id: str, spec: SpecRecord) -> bytes:
        self._starts += 1
        standing = self._standing
        start_id = f"{standing.node_name}#{standing.incarnation}:{self._starts}"  # no other start has it
        spec, seal = spec.started_by(start_id), hosted.services.seal
        return (spec if seal is None else seal.spec(child_id, spec)).written()


def check_may_say(hosted: HostedChild) -> None:
    """What nobody saves would never leave."""
    if hosted.in_hand is None and hosted.run_task is None and hosted.life is not Life.STARTING:
        raise OutsideHandler(
            f"child {hosted.child_id!r} has no message in hand: what self.ref(...), self.enqueue(...), self.publish(...) and "
            "self.remind(...) say leaves with the commit of a message, so use it in a handler, in on_start() or in run(); "
            "elsewhere use current_hub()"
        )
