"""Operations over the groups of a hub: each is written for one group, and says here how it is asked of several.

Of a hub with one group nothing of this remains but one look.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from hubq.client.asking.context import HubContext
from hubq.client.asking.steps import Each, Fetch, Operation, Outcome
from hubq.store.command import Command

P = ParamSpec("P")
T = TypeVar("T")
I = TypeVar("I")  # noqa: E741
K = TypeVar("K")
V = TypeVar("V")

OfHub = Callable[Concatenate[HubContext, P], Operation[T]]
OfShard = Callable[Concatenate[HubContext, int, P], Operation[T]]
OfChild = Callable[Concatenate[HubContext, str, P], Operation[T]]


def of_child(operation: OfChild[P, T]) -> OfChild[P, T]:
    """An operation on one child: that is asked of the child's group."""

    @wraps(operation)
    def asked(hub: HubContext, child_id: str, /, *args: P.args, **kwargs: P.kwargs) -> Operation[T]:
        if not hub.groups:
            return operation(hub, child_id, *args, **kwargs)
        group = hub.group_of(child_id)
        return _in_group(group, operation(hub.groups[group], child_id, *args, **kwargs))

    return asked


def of_shard(operation: OfShard[P, T]) -> OfShard[P, T]:
    """An operation on one shard: that is asked of the shard's group."""

    @wraps(operation)
    def asked(hub: HubContext, shard: int, /, *args: P.args, **kwargs: P.kwargs) -> Operation[T]:
        if not hub.groups:
            return operation(hub, shard, *args, **kwargs)
        context = hub.of_shard(shard)
        return _in_group(context.group, operation(context, shard, *args, **kwargs))

    return asked


def _in_group(group: int, operation: Operation[T]) -> Operation[T]:
    outcomes: Mapping[int, Outcome] = yield Each({group: lambda left: operation})
    result: T = outcomes[group].result()
    return result


def of_all(join: Callable[[list[T]], T]) -> Callable[[OfHub[P, T]], OfHub[P, T]]:
    """An operation on the whole hub: it is asked of each group, and the answers are joined."""

    def decorate(operation: OfHub[P, T]) -> OfHub[P, T]:
        @wraps(operation)
        def asked(hub: HubContext, /, *args: P.args, **kwargs: P.kwargs) -> Operation[T]:
            if not hub.groups:
                return operation(hub, *args, **kwargs)
            return _joined(join, {context.group: operation(context, *args, **kwargs) for context in hub.groups})

        return asked

    return decorate


def _joined(join: Callable[[list[T]], T], operations: Mapping[int, Operation[T]]) -> Operation[T]:
    return join(list((yield from in_groups(operations, question=True)).values()))


def in_groups(operations: Mapping[int, Operation[T]], question: bool = False) -> Operation[dict[int, T]]:
    """The results of these operations, by group. Raises what the first that failed has raised, when all have ended. Of a ``question``
    groups that do not answer may be missing (:class:`~hubq.client.asking.steps.Each`).
    """
    outcomes: Mapping[int, Outcome] = yield Each(
        {group: _once(work) for group, work in operations.items()}, question=question
    )
    return {group: outcome.result() for group, outcome in outcomes.items()}


def _once(operation: Operation[T]) -> Callable[[float], Operation[T]]:
    return lambda left: operation


def fetch_of_shards(hub: HubContext, asked: Sequence[tuple[int, Command[Any]]]) -> Operation[list[Any]]:
    """The answers, in order, to what is asked of shards: each by the group of its shard."""
    if not hub.groups:
        answers: list[Any] = (yield Fetch([command for _, command in asked])) if asked else []
        return answers
    groups: dict[int, list[int]] = {}
    for place, (shard, _) in enumerate(asked):
        groups.setdefault(hub.of_shard(shard).group, []).append(place)
    found = yield from in_groups(
        {group: _fetched([asked[place][1] for place in places]) for group, places in groups.items()}
    )
    by_place = {
        place: answer for group, places in groups.items() for place, answer in zip(places, found[group], strict=True)
    }
    return [by_place[place] for place in range(len(asked))]


def _fetched(commands: Sequence[Command[Any]]) -> Operation[list[Any]]:
    answers: list[Any] = yield Fetch(commands)
    return answers


def by_group(hub: HubContext, items: Iterable[I], child_of: Callable[[I], str]) -> dict[int, list[I]]:
    """What is about children, in the lists of their groups. Raises :class:`~hubq.errors.InvalidChildId`."""
    found: dict[int, list[I]] = {}
    for item in items:
        found.setdefault(hub.group_of(child_of(item)), []).append(item)
    return found


# -- how answers are joined ----------------------------------------------------------------------------------------


def added(answers: Sequence[int]) -> int:
    """The sum."""
    return sum(answers)


def largest(answers: Sequence[int]) -> int:
    """The largest."""
    return max(answers)


def at_least_one(answers: Sequence[bool]) -> bool:
    """Whether one says yes."""
    return any(answers)


def united(answers: Sequence[dict[K, V]]) -> dict[K, V]:
    """One dictionary; what several say, the first has said."""
    found: dict[K, V] = {}
    for answer in answers:
        for key, value in answer.items():
            found.setdefault(key, value)
    return found


def first_said(answers: Sequence[T]) -> T:
    """The first answer that is something; else the last."""
    return next((answer for answer in answers if answer), answers[-1])
